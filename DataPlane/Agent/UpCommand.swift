import AgentCore
import CLinux
import Core
import Crypto
import IO

/// `minecart up`: everything on one loop, on the program's own thread, until it ends.
enum UpCommand {
    /// Sockets of a data connection: the relay's, the home server's, and pipes while there is bulk.
    private static let descriptorsPerPlayer = 6
    private static let descriptorsForOthers = 64

    static func run(_ options: UpOptions) -> Int32 {
        let terminal = Terminal(json: options.json)
        do throws(AgentFailure) {
            let key = try AgentKey(options.key)
            let loop = try AgentFailure.onThisMachine { () throws(SystemError) in try EventLoop() }
            let descriptors = ProcessLimits.raiseDescriptors()
            let session = AgentSession.Options(
                session: "ses_" + randomName(), label: options.label, region: options.region,
                local: options.local, seed: seed(),
                maxDataConnections: max(8, (descriptors - descriptorsForOthers) / descriptorsPerPlayer),
                canWake: EnterKey.isThere)
            let runner = AgentRunner(
                loop: loop, options: options, key: key, session: session
            ) { notice in
                terminal.tell(notice)
                flushLater(terminal, loop)
            }
            let signals = try AgentFailure.onThisMachine { () throws(SystemError) in
                try Signals(loop: loop, [SIGINT, SIGTERM]) { _ in runner.interrupt() }
            }
            runner.start()
            loop.run()
            loop.remove(signals)
            terminal.finish()
            return runner.exitCode
        } catch {
            terminal.tell(.failed(error))
            return 1
        }
    }

    private static func flushLater(_ terminal: Terminal, _ loop: EventLoop) {
        guard !terminal.flush() else { return }
        loop.schedule(after: Milliseconds(250)) { flushLater(terminal, loop) }
    }

    /// 131 random bits as text.
    private static func randomName() -> String {
        String(
            decoding: (0..<22).map { _ in Base62.alphabet[SecureRandom.below(Base62.alphabet.count)] },
            as: UTF8.self)
    }

    private static func seed() -> UInt64 { SecureRandom.bytes(8).reduce(0) { $0 << 8 | UInt64($1) } }
}

extension AgentFailure {
    /// What the kernel refuses is a problem of this machine.
    static func onThisMachine<Value>(_ work: () throws(SystemError) -> Value) throws(AgentFailure) -> Value {
        do throws(SystemError) { return try work() } catch { throw .local(error.description) }
    }
}
