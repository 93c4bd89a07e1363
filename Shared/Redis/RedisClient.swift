import Core
import IO
import Synchronization

/// A command connection to Redis for code that does not live on a loop.
public final class RedisClient: Sendable {
    private let mailbox: Mailbox
    private let bound: LoopBound<RedisConnection>

    /// To be called on the loop that is to carry the connection.
    public init(_ connection: RedisConnection, on loop: EventLoop) {
        mailbox = loop.mailbox
        bound = LoopBound(connection, loop)
    }

    /// Makes and starts a connection on the loop behind `mailbox`.
    public static func start(url: RedisURL, on mailbox: Mailbox) async -> RedisClient {
        await withCheckedContinuation { continuation in
            mailbox.post { loop in
                let connection = RedisConnection(loop: loop, url: url)
                connection.start()
                continuation.resume(returning: RedisClient(connection, on: loop))
            }
        }
    }

    /// Waits at most `timeout` for a connection and the reply.
    public func command(
        _ arguments: [[UInt8]], timeout: Milliseconds = .seconds(1)
    ) async throws(RedisError) -> RedisReply {
        let bound = bound
        let mailbox = mailbox
        let result: Result<RedisReply, RedisError> = await withCheckedContinuation { continuation in
            let waiting = Waiting(continuation)
            mailbox.post { loop in
                bound.get(loop).command(arguments, timeout: timeout) { waiting.resume($0) }
            }
        }
        return try result.get()
    }

    public func command(
        _ arguments: String..., timeout: Milliseconds = .seconds(1)
    ) async throws(RedisError) -> RedisReply {
        try await command(arguments.map { Array($0.utf8) }, timeout: timeout)
    }

    public func close() {
        let bound = bound
        mailbox.post { bound.get($0).close() }
    }
}

/// Resumes whoever waits for a reply, also when the loop ended and dropped the question.
private final class Waiting: Sendable {
    private let continuation: Mutex<CheckedContinuation<Result<RedisReply, RedisError>, Never>?>

    init(_ continuation: CheckedContinuation<Result<RedisReply, RedisError>, Never>) {
        self.continuation = Mutex(continuation)
    }

    deinit { resume(.failure(.closed)) }

    func resume(_ result: Result<RedisReply, RedisError>) {
        continuation.withLock { $0.take() }?.resume(returning: result)
    }
}
