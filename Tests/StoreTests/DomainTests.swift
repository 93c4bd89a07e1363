import Core
import Domain
import Postgres
import Support
import Testing
import Wire

@testable import Store

private let now = WallTime.now()
private let day_s: Int64 = 86_400

extension Fixture {
    fileprivate func name(_ text: String) throws -> OwnHostname {
        try OwnHostname(text, baseDomain: Self.baseDomain)
    }

    fileprivate func claim(
        _ text: String, _ tunnel: TunnelView, of account: AccountID? = nil
    ) async throws -> DomainView {
        try #require(
            try await store.addDomain(
                try name(text), tunnel: tunnel.id, account: account ?? self.account, actor: "test"))
    }

    /// A look-up's finding; what counted of it.
    @discardableResult
    fileprivate func find(
        _ finding: DomainFinding, _ domain: DomainView, now: WallTime = now, as lease: Lease? = nil
    ) async throws -> DomainFinding? {
        try await store.recordDomainCheck(
            domain.id, account: domain.account, finding, now: now, actor: "test", as: lease)?.finding
    }

    fileprivate func look(_ domain: DomainView) async throws -> DomainView? {
        try await store.domain(domain.id, tunnel: domain.tunnel, account: domain.account)
    }

    /// What relays were told of a tunnel's names since `rev`, one list a revision.
    fileprivate func told(_ tunnel: TunnelView, after rev: Int) async throws -> [[String]] {
        try await deltas(after: rev).map { delta in
            delta.upserts.filter { $0.tunnel == tunnel.id.text }.flatMap(\.hostnames)
        }
    }

    fileprivate func mails() async throws -> [String] {
        try await pool.transaction { tx in
            try tx.query("SELECT kind, recipient FROM mail_outbox ORDER BY created_at, id").map {
                "\(try $0["kind"] as String) \(try $0["recipient"] as String)"
            }
        }
    }
}

@Suite struct DomainStoreTests {
    @Test func aNameIsServedFromItsProofToItsDetachment() async throws {
        let fixture = try await Fixture(plan: "plus")
        let tunnel = try await fixture.tunnel()
        let domain = try await fixture.claim("Play.Example.COM.", tunnel)
        #expect(domain.hostname == "play.example.com")
        #expect(domain.proof.state == .pending && !domain.isServed)
        #expect(domain.target == tunnel.hostname && domain.port == 25565)
        var head = try await fixture.head()
        #expect(try await fixture.find(.missing, domain) == .missing)
        #expect(try await fixture.head() == head)
        #expect(try await fixture.find(.found, domain) == .found)
        #expect(try await fixture.told(tunnel, after: head) == [[tunnel.hostname, "play.example.com"]])
        #expect(try await fixture.look(domain)?.isServed == true)
        // Found again, nothing is new to relays.
        head = try await fixture.head()
        try await fixture.find(.found, domain)
        #expect(try await fixture.head() == head)
        // Its agent's ticket carries it, and operators find the tunnel by it.
        let placed = try #require(try await fixture.place(tunnel.id, "s1"))
        #expect(placed.hostnames == [tunnel.hostname, "play.example.com"])
        #expect(try await fixture.place(tunnel.id, "s1")?.hostnames == placed.hostnames)
        let found = try await fixture.store.allTunnels(Page(), hostname: "PLAY.example.com").items
        #expect(found.map(\.id) == [tunnel.id])
        head = try await fixture.head()
        let store = fixture.store
        #expect(
            try await store.deleteDomain(
                domain.id, tunnel: tunnel.id, account: fixture.account, actor: "test"))
        #expect(try await fixture.told(tunnel, after: head) == [[tunnel.hostname]])
        #expect(try await fixture.place(tunnel.id, "s1")?.hostnames == [tunnel.hostname])
        #expect(
            try await !store.deleteDomain(
                domain.id, tunnel: tunnel.id, account: fixture.account, actor: "test"))
        #expect(try await fixture.find(.found, domain) == nil)
        #expect(try await fixture.audit("domain.add").count == 1)
        #expect(try await fixture.audit("domain.proven").count == 1)
        #expect(try await fixture.audit("domain.delete").count == 1)
        try await fixture.expectDeltasGiveTheSnapshot()
    }

    @Test func twoMayClaimAndOnlyTheOneWhoProvesHasIt() async throws {
        let fixture = try await Fixture(plan: "plus")
        let mine = try await fixture.tunnel()
        let other = try await fixture.account(plan: "team")
        let others = try await fixture.tunnel(of: other)
        let first = try await fixture.claim("play.example.com", mine)
        let second = try await fixture.claim("play.example.com", others, of: other)
        #expect(first.records.proof.value != second.records.proof.value)
        #expect(try await fixture.find(.found, second) == .found)
        #expect(try await fixture.find(.found, first) == .taken)
        #expect(try await fixture.look(first)?.proof.state == .pending)
        // Names above and below are names of their own.
        let above = try await fixture.claim("example.com", mine)
        #expect(try await fixture.find(.found, above) == .found)
        // A third one is told at once, and is let in after the detachment.
        let third = try await fixture.account(plan: "plus")
        let thirds = try await fixture.tunnel(of: third)
        await #expect(throws: StoreError.domainTaken("play.example.com")) {
            _ = try await fixture.claim("play.example.com", thirds, of: third)
        }
        #expect(
            try await fixture.store.deleteDomain(
                second.id, tunnel: others.id, account: other, actor: "test"))
        _ = try await fixture.claim("play.example.com", thirds, of: third)
        #expect(try await fixture.find(.found, first) == .found)
        let state = try await fixture.expectDeltasGiveTheSnapshot()
        #expect(state[hostname: "play.example.com"]?.tunnel == mine.id.text)
    }

    /// Promise: of proofs at the same moment exactly one counts.
    @Test func aRaceOfProofsHasOneWinner() async throws {
        let fixture = try await Fixture(plan: "plus")
        var claims: [DomainView] = []
        for _ in 0..<4 {
            let account = try await fixture.account(plan: "plus")
            let tunnel = try await fixture.tunnel(of: account)
            for number in 0..<5 {
                claims.append(try await fixture.claim("n\(number).example.com", tunnel, of: account))
            }
        }
        let all = claims
        try await withThrowingTaskGroup(of: DomainFinding?.self) { group in
            for claim in all { group.addTask { try await fixture.find(.found, claim) } }
            let findings = try await group.reduce(into: []) { $0.append($1) }
            #expect(findings.count { $0 == .found } == 5)
            #expect(findings.count { $0 == .taken } == 15)
        }
        let state = try await fixture.expectDeltasGiveTheSnapshot()
        let served = state.assignments.values.flatMap { $0.hostnames.dropFirst() }
        #expect(served.sorted() == (0..<5).map { "n\($0).example.com" })
    }

    @Test func whatIsNotAllowedIsRefused() async throws {
        let fixture = try await Fixture(plan: "free")
        let tunnel = try await fixture.tunnel()
        await #expect(throws: StoreError.plan(.ownDomain)) {
            _ = try await fixture.claim("play.example.com", tunnel)
        }
        _ = try await fixture.store.setPlan("plus", account: fixture.account, actor: "test")
        _ = try await fixture.claim("play.example.com", tunnel)
        let second = try await fixture.tunnel()
        await #expect(throws: StoreError.domainAttached("play.example.com", to: tunnel.hostname)) {
            _ = try await fixture.claim("play.example.com", second)
        }
        for number in 1..<Store.maxDomainsPerTunnel {
            _ = try await fixture.claim("n\(number).example.com", tunnel)
        }
        await #expect(throws: StoreError.tooManyDomains(Store.maxDomainsPerTunnel)) {
            _ = try await fixture.claim("more.example.com", tunnel)
        }
        // A tunnel's own name, when the base domain was another one once.
        await #expect(throws: StoreError.domainTaken(tunnel.hostname)) {
            _ = try await fixture.store.addDomain(
                try OwnHostname(tunnel.hostname, baseDomain: "new.example"), tunnel: second.id,
                account: fixture.account, actor: "test")
        }
        let stranger = try await fixture.account(plan: "plus")
        #expect(
            try await fixture.store.addDomain(
                try fixture.name("a.example.com"), tunnel: tunnel.id, account: stranger, actor: "test") == nil
        )
        #expect(try await fixture.store.domains(of: tunnel.id, account: stranger, Page()) == nil)
        _ = try await fixture.store.setSuspended(true, account: fixture.account, actor: "test")
        await #expect(throws: StoreError.suspended) { _ = try await fixture.claim("a.example.com", second) }
    }

    /// Promise: a downgrade keeps names, and an upgrade brings them back without a new proof.
    @Test func aPlanWithoutOwnDomainsTakesNamesOutAndAnUpgradeBringsThemBack() async throws {
        let fixture = try await Fixture(plan: "plus")
        let named = try await fixture.tunnel()
        let plain = try await fixture.tunnel()
        let domain = try await fixture.claim("play.example.com", named)
        try await fixture.find(.found, domain)
        _ = try await fixture.claim("unproven.example.com", plain)

        // The plan loses them: told of the tunnel that has one, and of no other.
        var head = try await fixture.head()
        _ = try await fixture.store.changePlan("plus", actor: "ops") { $0.ownDomains = false }
        var deltas = try await fixture.deltas(after: head)
        #expect(deltas.map { $0.upserts.map(\.hostnames) } == [[[named.hostname]]])
        let kept = try #require(try await fixture.look(domain))
        #expect(kept.proof.state == .proven && !kept.isServed)
        head = try await fixture.head()
        _ = try await fixture.store.changePlan("plus", actor: "ops") { $0.ownDomains = true }
        #expect(
            try await fixture.told(named, after: head) == [[named.hostname, "play.example.com"]])

        // The account leaves the plan, with a tunnel too many, and returns.
        head = try await fixture.head()
        _ = try await fixture.store.setPlan("free", account: fixture.account, actor: "ops")
        deltas = try await fixture.deltas(after: head)
        #expect(deltas.count == 1)
        #expect(try await fixture.told(named, after: head) == [[named.hostname]])
        // While it is away, its proof goes on counting and is still looked at.
        let other = try await fixture.account(plan: "plus")
        let others = try await fixture.tunnel(of: other)
        await #expect(throws: StoreError.domainTaken("play.example.com")) {
            _ = try await fixture.claim("play.example.com", others, of: other)
        }
        head = try await fixture.head()
        try await fixture.find(.found, domain, now: now + day_s)
        #expect(try await fixture.head() == head)
        _ = try await fixture.store.setPlan("team", account: fixture.account, actor: "ops")
        #expect(
            try await fixture.told(named, after: head) == [[named.hostname, "play.example.com"]])
        try await fixture.expectDeltasGiveTheSnapshot()
    }

    @Test func aRecordThatIsGoneForDaysTakesTheNameOutAfterAMail() async throws {
        let fixture = try await Fixture(plan: "plus")
        let tunnel = try await fixture.tunnel()
        let domain = try await fixture.claim("play.example.com", tunnel)
        try await fixture.find(.found, domain)
        let head = try await fixture.head()
        for hour in stride(from: Int64(0), to: 96, by: 6) {
            try await fixture.find(.missing, domain, now: now + hour * 3600)
        }
        #expect(try await fixture.head() == head)
        #expect(try await fixture.mails() == ["domain-will-lapse anna@example.test"])
        try await fixture.find(.missing, domain, now: now + 4 * day_s)
        #expect(try await fixture.told(tunnel, after: head) == [[tunnel.hostname]])
        #expect(
            try await fixture.mails()
                == ["domain-will-lapse anna@example.test", "domain-lapsed anna@example.test"])
        let lapsed = try #require(try await fixture.look(domain))
        #expect(lapsed.proof.state == .lapsed && lapsed.proof.nextCheck == nil)
        // It is anybody's now; whoever proves it first.
        let other = try await fixture.account(plan: "plus")
        let others = try await fixture.tunnel(of: other)
        let theirs = try await fixture.claim("play.example.com", others, of: other)
        #expect(try await fixture.find(.found, theirs) == .found)
        #expect(try await fixture.find(.found, domain) == .taken)
        try await fixture.expectDeltasGiveTheSnapshot()
    }

    @Test func aDeletedTunnelFreesItsNames() async throws {
        let fixture = try await Fixture(plan: "plus")
        let tunnel = try await fixture.tunnel()
        try await fixture.find(.found, try await fixture.claim("play.example.com", tunnel))
        #expect(try await fixture.store.deleteTunnel(tunnel.id, account: fixture.account, actor: "test"))
        let state = try await fixture.expectDeltasGiveTheSnapshot()
        #expect(state[hostname: "play.example.com"] == nil)
        let other = try await fixture.account(plan: "plus")
        _ = try await fixture.claim("play.example.com", try await fixture.tunnel(of: other), of: other)
    }

    @Test func onlyTheLeaderIsToldWhatIsDueAndNotesIt() async throws {
        let fixture = try await Fixture(plan: "plus")
        let tunnel = try await fixture.tunnel()
        let lease = try await fixture.lease()
        let later = now + 60
        var domains: [DomainView] = []
        for name in ["a", "b", "c"] {
            domains.append(try await fixture.claim("\(name).example.com", tunnel))
        }
        let due = try await fixture.store.dueDomains(now: later, limit: 10, as: lease)
        #expect(due.map(\.hostname) == ["a.example.com", "b.example.com", "c.example.com"])
        try await fixture.find(.found, domains[0], now: later, as: lease)
        try await fixture.find(.unavailable, domains[1], now: later, as: lease)
        let rest = try await fixture.store.dueDomains(now: later, limit: 10, as: lease)
        #expect(rest.map(\.hostname) == ["c.example.com"])
        try await fixture.store.releaseLease(lease)
        await #expect(throws: StoreError.leaseLost) {
            _ = try await fixture.store.dueDomains(now: later, limit: 10, as: lease)
        }
        await #expect(throws: StoreError.leaseLost) {
            try await fixture.find(.found, domains[2], now: later, as: lease)
        }
        #expect(try await fixture.look(domains[2])?.proof.state == .pending)
    }

    @Test func aListIsInOrderAndInPages() async throws {
        let fixture = try await Fixture(plan: "plus")
        let tunnel = try await fixture.tunnel()
        for number in 0..<3 { _ = try await fixture.claim("n\(number).example.com", tunnel) }
        let store = fixture.store
        let first = try #require(
            try await store.domains(of: tunnel.id, account: fixture.account, Page(limit: 2)))
        #expect(first.items.map(\.hostname) == ["n0.example.com", "n1.example.com"])
        let cursor = try #require(first.nextCursor)
        let next = try #require(Page(limit: 2, cursor: cursor))
        let second = try await store.domains(of: tunnel.id, account: fixture.account, next)
        #expect(second?.items.map(\.hostname) == ["n2.example.com"])
        #expect(second?.nextCursor == nil)
    }

    @Test func relaysOfSeveralPortsGiveNoPort() async throws {
        let fixture = try await Fixture(plan: "plus", relays: [])
        let tunnel = try await fixture.tunnel()
        #expect(try await fixture.claim("a.example.com", tunnel).port == nil)
        try await fixture.store.register(Fixture.relay("r1", port: 31337))
        let domain = try await fixture.claim("b.example.com", tunnel)
        #expect(domain.port == 31337)
        #expect(domain.records.routes.map(\.value) == ["0 5 31337 \(tunnel.hostname)"])
        try await fixture.store.register(Fixture.relay("r2", port: 25565))
        #expect(try await fixture.look(domain)?.port == nil)
    }
}
