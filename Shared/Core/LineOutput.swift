import CLinux
import Synchronization

/// Writes lines to standard output or error without ever waiting for whoever reads there: a full pipe or a stopped
/// terminal must not stop a loop that serves players. What cannot be written now is held, up to a cap; beyond it
/// whole lines are lost, and the reader is told how many.
public final class LineOutput: Sendable {
    private struct State {
        var held: [UInt8] = []
        var written = 0
        var lost = 0
    }

    private let descriptor: Int32
    private let maxHeldBytes: Int
    private let lostNotice: @Sendable (Int) -> String
    private let state = Mutex(State())
    /// A pipe that polls as writable takes this much without blocking (PIPE_BUF, pipe(7)).
    private static let piece = 4096

    /// `lostNotice` makes the line, with its end, that stands where lines are missing.
    public init(
        descriptor: Int32, maxHeldBytes: Int = 256 * 1024,
        lostNotice: @escaping @Sendable (Int) -> String = { "(\($0) lines are missing: nobody read them)\n" }
    ) {
        self.descriptor = descriptor
        self.maxHeldBytes = maxHeldBytes
        self.lostNotice = lostNotice
    }

    /// `text` is one or more whole lines.
    public func write(_ text: String) {
        state.withLock { state in
            drain(&state)
            if state.lost > 0, state.held.isEmpty {
                state.held += lostNotice(state.lost).utf8
                state.lost = 0
            }
            if state.lost > 0 || state.held.count - state.written + text.utf8.count > maxHeldBytes {
                state.lost += 1
            } else {
                state.held += text.utf8
            }
            drain(&state)
        }
    }

    /// Tries again; false while something is still held.
    @discardableResult
    public func flush() -> Bool {
        state.withLock { state in
            drain(&state)
            return state.held.isEmpty
        }
    }

    /// For the end of a program: waits up to `patience` for the reader.
    public func finish(within patience: Milliseconds) {
        let deadline = Instant.now() + patience
        while !flush(), Instant.now() < deadline { _ = isWritable(waiting_ms: 50) }
    }

    private func drain(_ state: inout State) {
        while state.written < state.held.count, isWritable(waiting_ms: 0) {
            let end = min(state.held.count, state.written + Self.piece)
            let count = state.held[state.written..<end].withUnsafeBytes {
                CLinux.write(descriptor, $0.baseAddress, $0.count)
            }
            if count > 0 {
                state.written += count
            } else if mc_errno() != EINTR {
                if mc_errno() == EAGAIN { return }
                // The reader is gone for good: so are the lines.
                state.written = state.held.count
            }
        }
        if state.written == state.held.count {
            state.held.removeAll(keepingCapacity: state.held.capacity <= 4 * Self.piece)
            state.written = 0
        }
    }

    private func isWritable(waiting_ms: Int32) -> Bool {
        var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        // A reader that is gone polls as an error: writing then tells.
        return CLinux.poll(&poll, 1, waiting_ms) > 0
    }
}
