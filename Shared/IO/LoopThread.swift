import CLinux
import Synchronization

/// A thread that runs one event loop.
public final class LoopThread: Sendable {
    public let mailbox: Mailbox
    private let thread: ThreadHandle

    private init(mailbox: Mailbox, thread: ThreadHandle) {
        self.mailbox = mailbox
        self.thread = thread
    }

    public static func start(name: String) throws(SystemError) -> LoopThread {
        let ready = Handshake()
        let thread = try ThreadHandle.start(name: name) {
            switch Result(catching: { () throws(SystemError) in try EventLoop() }) {
            case .success(let loop):
                ready.deliver(.success(loop.mailbox))
                loop.run()
            case .failure(let error):
                ready.deliver(.failure(error))
            }
        }
        return LoopThread(mailbox: try ready.wait().get(), thread: thread)
    }

    /// Ends the loop after the work posted before.
    public func stop() { mailbox.post { $0.stop() } }

    public func join() { thread.join() }
}

/// Waits until another thread has a loop's mailbox or the reason why there is none.
private final class Handshake: Sendable {
    private let result = Mutex<Result<Mailbox, SystemError>?>(nil)
    private let signal = Semaphore()

    func deliver(_ value: Result<Mailbox, SystemError>) {
        result.withLock { $0 = value }
        signal.post()
    }

    func wait() -> Result<Mailbox, SystemError> {
        signal.wait()
        return result.withLock { $0 } ?? .failure(SystemError("thread start", code: EAGAIN))
    }
}

/// Collects one value from each of several threads and waits for all of them.
public final class Gathering<Value: Sendable>: Sendable {
    private let values = Mutex<[Value]>([])
    private let signal = Semaphore()
    private let count: Int

    public init(expecting count: Int) { self.count = count }

    public func add(_ value: Value) {
        values.withLock { $0.append(value) }
        signal.post()
    }

    public func wait() -> [Value] {
        for _ in 0..<count { signal.wait() }
        return values.withLock { $0 }
    }
}

/// A semaphore over an eventfd; without a descriptor to be had, waiting returns at once.
final class Semaphore: Sendable {
    private let descriptor: Int32

    init() { descriptor = eventfd(0, Int32(EFD_SEMAPHORE) | Int32(EFD_CLOEXEC)) }

    deinit { if descriptor >= 0 { close(descriptor) } }

    func post() { eventfd_write(descriptor, 1) }

    func wait() {
        var value: eventfd_t = 0
        while eventfd_read(descriptor, &value) != 0, mc_errno() == EINTR {}
    }
}

/// A POSIX thread that runs one closure.
public final class ThreadHandle: Sendable {
    private let thread: Mutex<pthread_t?>

    private final class Start {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    private init(_ thread: pthread_t) { self.thread = Mutex(thread) }

    /// `name` is cut to the 15 bytes that the kernel keeps.
    public static func start(
        name: String, _ body: @escaping @Sendable () -> Void
    ) throws(SystemError) -> ThreadHandle {
        var thread = pthread_t()
        let start = Unmanaged.passRetained(Start(name: String(name.prefix(15)), body: body))
        let code = pthread_create(
            &thread, nil,
            { raw in
                guard let raw else { return nil }
                let start = Unmanaged<Start>.fromOpaque(raw).takeRetainedValue()
                pthread_setname_np(pthread_self(), start.name)
                start.body()
                return nil
            }, start.toOpaque())
        guard code == 0 else {
            start.release()
            throw SystemError("pthread_create", code: code)
        }
        return ThreadHandle(thread)
    }

    /// Waits for the thread's end; a second call returns at once.
    public func join() {
        let handle = thread.withLock { value in
            let handle = value
            value = nil
            return handle
        }
        if let handle { pthread_join(handle, nil) }
    }

    /// Lets the thread end unobserved.
    public func detach() {
        let handle = thread.withLock { value in
            let handle = value
            value = nil
            return handle
        }
        if let handle { pthread_detach(handle) }
    }
}
