import CLinux
import CPostgres
import Core

/// One connection to the server. Owns libpq's handle and uses its non-blocking calls only, so that every wait
/// has a deadline. After `.unavailable` it is of no use any more.
public struct Connection: ~Copyable {
    private let handle: OpaquePointer
    /// Statement names by SQL text. Texts are literals of ours, so their number is bounded.
    private var prepared: [String: String] = [:]
    private static let maxPrepared = 512

    private init(handle: OpaquePointer) { self.handle = handle }

    deinit { PQfinish(handle) }

    /// Connects by a `postgresql://` URL or `key=value` text. A host name is looked up by libpq, which blocks:
    /// callers run on a queue of their own.
    static func open(_ url: String, deadline: Instant) throws(PostgresError) -> Connection {
        let options: [(String, String)] = [
            ("dbname", url),
            ("client_encoding", "UTF8"),
            ("fallback_application_name", "minecart"),
            ("keepalives_idle", "10"),
            ("keepalives_interval", "5"),
            ("keepalives_count", "3"),
        ]
        let names = options.map { strdup($0.0) }
        let values = options.map { strdup($0.1) }
        defer { for text in names + values { free(text) } }
        var namePointers = names.map { UnsafePointer($0) } + [nil]
        var valuePointers = values.map { UnsafePointer($0) } + [nil]
        guard let handle = PQconnectStartParams(&namePointers, &valuePointers, 1) else {
            throw .unavailable("out of memory")
        }
        let connection = Connection(handle: handle)
        try connection.finishConnecting(deadline)
        return connection
    }

    private func finishConnecting(_ deadline: Instant) throws(PostgresError) {
        var state = PGRES_POLLING_WRITING
        while PQstatus(handle) != CONNECTION_BAD {
            switch state {
            case PGRES_POLLING_OK:
                guard PQsetnonblocking(handle, 1) == 0 else { throw lost() }
                _ = PQsetErrorVerbosity(handle, PQERRORS_DEFAULT)
                PQsetNoticeProcessor(handle, { _, _ in }, nil)
                return
            case PGRES_POLLING_READING: try wait(for: POLLIN, until: deadline)
            case PGRES_POLLING_WRITING: try wait(for: POLLOUT, until: deadline)
            default: throw lost()
            }
            state = PQconnectPoll(handle)
        }
        throw lost()
    }

    /// Runs one statement with its binds and answers its rows.
    public mutating func query(_ sql: String, _ binds: [Bind], deadline: Instant) throws(PostgresError)
        -> Rows
    {
        let encoded = try EncodedBinds(binds)
        let name = try prepare(sql, deadline)
        let sent = encoded.withPointers { values, lengths, formats in
            if let name {
                PQsendQueryPrepared(handle, name, Int32(binds.count), values, lengths, formats, 0)
            } else {
                PQsendQueryParams(handle, sql, Int32(binds.count), nil, values, lengths, formats, 0)
            }
        }
        guard sent == 1 else { throw lost() }
        return try lastResult(deadline)
    }

    /// Runs a script of several statements without binds; the answer is the last one's.
    @discardableResult
    mutating func script(_ sql: String, deadline: Instant) throws(PostgresError) -> Rows {
        guard PQsendQuery(handle, sql) == 1 else { throw lost() }
        return try lastResult(deadline)
    }

    /// The statement's name, prepared now if need be; nil when there are too many already.
    private mutating func prepare(_ sql: String, _ deadline: Instant) throws(PostgresError) -> String? {
        if let name = prepared[sql] { return name }
        guard prepared.count < Self.maxPrepared else { return nil }
        let name = "s\(prepared.count)"
        guard PQsendPrepare(handle, name, sql, 0, nil) == 1 else { throw lost() }
        _ = try lastResult(deadline)
        prepared[sql] = name
        return name
    }

    /// Sends what is buffered, reads every answer, keeps the last one; the first error wins.
    private func lastResult(_ deadline: Instant) throws(PostgresError) -> Rows {
        while true {
            let flushed = PQflush(handle)
            guard flushed >= 0 else { throw lost() }
            if flushed == 0 { break }
            if try wait(for: POLLIN | POLLOUT, until: deadline) & POLLIN != 0 {
                guard PQconsumeInput(handle) == 1 else { throw lost() }
            }
        }
        var rows: Rows?
        var failure: PostgresError?
        while true {
            while PQisBusy(handle) == 1 {
                try wait(for: POLLIN, until: deadline)
                guard PQconsumeInput(handle) == 1 else { throw lost() }
            }
            guard let result = PQgetResult(handle) else { break }
            switch PQresultStatus(result) {
            case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY: rows = Rows(result: result)
            case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
                PQclear(result)
                throw .unavailable("COPY is not spoken here")
            default:
                failure = failure ?? error(of: result)
                PQclear(result)
            }
        }
        if let failure { throw failure }
        guard let rows else { throw lost() }
        return rows
    }

    private func error(of result: OpaquePointer) -> PostgresError {
        guard let state = Self.field(result, "C") else { return lost() }
        return .server(
            sqlState: state, message: Self.field(result, "M") ?? "", constraint: Self.field(result, "n") ?? ""
        )
    }

    /// A field of an error, by its code in the protocol ("Error and Notice Message Fields").
    private static func field(_ result: OpaquePointer, _ code: UnicodeScalar) -> String? {
        PQresultErrorField(result, Int32(code.value)).map { String(cString: $0) }
    }

    private func lost() -> PostgresError {
        let message = PQerrorMessage(handle).map { String(cString: $0) } ?? ""
        let line = message.split(whereSeparator: \.isNewline).first.map(String.init)
        return .unavailable(line ?? "the connection is lost")
    }

    // MARK: Notifications

    /// Waits for notifications until the deadline, or until `wakeUp` is readable. An empty answer means neither
    /// came, which says nothing about the connection.
    func notifications(until deadline: Instant, wakeUp: Int32) throws(PostgresError) -> [Notification] {
        while true {
            guard PQconsumeInput(handle) == 1 else { throw lost() }
            var found: [Notification] = []
            while let notify = PQnotifies(handle) {
                found.append(
                    Notification(
                        channel: String(cString: notify.pointee.relname),
                        payload: String(cString: notify.pointee.extra)))
                PQfreemem(notify)
            }
            if !found.isEmpty { return found }
            var entries = [
                pollfd(fd: PQsocket(handle), events: Int16(POLLIN), revents: 0),
                pollfd(fd: wakeUp, events: Int16(POLLIN), revents: 0),
            ]
            let ready = poll(&entries, 2, Self.timeout(until: deadline))
            if ready == 0 || entries[1].revents != 0 { return [] }
            guard ready > 0 || mc_errno() == EINTR else { throw .unavailable("poll failed") }
        }
    }

    /// False when the server has closed the connection meanwhile. Looks only; costs no round trip.
    func looksAlive() -> Bool {
        PQsocket(handle) >= 0 && PQconsumeInput(handle) == 1 && PQstatus(handle) == CONNECTION_OK
    }

    // MARK: Waiting

    @discardableResult
    private func wait(for events: Int32, until deadline: Instant) throws(PostgresError) -> Int32 {
        let descriptor = PQsocket(handle)
        guard descriptor >= 0 else { throw lost() }
        while true {
            var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
            let timeout = Self.timeout(until: deadline)
            let ready = poll(&entry, 1, timeout)
            if ready > 0 { return Int32(entry.revents) }
            guard ready == 0 || mc_errno() == EINTR else { throw .unavailable("poll failed") }
            if ready == 0 && Instant.now() >= deadline { throw .unavailable("no answer in time") }
        }
    }

    /// poll's milliseconds, rounded up so that the deadline is over when they are.
    private static func timeout(until deadline: Instant) -> Int32 {
        let now = Instant.now()
        guard deadline > now else { return 0 }
        return Int32(clamping: (deadline.nanoseconds - now.nanoseconds + 999_999) / 1_000_000)
    }
}

/// A NOTIFY that arrived.
public struct Notification: Sendable, Hashable {
    public let channel: String
    public let payload: String
}

/// Binds laid out for libpq: one block of bytes, and where in it each value lies.
private struct EncodedBinds {
    private var bytes: [UInt8] = []
    private var offsets: [Int?] = []
    private var lengths: [Int32] = []
    private var formats: [Int32] = []

    /// Text with a NUL byte is refused: libpq would silently cut it there.
    init(_ binds: [Bind]) throws(PostgresError) {
        for bind in binds {
            switch bind {
            case .null: append(nil, format: 0)
            case .bytes(let value): append(value, format: 1)
            case .text(let value):
                let text = Array(value.utf8)
                guard !text.contains(0) else { throw .unexpectedValue("text with a NUL character") }
                append(text, format: 0)
            }
        }
    }

    private mutating func append(_ value: [UInt8]?, format: Int32) {
        offsets.append(value == nil ? nil : bytes.count)
        lengths.append(Int32(clamping: value?.count ?? 0))
        formats.append(format)
        if let value {
            bytes += value
            bytes.append(0)
        }
    }

    func withPointers<Result>(
        _ body: (UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?, UnsafePointer<Int32>?) ->
            Result
    ) -> Result {
        bytes.withUnsafeBytes { raw in
            let start = raw.bindMemory(to: CChar.self).baseAddress
            let values = offsets.map { offset in offset.flatMap { distance in start.map { $0 + distance } } }
            return values.withUnsafeBufferPointer { values in
                lengths.withUnsafeBufferPointer { lengths in
                    formats.withUnsafeBufferPointer { formats in
                        body(values.baseAddress, lengths.baseAddress, formats.baseAddress)
                    }
                }
            }
        }
    }
}
