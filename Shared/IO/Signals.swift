import CLinux

/// Signals as events of a loop.
public final class Signals: Source {
    private let loop: EventLoop
    private let descriptor: Descriptor
    private let onSignal: (Int32) -> Void

    /// To be called first in a program, before any thread starts: threads inherit what is blocked. SIGPIPE is
    /// ignored, since splice(2) raises it.
    public static func block(_ signals: [Int32]) {
        mc_ignore_signal(SIGPIPE)
        var set = Self.set(signals)
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    public init(loop: EventLoop, _ signals: [Int32], onSignal: @escaping (Int32) -> Void) throws(SystemError)
    {
        var set = Self.set(signals)
        let raw = signalfd(-1, &set, Int32(SFD_NONBLOCK) | Int32(SFD_CLOEXEC))
        guard raw >= 0 else { throw .last("signalfd") }
        descriptor = Descriptor(owning: raw)
        self.loop = loop
        self.onSignal = onSignal
        super.init()
        try loop.add(self, descriptor: raw)
    }

    public override func ready(_ readiness: Readiness) {
        var info = signalfd_siginfo()
        while read(descriptor.rawValue, &info, MemoryLayout<signalfd_siginfo>.size)
            == MemoryLayout<signalfd_siginfo>.size
        {
            onSignal(Int32(info.ssi_signo))
        }
    }

    private static func set(_ signals: [Int32]) -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in signals { sigaddset(&set, signal) }
        return set
    }
}
