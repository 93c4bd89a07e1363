import Core
import Testing
import Wire

@testable import RelayCore

/// A control plane as strict as the real one: adds a report once, whatever is said to the relay.
private struct Ledger {
    var seen: Set<String> = []
    var sums: [String: UsageCount] = [:]
    /// What each id was first told with: it must never change.
    var contents: [String: UsageReport] = [:]

    mutating func receive(_ report: UsageReport) {
        if let before = contents[report.id] { #expect(before == report, "a report changed under its id") }
        contents[report.id] = report
        #expect(report.from <= report.to)
        guard seen.insert(report.id).inserted else { return }
        for row in report.rows {
            sums[row.tunnel, default: .zero] += UsageCount(
                bytes_up: row.bytes_up, bytes_down: row.bytes_down, player_ms: row.player_s * 1000)
        }
    }
}

/// A book that expectations may change while they look at it.
private final class Shared {
    private var book: UsageBook

    init(_ book: UsageBook) { self.book = book }

    var isEmpty: Bool { book.isEmpty }
    var isBehind: Bool { book.isBehind }
    var lostBytes: Int { book.lostBytes }
    func add(_ count: UsageCount, to tunnel: String, now: WallTime) { book.add(count, to: tunnel, now: now) }
    func next(now: WallTime) -> UsageReport? { book.next(now: now) }
    func acknowledged(_ id: String) { book.acknowledged(id) }
    func failed(_ id: String) { book.failed(id) }
    func refused(_ id: String) -> UsageReport? { book.refused(id) }
}

struct UsageBookTests {
    private static let noon = WallTime(seconds: 1_795_262_400)

    private func book(_ change: (inout UsageBook.Caps) -> Void = { _ in }) -> Shared {
        var caps = UsageBook.Caps()
        change(&caps)
        return Shared(UsageBook(relay: "r1", run: "run", now: Self.noon, caps: caps))
    }

    private func count(_ up: Int, _ down: Int = 0, ms: Int = 0) -> UsageCount {
        UsageCount(bytes_up: up, bytes_down: down, player_ms: ms)
    }

    @Test func whatWasCountedIsToldOnce() throws {
        let book = book()
        #expect(book.isEmpty)
        book.add(count(3, 4, ms: 1500), to: "a", now: Self.noon + 1)
        book.add(count(10), to: "b", now: Self.noon + 2)
        book.add(count(1, 1, ms: 700), to: "a", now: Self.noon + 3)
        let report = try #require(book.next(now: Self.noon + 10))
        #expect(report.relay == "r1" && report.id == "run.1")
        #expect(report.from == Self.noon && report.to == Self.noon + 10)
        #expect(
            report.rows == [
                .init(tunnel: "a", bytes_up: 4, bytes_down: 5, player_s: 2),
                .init(tunnel: "b", bytes_up: 10, bytes_down: 0, player_s: 0),
            ])
        book.acknowledged(report.id)
        #expect(book.isEmpty)
        #expect(book.next(now: Self.noon + 20) == nil)
    }

    @Test func partsOfASecondAreKeptForLater() throws {
        let book = book()
        var told_s = 0
        for second in 1...100 {
            book.add(count(0, 0, ms: 990), to: "a", now: Self.noon + Int64(second))
            if let report = book.next(now: Self.noon + Int64(second)) {
                told_s += report.rows[0].player_s
                book.acknowledged(report.id)
            }
        }
        #expect(told_s == 99)
    }

    @Test func aLostAnswerBringsTheSameReportAgainAndNewCountsWait() throws {
        let book = book()
        book.add(count(5), to: "a", now: Self.noon)
        let report = try #require(book.next(now: Self.noon + 10))
        book.add(count(7), to: "a", now: Self.noon + 12)
        book.failed(report.id)
        #expect(book.next(now: Self.noon + 20) == report)
        book.failed(report.id)
        #expect(book.next(now: Self.noon + 30) == report)
        book.acknowledged(report.id)
        let second = try #require(book.next(now: Self.noon + 40))
        #expect(second.id != report.id)
        #expect(second.rows == [.init(tunnel: "a", bytes_up: 7, bytes_down: 0, player_s: 0)])
    }

    @Test func oneReportIsOutAtATime() throws {
        let book = book()
        book.add(count(5), to: "a", now: Self.noon)
        let report = try #require(book.next(now: Self.noon + 10))
        book.add(count(5), to: "b", now: Self.noon + 11)
        #expect(book.next(now: Self.noon + 20) == nil)
        book.acknowledged(report.id)
        #expect(book.next(now: Self.noon + 20) != nil)
    }

    @Test func lateAndRepeatedAnswersChangeNothing() throws {
        let book = book()
        book.add(count(5), to: "a", now: Self.noon)
        let first = try #require(book.next(now: Self.noon + 10))
        book.failed(first.id)
        // The answer was only late: the report need not go out again.
        book.acknowledged(first.id)
        book.add(count(6), to: "a", now: Self.noon + 11)
        let second = try #require(book.next(now: Self.noon + 20))
        #expect(second.rows[0].bytes_up == 6)
        book.acknowledged(first.id)
        book.failed(first.id)
        #expect(book.refused(first.id) == nil)
        #expect(book.next(now: Self.noon + 30) == nil, "the second is still out")
        book.failed(second.id)
        #expect(book.next(now: Self.noon + 30) == second)
    }

    @Test func aReportThatIsNeverTakenIsLetGo() throws {
        let book = book()
        book.add(count(5), to: "a", now: Self.noon)
        let report = try #require(book.next(now: Self.noon + 10))
        #expect(book.refused(report.id) == report)
        #expect(book.isEmpty)
    }

    @Test func hoursAreToldApart() throws {
        let book = book()
        book.add(count(1), to: "a", now: Self.noon + 3599)
        book.add(count(2), to: "a", now: Self.noon + 3600)
        let first = try #require(book.next(now: Self.noon + 3601))
        #expect(first.rows[0].bytes_up == 1)
        #expect(first.from.startOfHour == Self.noon)
        #expect(book.isBehind == false)
        book.acknowledged(first.id)
        let second = try #require(book.next(now: Self.noon + 3602))
        #expect(second.rows[0].bytes_up == 2)
        #expect(second.from.startOfHour == Self.noon + 3600)
    }

    @Test func aLongOutageMergesTheOldestHoursAndLosesNothing() throws {
        let book = book { $0.pages = 3 }
        for hour in 0..<10 { book.add(count(1 << hour), to: "a", now: Self.noon + Int64(hour) * 3600) }
        var told: [Int] = []
        while let report = book.next(now: Self.noon + 10 * 3600) {
            told.append(report.rows[0].bytes_up)
            book.acknowledged(report.id)
        }
        #expect(told == [0xFF, 0x100, 0x200])
        #expect(book.isEmpty)
    }

    @Test func aClockThatIsSetBackLosesNothing() throws {
        let book = book()
        book.add(count(1), to: "a", now: Self.noon + 500_000)
        book.add(count(2), to: "a", now: Self.noon)
        var sum = 0
        while let report = book.next(now: Self.noon + 1) {
            #expect(report.from <= report.to)
            sum += report.rows[0].bytes_up
            book.acknowledged(report.id)
        }
        #expect(sum == 3)
    }

    @Test func moreTunnelsThanAReportHoldsGoIntoSeveral() throws {
        let book = book { $0.rows = 10 }
        for tunnel in 0..<25 { book.add(count(1, 0, ms: 300), to: "t\(tunnel)", now: Self.noon) }
        var told: Set<String> = []
        var sizes: [Int] = []
        while let report = book.next(now: Self.noon + 1) {
            sizes.append(report.rows.count)
            for row in report.rows { #expect(told.insert(row.tunnel).inserted) }
            book.acknowledged(report.id)
        }
        #expect(sizes == [10, 10, 5])
        #expect(told.count == 25)
    }

    @Test func memoryIsBoundedAndWhatDoesNotFitIsSaid() throws {
        let book = book { $0.tunnels = 10 }
        // The same ten tunnels in every hour fit once their hours are merged.
        for hour in 0..<5 {
            for tunnel in 0..<10 {
                book.add(count(1), to: "t\(tunnel)", now: Self.noon + Int64(hour) * 3600)
            }
        }
        var sum = 0
        for tunnel in 0..<5 { book.add(count(3), to: "new\(tunnel)", now: Self.noon + 5 * 3600) }
        while let report = book.next(now: Self.noon + 5 * 3600) {
            sum += report.rows.reduce(0) { $0 + $1.bytes_up }
            book.acknowledged(report.id)
        }
        #expect(sum + book.lostBytes == 5 * 10 + 5 * 3)
        #expect(book.lostBytes > 0)
    }

    /// Promise: whatever the network does, everything is added once.
    @Test(arguments: 0..<40)
    func anyOrderOfAnswersAddsEverythingOnce(seed: Int) throws {
        var random = Seeded(UInt64(seed) + 1)
        let book = book {
            $0.rows = 3
            $0.pages = 4
        }
        var ledger = Ledger()
        var oracle: [String: UsageCount] = [:]
        var answers: [String] = []
        var now = Self.noon
        func step(_ sending: Bool) {
            if sending, let report = book.next(now: now) {
                // Lost on the way, lost on the way back, late, or fine.
                let fate = Int.random(in: 0..<5, using: &random)
                if fate != 0 { ledger.receive(report) }
                if fate == 1 { ledger.receive(report) }
                switch fate {
                case 0, 2: book.failed(report.id)
                case 3:
                    book.failed(report.id)
                    answers.append(report.id)
                default: book.acknowledged(report.id)
                }
            }
            if !answers.isEmpty, Bool.random(using: &random) {
                book.acknowledged(answers.remove(at: Int.random(in: 0..<answers.count, using: &random)))
            }
        }
        for _ in 0..<2000 {
            now = now + Int64.random(in: 0...400, using: &random)
            let tunnel = "t\(Int.random(in: 0..<8, using: &random))"
            let some = count(
                Int.random(in: 0...1000, using: &random), Int.random(in: 0...1000, using: &random), ms: 1000)
            book.add(some, to: tunnel, now: now)
            oracle[tunnel, default: .zero] += some
            step(Int.random(in: 0..<3, using: &random) == 0)
        }
        var rounds = 0
        while !book.isEmpty, rounds < 10_000 {
            step(true)
            rounds += 1
        }
        #expect(book.isEmpty)
        #expect(ledger.sums == oracle)
        #expect(book.lostBytes == 0)
    }
}
