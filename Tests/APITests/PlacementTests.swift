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
        #expect(counts == ["r1": 4, "r2": 4, "r3": 4])
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
