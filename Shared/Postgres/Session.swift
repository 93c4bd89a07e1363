import Core
import Dispatch

/// Runs an actor's jobs on a serial Dispatch queue, where waiting in poll holds up nobody else.
final class QueueExecutor: SerialExecutor {
    private let queue: DispatchQueue

    init(label: String) { queue = DispatchQueue(label: label) }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }

    func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }
}

/// How long things may take.
public struct PostgresTimeouts: Sendable {
    /// Getting a connection that answers, waiting for a free one included.
    public var connect: Milliseconds
    /// A whole transaction after that.
    public var work: Milliseconds

    public init(connect: Milliseconds = Milliseconds(800), work: Milliseconds = .seconds(5)) {
        self.connect = connect
        self.work = work
    }
}

/// A transaction while it runs: what its closure is given.
public struct Transaction: ~Copyable {
    fileprivate var connection: Connection
    fileprivate let deadline: Instant

    /// Runs one statement, written out in full; values go in as binds ($1, $2, …).
    @discardableResult
    public mutating func query(_ sql: String, _ binds: any Bindable...) throws(PostgresError) -> Rows {
        try connection.query(sql, binds.map(\.bind), deadline: deadline)
    }

    /// The first row of a statement that always has one.
    public mutating func row(_ sql: String, _ binds: any Bindable...) throws(PostgresError) -> Row {
        guard let row = try connection.query(sql, binds.map(\.bind), deadline: deadline).first else {
            throw .unexpectedValue("no row where one must be")
        }
        return row
    }

    fileprivate consuming func finish() -> Connection { connection }
}

/// How much of others' work a transaction sees.
public enum Isolation: String, Sendable {
    /// No transaction: each statement by itself, in one round trip. For reading, and for a change that may as well be
    /// done twice; the closure is run again when the connection turns out to be dead.
    case none = "NONE"
    case readCommitted = "READ COMMITTED"
    /// One point in time for all statements.
    case repeatableRead = "REPEATABLE READ"
}

/// One connection and the queue it works on. Connects when it is first used and again after it was lost.
actor Session {
    private let url: String
    private let executor: QueueExecutor
    private var connection: Connection?
    /// How long a kept connection may take to answer BEGIN before a new one is opened instead.
    private static let beginPatience = Milliseconds(300)

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(url: String, label: String) {
        self.url = url
        executor = QueueExecutor(label: label)
    }

    func close() { connection = nil }

    /// BEGIN, the closure, COMMIT. The closure is rolled back when it throws.
    func transaction<Result: Sendable>(
        _ isolation: Isolation, timeouts: PostgresTimeouts, connectBy: Instant,
        _ body: @Sendable (inout Transaction) throws -> Result
    ) throws -> Result {
        guard isolation != .none else { return try alone(timeouts, connectBy, body) }
        let begin =
            "BEGIN ISOLATION LEVEL \(isolation.rawValue); "
            + "SET LOCAL statement_timeout = \(timeouts.work.count); "
            + "SET LOCAL idle_in_transaction_session_timeout = \(timeouts.work.count * 2)"
        let opened = try begun(begin, by: connectBy)
        var transaction = Transaction(connection: opened, deadline: Instant.now() + timeouts.work)
        do {
            let result = try body(&transaction)
            try transaction.connection.commit(deadline: transaction.deadline)
            connection = transaction.finish()
            return result
        } catch {
            var connection = transaction.finish()
            // Rolling back a lost connection is pointless: dropping it closes it.
            if (error as? PostgresError)?.endsConnection != true,
                (try? connection.script("ROLLBACK", deadline: Instant.now() + timeouts.connect)) != nil
            {
                self.connection = consume connection
            }
            throw error
        }
    }

    private func alone<Result: Sendable>(
        _ timeouts: PostgresTimeouts, _ connectBy: Instant,
        _ body: @Sendable (inout Transaction) throws -> Result
    ) throws -> Result {
        if let kept = connection.take(), kept.looksAlive() {
            // No longer than BEGIN might take: whoever asks is told in that time that the server is away.
            let deadline = max(connectBy, Instant.now() + Self.beginPatience)
            do {
                return try run(body, on: kept, until: deadline)
            } catch let error as PostgresError where error.endsConnection && Instant.now() < connectBy {}
        }
        let fresh = try Connection.open(url, deadline: connectBy)
        return try run(body, on: fresh, until: Instant.now() + timeouts.work)
    }

    /// Keeps the connection unless it is lost.
    private func run<Result: Sendable>(
        _ body: @Sendable (inout Transaction) throws -> Result, on connection: consuming Connection,
        until deadline: Instant
    ) throws -> Result {
        var transaction = Transaction(connection: connection, deadline: deadline)
        do {
            let result = try body(&transaction)
            self.connection = transaction.finish()
            return result
        } catch {
            let used = transaction.finish()
            if (error as? PostgresError)?.endsConnection != true { self.connection = consume used }
            throw error
        }
    }

    /// Gives the bare connection, for what cannot live in one transaction. It is closed when the closure throws.
    func exclusively<Result: Sendable>(
        connectBy: Instant, _ body: @Sendable (inout Connection) throws -> Result
    ) throws -> Result {
        var opened = try Connection.open(url, deadline: connectBy)
        return try body(&opened)
    }

    /// A connection on which BEGIN was answered. A kept one that turns out dead is replaced: nothing has
    /// happened on it yet.
    private func begun(_ begin: String, by deadline: Instant) throws(PostgresError) -> Connection {
        if var kept = connection.take(), kept.looksAlive() {
            do throws(PostgresError) {
                try kept.script(begin, deadline: min(Instant.now() + Self.beginPatience, deadline))
                return kept
            } catch {
                guard error.endsConnection else { throw error }
            }
        }
        var fresh = try Connection.open(url, deadline: deadline)
        try fresh.script(begin, deadline: deadline)
        return fresh
    }
}

extension Connection {
    /// A COMMIT of a transaction that a statement has broken answers ROLLBACK: that is an error to us.
    fileprivate mutating func commit(deadline: Instant) throws(PostgresError) {
        let rows = try script("COMMIT", deadline: deadline)
        guard rows.commandTag == "COMMIT" else {
            throw .refused(sqlState: "25P02", message: "the transaction was rolled back")
        }
    }
}
