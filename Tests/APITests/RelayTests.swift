import Core
import Crypto
import Domain
import Reconcilers
import Store
import Testing
import Wire

@testable import API

@Suite struct RelayAPITests {
    private func pull(
        _ fixture: Fixture, _ key: String, since: Int, epoch: Int, wait_s: Int = 0
    ) async throws -> AssignmentMessage {
        let answer = try await fixture.call(
            "GET", "/v1/relay/assignments?region=eu&since=\(since)&epoch=\(epoch)&wait=\(wait_s)", as: key)
        try #require(answer.status == 200)
        return try AssignmentMessage.verify(
            try answer.text("signed"), region: "eu", keys: VerificationKeys([fixture.key.publicKey]))
    }

    @Test func aRelayThatPullsSeesWhatWasPlaced() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        let tunnel = try await fixture.tunnel(account)
        let key = try await fixture.relay("r1")
        var state = RegionState(region: "eu")
        _ = state.apply(try await pull(fixture, key, since: 0, epoch: 0), fromControlPlane: true)
        #expect(state.relays["r1"]?.endpoint == "r1.example:7000")
        #expect(state.assignments[tunnel]?.owner == nil)

        _ = try await fixture.place(tunnel, "ses_1", account)
        let delta = try await pull(fixture, key, since: state.rev, epoch: state.epoch)
        guard case .delta = delta else {
            Issue.record("not a delta: \(delta)")
            return
        }
        _ = state.apply(delta, fromControlPlane: true)
        #expect(state.assignments[tunnel]?.owner == "r1")
        #expect(state.assignments[tunnel]?.session == "ses_1")

        let beacon = try await pull(fixture, key, since: state.rev, epoch: state.epoch)
        #expect(state.apply(beacon, fromControlPlane: true) == .current)
    }

    @Test func aHeldPollIsReleasedByAPlacement() async throws {
        let fixture = try await Fixture()
        let follow = fixture.followChanges()
        defer { follow.cancel() }
        let account = try await fixture.account()
        let tunnel = try await fixture.tunnel(account)
        let key = try await fixture.relay("r1")
        guard case .snapshot(let snapshot) = try await pull(fixture, key, since: 0, epoch: 0) else {
            Issue.record("not a snapshot")
            return
        }
        async let held = pull(fixture, key, since: snapshot.rev, epoch: snapshot.epoch, wait_s: 20)
        _ = try await fixture.place(tunnel, "ses_1", account)
        guard case .delta(let delta) = try await held else {
            Issue.record("not a delta")
            return
        }
        #expect(delta.upserts.map(\.tunnel) == [tunnel])
    }

    /// Promise: a changed plan reaches a relay that waits at once, with the limits of the tunnels it concerns.
    @Test func aHeldPollIsReleasedByAChangedPlan() async throws {
        let fixture = try await Fixture()
        let follow = fixture.followChanges()
        defer { follow.cancel() }
        let account = try await fixture.account(plan: "plus")
        let tunnel = try await fixture.tunnel(account)
        _ = try await fixture.tunnel(try await fixture.account(plan: "team"))
        let key = try await fixture.relay("r1")
        guard case .snapshot(let snapshot) = try await pull(fixture, key, since: 0, epoch: 0) else {
            Issue.record("not a snapshot")
            return
        }
        async let held = pull(fixture, key, since: snapshot.rev, epoch: snapshot.epoch, wait_s: 20)
        let changed = try await fixture.call(
            "PATCH", "/v1/ops/plans/plus", ["players": 33], as: Fixture.operatorKey)
        #expect(changed.status == 200)
        guard case .delta(let delta) = try await held else {
            Issue.record("not a delta")
            return
        }
        #expect(delta.upserts.map(\.tunnel) == [tunnel])
        #expect(delta.upserts.first?.limits.players == 33)
    }

    @Test func theOwnersWordMakesATunnelOnline() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        let tunnel = try await fixture.tunnel(account)
        let key = try await fixture.relay("r1")
        func state() async throws -> JSON? {
            try await fixture.call("GET", "/v1/tunnels/\(tunnel)", as: account.apiKey)["state"]
        }
        func report(_ relay: String, _ generation: Int64, up: Bool) async throws -> Int {
            let link: JSON = ["tunnel": .string(tunnel), "generation": .integer(generation)]
            return try await fixture.call(
                "POST", "/v1/relay/links",
                ["relay": .string(relay), "up": up ? [link] : [], "down": up ? [] : [link]], as: key
            ).status
        }
        _ = try await fixture.place(tunnel, "ses_1", account)
        #expect(try await state() == "connecting")
        #expect(try await report("r1", 7, up: true) == 204)
        #expect(try await report("r2", 1, up: true) == 204)
        #expect(try await state() == "connecting")
        #expect(try await report("r1", 1, up: true) == 204)
        #expect(try await state() == "online")
        #expect(try await report("r1", 1, up: false) == 204)
        #expect(try await state() != "online")
    }

    private static let started = WallTime(seconds: 1_795_262_400)

    private func usage(_ tunnel: String, bytes: Int = 5, player_s: Int = 1, for_s: Int64 = 10) -> UsageReport
    {
        UsageReport(
            relay: "r1", id: "run.1", from: Self.started, to: Self.started + for_s,
            rows: [.init(tunnel: tunnel, bytes_up: bytes, bytes_down: 6, player_s: player_s)])
    }

    @Test func usageIsTakenFromRelaysAndMayComeTwice() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        let report = usage(try await fixture.tunnel(account)).json
        let key = try await fixture.relay("r1")
        for _ in 0..<2 {
            #expect(try await fixture.call("POST", "/v1/relay/usage", report, as: key).status == 204)
        }
        #expect(try await fixture.call("POST", "/v1/relay/usage", report, as: account.agentKey).status == 403)
    }

    @Test func usageThatCannotBeTrueIsRefused() async throws {
        let fixture = try await Fixture()
        let tunnel = try await fixture.tunnel(try await fixture.account())
        let key = try await fixture.relay("r1")
        for (report, pointer) in [
            (usage(tunnel, bytes: 1 << 45), "/tunnels"), (usage(tunnel, player_s: 100_000_000), "/tunnels"),
            (usage(tunnel, bytes: -1), "/tunnels"), (usage("home"), "/tunnels"),
            (usage(tunnel, for_s: -1), "/to"),
        ] {
            let answer = try await fixture.call("POST", "/v1/relay/usage", report.json, as: key)
            #expect(answer.status == 422)
            #expect(answer.pointers.contains(pointer))
        }
    }

    @Test func operatorsSeeRelaysAndPlaces() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        let tunnel = try await fixture.tunnel(account)
        let key = try await fixture.relay("r1")
        _ = try await fixture.place(tunnel, "ses_1", account)
        let load = LoadReport(relay: "r1", region: "eu", players: 3, links: 1, draining: true)
        #expect(try await fixture.call("POST", "/v1/relay/load", load.json, as: key).status == 204)
        let relays = try await fixture.call("GET", "/v1/ops/relays", as: Fixture.operatorKey)
        let row = try #require(relays["data"]?.arrayValue?.first)
        #expect(row["id"] == "r1")
        #expect(row["state"] == "draining")
        #expect(row["load"]?["players"] == 3)
        #expect(row["load"]?["fresh"] == true)
        #expect(row["load"]?["behind"]?.integerValue ?? 0 > 0)
        #expect(
            row["placements"] == ["owner": 1, "owner_linked": 0, "standby": 0, "standby_linked": 0])
        let tunnels = try await fixture.call("GET", "/v1/ops/tunnels", as: Fixture.operatorKey)
        let place = try #require(tunnels["data"]?.arrayValue?.first)
        #expect(place["relay_id"] == "r1")
        #expect(place["standby_relay_id"] == .null)
        #expect(place["generation"] == 1)
        #expect(place["hostname"]?.stringValue?.hasSuffix(".eu.mine.example") == true)
    }

    @Test func anOperatorDrainsARelay() async throws {
        let fixture = try await Fixture()
        try await fixture.relay("r1")
        func drain(_ id: String) async throws -> Fixture.Answer {
            try await fixture.call("POST", "/v1/ops/relays/\(id)/drain", as: Fixture.operatorKey)
        }
        for _ in 0..<2 {
            let answer = try await drain("r1")
            #expect(answer.status == 200)
            #expect(answer["state"] == "draining")
        }
        #expect(try await drain("r2").status == 404)
        _ = try await fixture.store.setRelayState("r1", .lost, actor: "test")
        #expect(try await drain("r1").code == "relay-lost")
        let audit = try await fixture.call(
            "GET", "/v1/ops/audit?action=relay.draining", as: Fixture.operatorKey)
        #expect(audit["data"]?.arrayValue?.count == 1)
    }

    @Test func regionsCarryTheEndpointsToMeasure() async throws {
        let fixture = try await Fixture()
        let account = try await fixture.account()
        try await fixture.relay("r1")
        try await fixture.relay("u1", region: "us")
        let answer = try await fixture.call("GET", "/v1/regions", as: account.agentKey)
        #expect(
            answer["data"] == [
                ["id": "eu", "name": "Europe", "endpoints": ["r1.example:7000"]],
                ["id": "us", "name": "US East", "endpoints": ["u1.example:7000"]],
            ])
    }

    @Test func aRelayHearsWhenItRegistersThatItIsToDrain() async throws {
        let fixture = try await Fixture()
        let key = try await fixture.relayKey()
        func register(_ run: String) async throws -> JSON? {
            var body = Fixture.registration("r1").objectValue ?? [:]
            body["run"] = .string(run)
            let answer = try await fixture.call("POST", "/v1/relay/registrations", .object(body), as: key)
            #expect(answer.status == 200)
            return answer["relay"]
        }
        let first = try await register("one")
        #expect(first?["state"] == "active")
        _ = try await fixture.store.setRelayState("r1", .draining, actor: "operator")
        let again = try await register("one")
        #expect(again?["state"] == "draining")
        #expect((again?["rev"]?.integerValue ?? 0) > (first?["rev"]?.integerValue ?? 0))
        #expect(try await register("two")?["state"] == "active")
    }

    @Test(arguments: [
        ("run", "a b" as JSON), ("id", ""), ("id", "a/b"), ("endpoint", "nowhere"), ("endpoint", "host:0"),
        ("fingerprint", "abc"),
        ("fingerprint", .string(String(repeating: "A", count: 64))), ("mesh_address", "x"), ("region", .null),
    ])
    func aRegistrationThatCannotBeTrueIsRefused(_ field: String, _ value: JSON) async throws {
        let fixture = try await Fixture()
        let key = try await fixture.relayKey()
        var body = try #require(Fixture.registration("r1").objectValue)
        body[field] = value
        let answer = try await fixture.call("POST", "/v1/relay/registrations", .object(body), as: key)
        #expect(answer.status == 422)
        #expect(answer.pointers == ["/\(field)"])
    }

    @Test func aRelayOfAnUnknownRegionIsToldSo() async throws {
        let fixture = try await Fixture()
        let key = try await fixture.relayKey()
        let answer = try await fixture.call(
            "POST", "/v1/relay/registrations", Fixture.registration("r1", region: "mars"), as: key)
        #expect(answer.status == 422)
        #expect(answer.pointers == ["/region"])
    }
}
