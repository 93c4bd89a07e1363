import Core
import Synchronization

/// Slows down guessing of one account's password from one address: after a few failures each further try must wait,
/// from 1 s, doubling, to a minute. Known and unknown accounts behave the same, and nobody else is locked out.
final class SignInThrottle: Sendable {
    private struct Key: Hashable {
        let email: String
        let client: String
    }

    private struct Record {
        var failures = 0
        var nextTry = Instant(nanoseconds: 0)
    }

    private static let freeTries = 5
    private static let maxPause_s = 60
    private static let maxRecords = 20_000
    private let records = Mutex<[Key: Record]>([:])

    func check(email: String, client: String, now: Instant = .now()) throws(Problem) {
        let record = records.withLock { $0[Key(email: email.lowercased(), client: client)] }
        guard let record, record.nextTry > now else { return }
        let wait_s = (record.nextTry.since(now).count + 999) / 1000
        var problem = Problem(
            429, "quota-exceeded", "Too many wrong passwords for this address: try again in \(wait_s) s.")
        problem.headers = [("Retry-After", String(wait_s))]
        throw problem
    }

    func failed(email: String, client: String, now: Instant = .now()) {
        records.withLock { records in
            if records.count >= Self.maxRecords {
                records = records.filter { $0.value.nextTry > now }
                if records.count >= Self.maxRecords { records = [:] }
            }
            let key = Key(email: email.lowercased(), client: client)
            var record = records[key] ?? Record()
            record.failures += 1
            let over = record.failures - Self.freeTries
            if over >= 0 {
                record.nextTry = now + .seconds(min(Self.maxPause_s, 1 << min(over, 6)))
            }
            records[key] = record
        }
    }

    func succeeded(email: String, client: String) {
        records.withLock { $0[Key(email: email.lowercased(), client: client)] = nil }
    }
}
