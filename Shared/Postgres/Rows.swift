import CPostgres
import Core

/// The rows of one answer; read them where they came, they do not cross threads.
public final class Rows: Sequence {
    let result: OpaquePointer
    public let count: Int

    /// Takes over the result and frees it.
    init(result: OpaquePointer) {
        self.result = result
        count = Int(PQntuples(result))
    }

    deinit { PQclear(result) }

    public var first: Row? { count > 0 ? self[0] : nil }

    /// Rows that a statement without RETURNING has changed.
    public var affected: Int { Int(String(cString: PQcmdTuples(result))) ?? 0 }

    var commandTag: String { String(cString: PQcmdStatus(result)) }

    public subscript(index: Int) -> Row { Row(rows: self, index: Int32(index)) }

    public func makeIterator() -> AnyIterator<Row> {
        var next = 0
        return AnyIterator {
            guard next < self.count else { return nil }
            defer { next += 1 }
            return self[next]
        }
    }
}

/// One row; columns are read by name and decoded to the type asked for.
public struct Row {
    let rows: Rows
    let index: Int32

    public subscript<Value: ColumnValue>(column: String) -> Value {
        get throws(PostgresError) {
            let position = PQfnumber(rows.result, column)
            guard position >= 0 else { throw .unexpectedValue("the answer has no column \(column)") }
            guard let value = Value(column: text(position)) else {
                throw .unexpectedValue("column \(column) is not a \(Value.self)")
            }
            return value
        }
    }

    private func text(_ position: Int32) -> String? {
        guard PQgetisnull(rows.result, index, position) == 0,
            let start = PQgetvalue(rows.result, index, position)
        else { return nil }
        let length = Int(PQgetlength(rows.result, index, position))
        return start.withMemoryRebound(to: UInt8.self, capacity: length) {
            String(decoding: UnsafeBufferPointer(start: $0, count: length), as: UTF8.self)
        }
    }
}

/// What a column can be decoded to; nil in means SQL NULL, nil out means it does not fit.
public protocol ColumnValue {
    init?(column: String?)
}

extension String: ColumnValue {
    public init?(column: String?) {
        guard let column else { return nil }
        self = column
    }
}

extension Int: ColumnValue {
    public init?(column: String?) {
        guard let column, let value = Int(column) else { return nil }
        self = value
    }
}

extension Int64: ColumnValue {
    public init?(column: String?) {
        guard let column, let value = Int64(column) else { return nil }
        self = value
    }
}

extension Double: ColumnValue {
    public init?(column: String?) {
        guard let column, let value = Double(column) else { return nil }
        self = value
    }
}

extension Bool: ColumnValue {
    public init?(column: String?) {
        switch column {
        case "t": self = true
        case "f": self = false
        default: return nil
        }
    }
}

extension Array: ColumnValue where Element == UInt8 {
    /// `bytea` in the server's hex form.
    public init?(column: String?) {
        guard let column, column.hasPrefix("\\x"), let bytes = Hex.decode(column.dropFirst(2)) else {
            return nil
        }
        self = bytes
    }
}

extension JSON: ColumnValue {
    public init?(column: String?) {
        guard let column, let value = try? JSON.parse(column) else { return nil }
        self = value
    }
}

extension WallTime: ColumnValue {
    /// Whole seconds: SQL selects `floor(extract(epoch from t))::bigint`.
    public init?(column: String?) {
        guard let column, let seconds = Int64(column) else { return nil }
        self.init(seconds: seconds)
    }
}

extension Identifier: ColumnValue {
    public init?(column: String?) {
        guard let column else { return nil }
        self.init(column)
    }
}

extension Optional: ColumnValue where Wrapped: ColumnValue {
    public init?(column: String?) {
        guard column != nil else {
            self = Wrapped?.none
            return
        }
        guard let value = Wrapped(column: column) else { return nil }
        self = Wrapped?.some(value)
    }
}
