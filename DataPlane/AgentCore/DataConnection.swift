import Core
import Wire

/// One data connection from the agent's side: says whom it is for, waits for a player, finds the home server for
/// them, and is forgotten once bytes pass by themselves.
public struct DataConnection: Sendable {
    public enum Event: Sendable, Hashable {
        case connected
        /// The beginning of what was received and not taken; `readBytes` of it are enough.
        case received([UInt8])
        case homeConnected
        case homeFailed
        case timePassed
    }

    public enum Action: Sendable, Hashable {
        case send([UInt8])
        /// So many received bytes are dealt with.
        case take(Int)
        case dialHome
        /// Answer with the first bytes, send the second ones home, then pass on everything both ways.
        case join(answer: [UInt8], home: [UInt8])
        /// Close once everything is sent.
        case close
    }

    private enum State: Sendable {
        case connecting
        case waiting
        case dialingHome(Start)
        case ended
    }

    public static let readBytes = 3 + Start.maxPayloadBytes
    /// A player waits at the other end of one that was opened for now.
    private static let startLimit = Milliseconds.seconds(10)

    private let request: DataRequest
    private let home: PlayerAddress?
    private let proxyProtocol: ProxyProtocol
    private var state = State.connecting
    /// When to look again with `.timePassed`.
    public private(set) var deadline: Instant?

    /// `home` is the local server's address if it is known as a number.
    public init(_ request: DataRequest, home: PlayerAddress?, proxyProtocol: ProxyProtocol) {
        self.request = request
        self.home = home
        self.proxyProtocol = proxyProtocol
    }

    /// The player, once there is one.
    public var player: PlayerAddress? {
        if case .dialingHome(let start) = state { start.player } else { nil }
    }

    /// Nobody's yet: it may be closed without anyone noticing.
    public var isParked: Bool {
        switch state {
        case .connecting, .waiting: request.isParked
        case .dialingHome, .ended: false
        }
    }

    public mutating func handle(_ event: Event, at now: Instant) -> [Action] {
        switch (event, state) {
        case (.connected, .connecting):
            state = .waiting
            if !request.isParked { deadline = now + Self.startLimit }
            let preamble = Preamble(relay: request.rendezvous.relay, nonce: request.nonce)
            return [.send(preamble.encode())]
        case (.received(let bytes), .waiting): return received(bytes)
        case (.homeConnected, .dialingHome(let start)):
            state = .ended
            return [
                .join(
                    answer: StartAnswer.ready.encode(),
                    home: proxyProtocol.header(player: start.player, home: home))
            ]
        case (.homeFailed, .dialingHome):
            state = .ended
            return [.send(StartAnswer.refused(.localServerUnreachable).encode()), .close]
        case (.timePassed, .waiting):
            guard let deadline, now >= deadline else { return [] }
            return end()
        default: return []
        }
    }

    private mutating func received(_ bytes: [UInt8]) -> [Action] {
        do throws(WireError) {
            switch try Start.decode(bytes.span) {
            case .needMore: return []
            // A relay that says anything else here is not one.
            case .skipped: return end()
            case .message(let start, let consumed):
                state = .dialingHome(start)
                deadline = nil
                return [.take(consumed), .dialHome]
            }
        } catch {
            return end()
        }
    }

    private mutating func end() -> [Action] {
        state = .ended
        deadline = nil
        return [.close]
    }
}
