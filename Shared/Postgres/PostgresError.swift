/// Why the database did not do what it was asked. Carries no bound value and no password.
public enum PostgresError: Error, Sendable, Hashable, CustomStringConvertible {
    /// No connection, a lost one, or no answer in time: try again later. The work may or may not be done.
    case unavailable(String)
    case uniqueViolation(constraint: String)
    case foreignKeyViolation(constraint: String)
    case checkViolation(constraint: String)
    /// Two transactions were in each other's way (SQLSTATE 40001, 40P01): the same work may succeed now.
    case serializationFailure
    /// Anything else the server refuses.
    case refused(sqlState: String, message: String)
    /// A row does not hold what the code expects, or a bind cannot be sent.
    case unexpectedValue(String)

    public var description: String {
        switch self {
        case .unavailable(let reason): "the database is not available: \(reason)"
        case .uniqueViolation(let constraint): "a row with that value exists (\(constraint))"
        case .foreignKeyViolation(let constraint): "a row that is referred to is missing (\(constraint))"
        case .checkViolation(let constraint): "a value is not allowed (\(constraint))"
        case .serializationFailure: "another transaction was in the way"
        case .refused(let state, let message): "the database refused (\(state)): \(message)"
        case .unexpectedValue(let reason): "unexpected value: \(reason)"
        }
    }

    static func server(sqlState: String, message: String, constraint: String) -> PostgresError {
        switch sqlState {
        case "23505": .uniqueViolation(constraint: constraint)
        case "23503": .foreignKeyViolation(constraint: constraint)
        case "23514": .checkViolation(constraint: constraint)
        case "40001", "40P01": .serializationFailure
        // The server ran out of patience, connections or life: to the caller it is away.
        case "57014", "57P01", "57P02", "57P03", "53300", "25P03", "25P04", "08006", "08003":
            .unavailable("\(sqlState) \(message)")
        // Messages of class 22 quote the value.
        case _ where sqlState.hasPrefix("22"): .refused(sqlState: sqlState, message: "a value does not fit")
        default: .refused(sqlState: sqlState, message: message)
        }
    }

    /// After these the connection itself cannot be trusted: it is closed, the next use opens another.
    var endsConnection: Bool {
        switch self {
        case .unavailable: true
        // A prepared statement is gone or no longer fits the tables.
        case .refused(let state, _): state == "26000" || state == "0A000" || state.hasPrefix("08")
        default: false
        }
    }
}
