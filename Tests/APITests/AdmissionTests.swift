import Core
import Domain
import HTTP
import IO
import Support
import Synchronization
import Testing

@testable import API

/// A clock that a test moves.
private final class TestClock: Sendable {
    private let milliseconds = Mutex(0)
    private let start = Instant.now()

    var now: Instant { start + Milliseconds(milliseconds.withLock { $0 }) }
    func pass(_ span: Int) { milliseconds.withLock { $0 += span } }
}

/// Placements wait in line, are let in by turns, and are told when to come back.
@Suite struct AdmissionTests {
    private let clock = TestClock()

    /// One a second, with no more than one at once.
    private func fixture() async throws -> Fixture {
        let clock = clock
        let admission = PlacementAdmission(
            PlacementLine.Rules(per_s: 1, burst: 1), metrics: Metrics(), clock: { clock.now })
        let fixture = try await Fixture(admission: admission)
        try await fixture.relay("r1")
        return fixture
    }

    private func waits(_ fixture: Fixture, _ count: Int) async throws {
        while fixture.api.admission.waitingCount != count { try await Task.sleep(for: .milliseconds(5)) }
    }

    @Test func whoComesTooLateIsToldWhenToComeBackAndTheOthersGetTheirTurn() async throws {
        let fixture = try await fixture()
        let account = try await fixture.account(plan: "free")
        let tunnel = try await fixture.tunnel(account)
        #expect(try await fixture.place(tunnel, "ses_1", account).status == 201)
        try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 1...3 {
                group.addTask { try await fixture.place(tunnel, "ses_1", account).status }
                try await waits(fixture, number)
            }
            for seconds in 4...6 {
                let refused = try await fixture.place(tunnel, "ses_1", account)
                #expect(refused.status == 503)
                #expect(refused.code == "busy")
                #expect(refused.headers["retry-after"] == String(seconds))
            }
            for left in [2, 1, 0] {
                clock.pass(1000)
                #expect(try await group.next() == 201)
                #expect(fixture.api.admission.waitingCount == left)
            }
        }
    }

    @Test func plansWithPriorityGoFirst() async throws {
        let fixture = try await fixture()
        let free = try await fixture.account(plan: "free")
        let paid = try await fixture.account(plan: "plus")
        let tunnels = (free: try await fixture.tunnel(free), paid: try await fixture.tunnel(paid))
        #expect(try await fixture.place(tunnels.free, "ses_1", free).status == 201)
        try await withThrowingTaskGroup(of: String.self) { group in
            group.addTask { "free \(try await fixture.place(tunnels.free, "ses_1", free).status)" }
            try await waits(fixture, 1)
            group.addTask { "paid \(try await fixture.place(tunnels.paid, "ses_1", paid).status)" }
            try await waits(fixture, 2)
            clock.pass(1000)
            #expect(try await group.next() == "paid 201")
            #expect(fixture.api.admission.waitingCount == 1)
            clock.pass(1000)
            #expect(try await group.next() == "free 201")
        }
    }

    @Test func whoIsGoneGivesTheTurnToAnother() async throws {
        let fixture = try await fixture()
        let account = try await fixture.account(plan: "free")
        let tunnel = try await fixture.tunnel(account)
        #expect(try await fixture.place(tunnel, "ses_1", account).status == 201)
        let isGone = Departure()
        let request = try HTTPRequest(
            method: "POST", target: "/v1/tunnels/\(tunnel)/placements",
            headers: ["Authorization": "Bearer \(account.agentKey)"],
            body: Array(#"{"session":"ses_1"}"#.utf8),
            peer: try #require(SocketAddress("127.0.0.1:4000")))
        try await withThrowingTaskGroup(of: Int.self) { group in
            group.addTask {
                await fixture.api.response(to: request, isAbandoned: { isGone.happened }).status
            }
            try await waits(fixture, 1)
            isGone.happen()
            #expect(try await group.next() == 503)
            #expect(fixture.api.admission.waitingCount == 0)
            group.addTask { try await fixture.place(tunnel, "ses_1", account).status }
            try await waits(fixture, 1)
            clock.pass(1000)
            #expect(try await group.next() == 201)
        }
    }
}

/// Whether a client has gone, told from one task to another.
private final class Departure: Sendable {
    private let flag = Mutex(false)

    var happened: Bool { flag.withLock { $0 } }
    func happen() { flag.withLock { $0 = true } }
}
