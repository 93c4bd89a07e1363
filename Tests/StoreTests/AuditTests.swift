import Core
import Crypto
import Domain
import Postgres
import Testing
import Wire

@testable import Store

@Suite struct AuditTests {
    private func note(
        _ fixture: Fixture, _ action: String, by actor: Actor = "test", of subject: String = "x"
    )
        async throws
    {
        try await fixture.pool.transaction { [account = fixture.account] tx in
            try tx.audit(action, actor: actor, account: account, subject: subject)
        }
    }

    /// Every page until the end; `between` runs after each.
    private func walk(
        _ fixture: Fixture, limit: Int, _ filter: AuditFilter = AuditFilter(),
        between: () async throws -> Void = {}
    ) async throws -> [AuditEntry] {
        var found: [AuditEntry] = []
        var page = AuditPage(limit: limit)
        while true {
            let listing = try await fixture.store.audit(of: fixture.account, filter, page)
            found += listing.items
            guard let cursor = listing.nextCursor else { return found }
            page = try #require(AuditPage(limit: limit, cursor: cursor))
            try await between()
        }
    }

    @Test func pagesHoldEveryEntryOnceWhileMoreArrive() async throws {
        let fixture = try await Fixture()
        for index in 0..<20 { try await note(fixture, "test.early", of: "\(index)") }
        let before = try await fixture.store.audit(of: fixture.account, AuditFilter(), AuditPage(limit: 100))
        let found = try await walk(fixture, limit: 3) {
            for _ in 0..<4 { try await note(fixture, "test.late") }
        }
        #expect(found == before.items)
        #expect(
            found.filter { $0.action == "test.early" }.map(\.subject) == (0..<20).reversed().map(String.init))
        #expect(before.nextCursor == nil)
    }

    @Test func writersAtTheSameTimeNeitherHideNorRepeatWhatWasThere() async throws {
        let fixture = try await Fixture()
        for index in 0..<12 { try await note(fixture, "test.early", of: "\(index)") }
        let found = try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<3 {
                group.addTask { for _ in 0..<20 { try await note(fixture, "test.late") } }
            }
            let found = try await walk(fixture, limit: 2)
            try await group.waitForAll()
            return found
        }
        #expect(found.filter { $0.action == "test.early" }.count == 12)
        #expect(Set(found.map(\.id)).count == found.count)
    }

    /// One change may write many entries, all of one moment.
    @Test func entriesOfOneMomentAreTurnedOneByOne() async throws {
        let fixture = try await Fixture()
        for _ in 0..<7 { _ = try await fixture.tunnel() }
        var none = AccountException.none
        none.maxTunnels = .limit(0)
        _ = try await fixture.store.setException(none, account: fixture.account, actor: "operator")
        let found = try await walk(fixture, limit: 1, AuditFilter(action: "tunnel.suspend"))
        #expect(found.count == 7)
        #expect(Set(found.map(\.subject)).count == 7)
        #expect(Set(found.map(\.at)).count == 1)
        #expect(found.first?.before == ["state": "active"])
        #expect(found.first?.after == ["state": "suspended", "reason": "surplus"])
    }

    @Test func filtersLeaveOutTheRest() async throws {
        let fixture = try await Fixture()
        try await note(fixture, "test.one", by: Actor("usr_a", address: "203.0.113.7"), of: "s1")
        try await note(fixture, "test.two", by: "usr_b", of: "s2")
        try await note(fixture, "testing", by: "usr_b", of: "s2")
        func actions(_ filter: AuditFilter) async throws -> [String] {
            try await fixture.store.audit(of: fixture.account, filter).items.map(\.action)
        }
        #expect(try await actions(AuditFilter(actor: "usr_b")) == ["testing", "test.two"])
        #expect(try await actions(AuditFilter(action: "test")) == ["test.two", "test.one"])
        #expect(try await actions(AuditFilter(action: "test.one")) == ["test.one"])
        #expect(try await actions(AuditFilter(subject: "s2")) == ["testing", "test.two"])
        #expect(try await actions(AuditFilter(actor: "usr_a", subject: "s2")) == [])
        let one = try await fixture.store.audit(of: fixture.account, AuditFilter(action: "test.one")).items[0]
        #expect(one.actor == Actor("usr_a", address: "203.0.113.7"))

        let noted = try #require(WallTime(rfc3339: one.at))
        let all = AuditFilter(action: "test.one", from: noted, to: noted + 1)
        #expect(try await actions(all) == ["test.one"])
        #expect(try await actions(AuditFilter(action: "test.one", from: noted + 1)) == [])
        #expect(try await actions(AuditFilter(action: "test.one", to: noted)) == [])
    }

    @Test func anAccountSeesItsOwnEntriesAndNotWhichOperatorItWas() async throws {
        let fixture = try await Fixture()
        let key = OperatorKeyID.random()
        let other = try await fixture.account(plan: "free")
        try await note(fixture, "test.done", by: Actor(key.text, address: "203.0.113.7"))
        try await note(fixture, "test.done", by: Actor("operator", address: "203.0.113.7"))
        let mine = try await fixture.store.audit(
            of: fixture.account, AuditFilter(actor: "operator", action: "test")
        ).items
        #expect(mine.map(\.actor) == ["operator", "operator"])
        #expect(
            try await fixture.store.audit(of: fixture.account, AuditFilter(actor: key.text)).items == [])
        #expect(try await fixture.store.audit(of: other).items.map(\.action) == ["account.create"])

        let whole = try await fixture.store.wholeAudit(AuditFilter(actor: key.text)).items
        #expect(whole.map(\.actor) == [Actor(key.text, address: "203.0.113.7")])
        #expect(whole.map(\.account) == [fixture.account])
        #expect(try await fixture.store.wholeAudit(account: other).items.map(\.account) == [other])
    }

    @Test func aCursorIsOneOfOurs() {
        let place = AuditPage.Place(microseconds: 1_763_700_000_123_456, id: 77)
        #expect(AuditPage(limit: 5, cursor: place.cursor)?.before == place)
        for text in ["", "1", "1.", ".1", "0.1", "1.0", "-1.1", "1.1.1", "x.y"] {
            #expect(AuditPage(limit: 5, cursor: Base64URL.encode(Array(text.utf8))) == nil, "\(text)")
        }
        #expect(AuditPage(limit: 5, cursor: "?") == nil)
    }

    @Test func relaysComeGoAndReturnInTheLog() async throws {
        let fixture = try await Fixture(relays: ["r1"])
        _ = try await fixture.store.setRelayState("r1", .draining, actor: "operator")
        let lease = try await fixture.lease()
        #expect(try await fixture.store.reapRelays(silentFor_s: -10, as: lease) == ["r1"])
        try await fixture.store.noteSeen(relays: ["r1"])
        let entries = try await fixture.store.wholeAudit(AuditFilter(subject: "r1")).items
        #expect(
            entries.map(\.action) == ["relay.active", "relay.lost", "relay.draining", "relay.register"])
        #expect(entries.map { $0.before?["state"] } == ["lost", "draining", "active", nil])
        #expect(entries.map { $0.after?["state"] } == ["active", "lost", "draining", "active"])
    }
}
