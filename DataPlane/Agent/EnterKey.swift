import CLinux
import Core
import IO

/// Waits for a person at the terminal to press Enter, once.
final class EnterKey: Source {
    private let loop: EventLoop
    private var onPress: (() -> Void)?

    /// Whether there is a terminal and this program is the one that it talks to: a program in the background that
    /// read from it would be stopped.
    static var isThere: Bool { isatty(0) == 1 && tcgetpgrp(0) == getpgrp() }

    /// What was typed before does not count. `onPress` is called at most once, on the loop.
    init(loop: EventLoop, _ onPress: @escaping () -> Void) {
        self.loop = loop
        self.onPress = onPress
        super.init()
        if Self.isThere { tcflush(0, TCIFLUSH) }
        do throws(SystemError) { try loop.add(self, descriptor: 0) } catch { self.onPress = nil }
    }

    override func ready(_ readiness: Readiness) {
        guard Self.isThere, hasInput, let onPress else { return }
        var line = [UInt8](repeating: 0, count: 1024)
        let count = line.withUnsafeMutableBytes { read(0, $0.baseAddress, $0.count) }
        // Ctrl-D is no Enter.
        guard count > 0 else { return }
        self.onPress = nil
        loop.remove(self)
        onPress()
    }

    /// The terminal is shared with other programs, so it stays a blocking one.
    private var hasInput: Bool {
        var wanted = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
        return poll(&wanted, 1, 0) > 0 && wanted.revents & Int16(POLLIN) != 0
    }
}
