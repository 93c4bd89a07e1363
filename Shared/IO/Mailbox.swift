import CLinux
import Synchronization

/// The only door into a loop from outside: work posted here runs on the loop's thread, in order. Work posted
/// after the loop ended is dropped.
public struct Mailbox: Sendable {
    private let box: Box

    private final class Box: Sendable {
        let wake: Descriptor
        let letters = Mutex<(work: [@Sendable (EventLoop) -> Void], open: Bool)>(([], true))

        init(wake: consuming Descriptor) { self.wake = wake }
    }

    init() throws(SystemError) {
        let descriptor = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC))
        guard descriptor >= 0 else { throw .last("eventfd") }
        box = Box(wake: Descriptor(owning: descriptor))
    }

    var wakeDescriptor: Int32 { box.wake.rawValue }

    public func post(_ work: @escaping @Sendable (EventLoop) -> Void) {
        let first = box.letters.withLock { letters in
            guard letters.open else { return false }
            letters.work.append(work)
            return letters.work.count == 1
        }
        if first { eventfd_write(box.wake.rawValue, 1) }
    }

    /// Everything posted so far; later posts ring again.
    func collect() -> [@Sendable (EventLoop) -> Void] {
        var count: eventfd_t = 0
        eventfd_read(box.wake.rawValue, &count)
        return box.letters.withLock { letters in
            let work = letters.work
            letters.work = []
            return work
        }
    }

    func close() {
        // Dropped outside the lock: what the work holds may post when it goes.
        let dropped = box.letters.withLock { letters in
            let work = letters.work
            letters = ([], false)
            return work
        }
        _ = consume dropped
    }
}
