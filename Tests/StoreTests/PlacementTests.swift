import Core
import Crypto
import Domain
import Postgres
import Support
import Testing
import Wire

@testable import Store

@Suite struct PlacementTests {
    @Test func aPlacementIsOneRevisionWithItsAssignment() async throws {
        let fixture = try await Fixture()
        let tunnel = try await fixture.tunnel()
        let before = try await fixture.head()
        let placement = try #require(try await fixture.place(tunnel.id, "s1"))
        #expect(placement.generation == 1)
        #expect(placement.relay == Fixture.relay("r1"))
        #expect(placement.standby == Fixture.relay("r2"))
        #expect(placement.hostnames == [tunnel.hostname])
        let deltas = try await fixture.store.outbox("eu", after: before, as: fixture.lease())
        #expect(deltas.count == 1)
        #expect(deltas[0].prevRev == before)
        #expect(deltas[0].rev == before + 1)
        #expect(
            deltas[0].upserts == [
                Assignment(
                    tunnel: tunnel.id.text, account: fixture.account.text, hostnames: [tunnel.hostname],
                    owner: "r1", standby: "r2",
                    generation: 1, session: "s1", state: .online)
            ])
        let shown = try #require(try await fixture.store.tunnel(tunnel.id, account: fixture.account))
        #expect(shown.state == .connecting)
        #expect(shown.owner == "r1")
    }

    @Test func askingAgainWithTheSameSessionChangesNothing() async throws {
        let fixture = try await Fixture()
        let tunnel = try await fixture.tunnel()
        let first = try await fixture.place(tunnel.id, "s1")
        let head = try await fixture.head()
        #expect(try await fixture.place(tunnel.id, "s1") == first)
        #expect(try await fixture.head() == head)
    }

    @Test func theSameSessionAskingManyTimesAtOnceGetsOnePlacement() async throws {
        let fixture = try await Fixture()
        let tunnel = try await fixture.tunnel()
        let before = try await fixture.head()
        let placements = try await withThrowingTaskGroup(of: PlacementView?.self) { group in
            for _ in 0..<20 { group.addTask { try await fixture.place(tunnel.id, "s1") } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(placements).count == 1)
        #expect(try await fixture.head() == before + 1)
    }

    @Test func anotherSessionTakesOverUnderTheNextGeneration() async throws {
        let fixture = try await Fixture()
        let tunnel = try await fixture.tunnel()
        _ = try await fixture.place(tunnel.id, "s1")
        let second = try #require(try await fixture.place(tunnel.id, "s2"))
        #expect(second.generation == 2)
    }

    @Test func aSessionThatWasTakenOverDoesNotGetTheTunnelBack() async throws {
        let fixture = try await Fixture()
        let tunnel = try await fixture.tunnel()
        _ = try await fixture.place(tunnel.id, "s1")
        _ = try await fixture.place(tunnel.id, "s2")
        let head = try await fixture.head()
        await #expect(throws: StoreError.sessionReplaced) { try await fixture.place(tunnel.id, "s1") }
        #expect(try await fixture.head() == head)
        #expect(try await fixture.place(tunnel.id, "s2")?.generation == 2)
        #expect(try await fixture.place(tunnel.id, "s3")?.generation == 3)
    }

    @Test func anExcludedRelayIsLeftAndRememberedAsPreviousOwner() async throws {
        let fixture = try await Fixture()
        let tunnel = try await fixture.tunnel()
        _ = try await fixture.place(tunnel.id, "s1")
        let moved = try #require(try await fixture.place(tunnel.id, "s1", excluding: ["r1"]))
        #expect(moved.relay.id == "r2")
        #expect(moved.generation == 2)
        guard case .snapshot(let snapshot) = try await fixture.store.changes(region: "eu", since: 0, epoch: 0)
        else {
            Issue.record("no snapshot")
            return
        }
        #expect(snapshot.assignments.map(\.previousOwner) == ["r1"])
    }

    @Test func aDrainingRelayIsLeftAndTakesNoMore() async throws {
        let fixture = try await Fixture()
        let tunnel = try await fixture.tunnel()
        _ = try await fixture.place(tunnel.id, "s1")
        _ = try await fixture.store.setRelayState("r1", .draining, actor: "test")
        #expect(try await fixture.place(tunnel.id, "s1")?.relay.id == "r2")
    }

    @Test func aRegionWithoutRelaysSaysSo() async throws {
        let fixture = try await Fixture(relays: [])
        let tunnel = try await fixture.tunnel()
        await #expect(throws: StoreError.noRelay(region: "eu")) { try await fixture.place(tunnel.id, "s1") }
    }

    @Test func aStrangersTunnelIsNotThere() async throws {
        let fixture = try await Fixture()
        let tunnel = try await fixture.tunnel()
        let stranger = AccountID(entropy: [9])
        let placement = try await fixture.store.place(
            tunnel: tunnel.id, account: stranger, agentKey: fixture.agentKey, session: "s", excluding: []
        ) { Fixture.decide($0) }
        #expect(placement == nil)
        #expect(try await fixture.store.tunnel(tunnel.id, account: stranger) == nil)
        #expect(try await fixture.store.deleteTunnel(tunnel.id, account: stranger, actor: "x") == false)
    }

    @Test func placementsThatAreAskedForAtOnceGetEachItsOwnAnswer() async throws {
        let fixture = try await Fixture()
        try await fixture.store.ensureRegion("us", name: "US East")
        try await fixture.store.ensureRegion("ap", name: "Asia")
        try await fixture.store.register(Fixture.relay("r3", region: "us"))
        var tunnels: [String: TunnelID] = [:]
        for (name, region) in [
            ("kept", "eu"), ("new", "eu"), ("taken", "us"), ("moved", "eu"), ("deserted", "ap"),
            ("shut", "us"),
        ] {
            tunnels[name] = try await fixture.store.createTunnel(
                account: fixture.account, region: region, label: "castle-\(name)",
                baseDomain: Fixture.baseDomain,
                actor: "test"
            ).id
        }
        let ids = tunnels
        let kept = try #require(ids["kept"])
        let taken = try #require(ids["taken"])
        let moved = try #require(ids["moved"])
        let shut = try #require(ids["shut"])
        _ = try await fixture.place(kept, "s1")
        _ = try await fixture.place(moved, "s1")
        for session in ["s1", "s2"] { _ = try await fixture.place(taken, session) }
        try await fixture.pool.transaction { tx in
            _ = try tx.query(
                "UPDATE tunnels SET state = 'suspended', suspended_reason = 'operator' WHERE id = $1", shut)
        }
        // Many times, so that however they fall into transactions, some share one.
        for round in 0..<20 {
            let answers = try await withThrowingTaskGroup(of: (String, String).self) { group in
                for (name, id) in ids {
                    group.addTask {
                        do {
                            let session = name == "new" ? "s\(round)" : "s1"
                            let excluded: Set<String> = name == "moved" ? [round % 2 == 0 ? "r1" : "r2"] : []
                            let view = try await fixture.place(id, session, excluding: excluded)
                            return (name, "\(view?.generation ?? 0) \(view?.relay.id ?? "")")
                        } catch {
                            return (name, "\(error)")
                        }
                    }
                }
                group.addTask {
                    let view = try await fixture.place(.random(), "s1")
                    return ("gone", view == nil ? "nil" : "placed")
                }
                return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            }
            #expect(answers["kept"] == "1 r1")
            #expect(answers["new"] == "\(round + 1) r1")
            #expect(answers["moved"] == "\(round + 2) \(round % 2 == 0 ? "r2" : "r1")")
            #expect(answers["taken"] == StoreError.sessionReplaced.description)
            #expect(answers["deserted"] == StoreError.noRelay(region: "ap").description)
            #expect(answers["shut"] == StoreError.suspended.description)
            #expect(answers["gone"] == "nil")
        }
        let deltas = try await fixture.store.outbox("eu", after: 0, as: fixture.lease())
        #expect(deltas.map(\.rev) == Array(1...deltas.count))
        #expect(deltas.count == (try await fixture.head()))
    }

    /// Promise: one owner per tunnel and generation, and revisions without gaps.
    @Test func aStormOfPlacementsLeavesNoGapInTheRevisionsAndOneOwnerAGeneration() async throws {
        let fixture = try await Fixture()
        var tunnels: [TunnelID] = []
        for _ in 0..<5 { tunnels.append(try await fixture.tunnel().id) }
        let ids = tunnels
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<60 {
                group.addTask { _ = try await fixture.place(ids[number % 5], "s\(number)") }
            }
            try await group.waitForAll()
        }
        let deltas = try await fixture.store.outbox("eu", after: 0, as: fixture.lease())
        #expect(deltas.map(\.rev) == Array(1...deltas.count))
        #expect(deltas.count == (try await fixture.head()))
        var owners: [String: String] = [:]
        for assignment in deltas.flatMap(\.upserts) {
            let key = "\(assignment.tunnel) \(assignment.generation)"
            let value = "\(assignment.owner ?? "") \(assignment.session ?? "")"
            #expect(owners.updateValue(value, forKey: key) == nil)
        }
    }

    @Test func linksMakeATunnelOnlineAndOnlyItsRelaysAreBelieved() async throws {
        let fixture = try await Fixture()
        let store = fixture.store
        let tunnel = try await fixture.tunnel()
        func state() async throws -> TunnelState? {
            try await store.tunnel(tunnel.id, account: fixture.account)?.state
        }
        #expect(try await state() == .offline)
        _ = try await fixture.place(tunnel.id, "s1")
        try await store.reportLinks(relay: "r3", up: [(tunnel.id, 1)], down: [])
        try await store.reportLinks(relay: "r1", up: [(tunnel.id, 7)], down: [])
        #expect(try await state() == .connecting)
        try await store.reportLinks(relay: "r1", up: [(tunnel.id, 1)], down: [])
        #expect(try await state() == .online)
        try await store.reportLinks(relay: "r1", up: [], down: [(tunnel.id, 1)])
        #expect(try await state() == .offline)
    }

    @Test func aRevokedKeyEndsItsPlacementsAndPlacesNoMore() async throws {
        let fixture = try await Fixture()
        let tunnel = try await fixture.tunnel()
        _ = try await fixture.place(tunnel.id, "s1")
        let before = try await fixture.head()
        #expect(
            try await fixture.store.revokeAgentKey(fixture.agentKey, account: fixture.account, actor: "test")
                == true)
        let deltas = try await fixture.store.outbox("eu", after: before, as: fixture.lease())
        let assignment = try #require(deltas.first?.upserts.first)
        #expect(assignment.owner == nil)
        #expect(assignment.session == nil)
        #expect(assignment.previousOwner == "r1")
        #expect(assignment.generation == 2)
        #expect(assignment.revokedKeys == [fixture.agentKey.text])
        #expect(try await fixture.place(tunnel.id, "s1") == nil)
        #expect(
            try await fixture.store.revokeAgentKey(fixture.agentKey, account: fixture.account, actor: "test")
                == false)
    }

    @Test func aRevokedKeyThatLostItsTunnelToAnotherIsToldWithoutTouchingThePlacement() async throws {
        let fixture = try await Fixture()
        let tunnel = try await fixture.tunnel()
        _ = try await fixture.place(tunnel.id, "s1")
        let other = AgentKeyID(entropy: [9])
        _ = try await fixture.store.createAgentKey(
            other, account: fixture.account, name: "second", hash: SHA256.hash([9]), actor: "test")
        let taken = try #require(
            try await fixture.store.place(
                tunnel: tunnel.id, account: fixture.account, agentKey: other, session: "s2", excluding: []
            ) { Fixture.decide($0) })
        let before = try await fixture.head()
        #expect(
            try await fixture.store.revokeAgentKey(fixture.agentKey, account: fixture.account, actor: "test"))
        let assignment = try #require(
            try await fixture.store.outbox("eu", after: before, as: fixture.lease()).first?.upserts.first)
        #expect(assignment.revokedKeys == [fixture.agentKey.text])
        #expect(assignment.generation == taken.generation)
        #expect(assignment.session == "s2")
        #expect(assignment.owner == taken.relay.id)
    }
}
