import Core
import Crypto
import HTTP
import Reconcilers
import Testing
import Wire

@testable import API

@Suite struct PlacementAPITests {
    @Test func anAgentGetsARelayAndATicketThatTheRelayBelieves() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        let tunnel = try await fixture.tunnel(account)
        try await fixture.relay("r1")
        let answer = try await fixture.place(tunnel, "ses_1", account)
        #expect(answer.status == 201)
        #expect(answer["generation"] == 1)
        #expect(answer["session"] == "ses_1")
        #expect(answer["standby"] == .null)
        #expect(answer["expires_in_s"] == 300)
        #expect(answer["relay"]?["id"] == "r1")
        #expect(answer["relay"]?["endpoint"] == "r1.example:7000")
        #expect(answer["relay"]?["fingerprint"]?.stringValue?.count == 64)
        let ticket = try Ticket.verify(
            try answer.text("ticket"), relay: "r1", keys: VerificationKeys([fixture.key.publicKey]),
            now: .now())
        #expect(ticket.tunnel == tunnel)
        #expect(ticket.session == "ses_1")
        #expect(ticket.generation == 1)
        #expect(ticket.hostnames.first?.hasSuffix(".eu.mine.example") == true)
    }

    @Test func aSecondRelayStandsByWithATicketOfItsOwn() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        let tunnel = try await fixture.tunnel(account)
        try await fixture.relay("r1")
        try await fixture.relay("r2")
        let answer = try await fixture.place(tunnel, "ses_1", account)
        let owner = try #require(answer["relay"]?["id"]?.stringValue)
        let standby = try #require(answer["standby"])
        let id = try #require(standby["id"]?.stringValue)
        #expect(Set([owner, id]) == ["r1", "r2"])
        #expect(standby["endpoint"]?.stringValue == "\(id).example:7000")
        #expect(standby["fingerprint"]?.stringValue?.count == 64)
        func ticket(_ text: String?, at relay: String) throws -> Ticket {
            try Ticket.verify(
                try #require(text), relay: relay, keys: VerificationKeys([fixture.key.publicKey]), now: .now()
            )
        }
        let first = try ticket(answer["ticket"]?.stringValue, at: owner)
        var second = try ticket(standby["ticket"]?.stringValue, at: id)
        #expect(first.role == .owner)
        #expect(second.role == .standby)
        second.role = .owner
        second.relay = owner
        #expect(first == second)
        let shown = try await fixture.call("GET", "/v1/ops/tunnels", as: Fixture.operatorKey)
        let row = try #require(shown["data"]?.arrayValue?.first)
        #expect(row["relay_id"]?.stringValue == owner)
        #expect(row["standby_relay_id"]?.stringValue == id)
        #expect(row["generation"] == 1)
    }

    @Test func whenTheOwnerCannotBeReachedTheStandbyTakesOver() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        let tunnel = try await fixture.tunnel(account)
        for relay in ["r1", "r2", "r3"] { try await fixture.relay(relay) }
        let before = try await fixture.place(tunnel, "ses_1", account)
        let owner = try #require(before["relay"]?["id"]?.stringValue)
        let after = try await fixture.place(tunnel, "ses_1", account, exclude: [owner])
        #expect(after["generation"] == 2)
        #expect(after["relay"]?["id"] == before["standby"]?["id"])
        let standby = try #require(after["standby"]?["id"]?.stringValue)
        #expect(standby != owner)
        #expect(standby != after["relay"]?["id"]?.stringValue)
        let again = try await fixture.place(tunnel, "ses_1", account, exclude: [standby])
        #expect(again["generation"] == 3)
        #expect(again["relay"]?["id"] == after["relay"]?["id"])
        #expect(again["standby"]?["id"]?.stringValue == owner)
    }

    @Test func theSameSessionKeepsItsPlacementAndAnotherTakesItOver() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        let tunnel = try await fixture.tunnel(account)
        try await fixture.relay("r1")
        try await fixture.relay("r2")
        let first = try await fixture.place(tunnel, "ses_1", account)
        let again = try await fixture.place(tunnel, "ses_1", account)
        #expect(first["generation"] == again["generation"])
        #expect(first["relay"] == again["relay"])
        #expect(try await fixture.place(tunnel, "ses_2", account)["generation"] == 2)
    }

    @Test func aRelayThatCouldNotBeReachedIsAvoided() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        let tunnel = try await fixture.tunnel(account)
        try await fixture.relay("r1")
        try await fixture.relay("r2")
        for _ in 0..<5 {
            #expect(
                try await fixture.place(tunnel, "ses_1", account, exclude: ["r1"])["relay"]?["id"] == "r2")
            #expect(
                try await fixture.place(tunnel, "ses_1", account, exclude: ["r2"])["relay"]?["id"] == "r1")
        }
        // With none left, one that failed is better than none.
        #expect(try await fixture.place(tunnel, "ses_1", account, exclude: ["r1", "r2"]).status == 201)
    }

    @Test func theLeastLoadedRelayIsChosen() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        try await fixture.relay("r1")
        try await fixture.relay("r2")
        fixture.loads.report(LoadReport(relay: "r1", region: "eu", players: 500, links: 20))
        fixture.loads.report(LoadReport(relay: "r2", region: "eu", players: 5, links: 20))
        for session in 0..<5 {
            let tunnel = try await fixture.tunnel(account)
            #expect(try await fixture.place(tunnel, "ses_\(session)", account)["relay"]?["id"] == "r2")
        }
    }

    @Test func aStormBetweenTwoReportsIsSpread() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        for relay in ["r1", "r2", "r3"] {
            try await fixture.relay(relay)
            fixture.loads.report(LoadReport(relay: relay, region: "eu"))
        }
        var counts: [String: Int] = [:]
        for session in 0..<12 {
            let tunnel = try await fixture.tunnel(account)
            let placed = try await fixture.place(tunnel, "ses_\(session)", account)
            counts[try #require(placed["relay"]?["id"]?.stringValue), default: 0] += 1
        }
        #expect(counts.count == 3)
        #expect(counts.values.allSatisfy { (3...5).contains($0) }, "\(counts)")
    }

    @Test func aFullRegionTakesPlansWithPriorityLongerAndRefusesNobodyWhoHasAPlace() async throws {
        let fixture = try await Fixture()
        let free = try await fixture.account(plan: "free")
        let paid = try await fixture.account(plan: "plus")
        let home = try await fixture.account(plan: "free")
        try await fixture.relay("r1")
        func report(free descriptors: Int) {
            fixture.loads.report(
                LoadReport(relay: "r1", region: "eu", connections: 1000, freeDescriptors: descriptors))
        }
        let tunnels = (
            free: try await fixture.tunnel(free), paid: try await fixture.tunnel(paid),
            home: try await fixture.tunnel(home)
        )
        report(free: 9000)
        #expect(try await fixture.place(tunnels.home, "ses_1", home).status == 201)
        report(free: 120)
        let refused = try await fixture.place(tunnels.free, "ses_1", free)
        #expect(refused.status == 503)
        #expect(refused.code == "region-full")
        #expect(refused.headers["retry-after"].flatMap { Int($0) } ?? 0 >= 30)
        #expect(try await fixture.place(tunnels.paid, "ses_1", paid).status == 201)
        report(free: 10)
        #expect(try await fixture.place(tunnels.paid, "ses_2", paid).code == "region-full")
        #expect(try await fixture.place(tunnels.paid, "ses_1", paid).status == 201)
        #expect(try await fixture.place(tunnels.home, "ses_1", home)["generation"] == 1)
        let metrics = try await fixture.call("GET", "/metrics")
        #expect(metrics.text.contains("minecart_placements_refused_total{reason=\"region-full\"} 2"))
    }

    @Test func withoutARelayTheAgentIsToldToComeBack() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        let tunnel = try await fixture.tunnel(account)
        let answer = try await fixture.place(tunnel, "ses_1", account)
        #expect(answer.status == 503)
        #expect(answer.headers["retry-after"] != nil)
    }

    @Test func aSessionIsPlainText() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        let tunnel = try await fixture.tunnel(account)
        #expect(try await fixture.place(tunnel, "a b", account).pointers == ["/session"])
        #expect(try await fixture.place(tunnel, "", account).pointers == ["/session"])
    }
}
