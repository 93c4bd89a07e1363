import CLinux
import Core

/// What went wrong with a part or a player, in words.
struct Trouble: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// No wait of these tests is longer; the machine may be slow and busy.
let patience = Milliseconds.seconds(30)

/// Looks until there is something to see. Throws when `limit` has passed without it.
@discardableResult
func eventually<Value>(
    _ what: String, within limit: Milliseconds = patience, _ look: () throws -> Value?
) throws -> Value {
    let deadline = Instant.now() + limit
    while true {
        // Looked at once more after the deadline, in case this thread did not get to run for long.
        let isLast = Instant.now() >= deadline
        if let value = try look() { return value }
        if isLast { throw Trouble("did not happen within \(limit.count) ms: \(what)") }
        usleep(10_000)
    }
}

/// The same for something that is or is not so.
func eventually(_ what: String, within limit: Milliseconds = patience, _ isSo: () throws -> Bool) throws {
    try eventually(what, within: limit) { try isSo() ? true : nil }
}

/// The same for something that may throw until it works; the last error is told.
@discardableResult
func eventuallyWorks<Value>(
    _ what: String, within limit: Milliseconds = patience, _ attempt: () throws -> Value
) throws -> Value {
    var last = "it was never tried"
    do {
        return try eventually(what, within: limit) {
            do { return try attempt() } catch {
                last = "\(error)"
                return nil
            }
        }
    } catch {
        throw Trouble("\(error); the last attempt: \(last)")
    }
}
