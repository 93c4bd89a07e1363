import Core
import Crypto
import IO
import Testing
import Wire

@testable import Relay

/// Several relays of one region in this process, connected with one another, whose control plane is the test.
final class TestRegion {
    let relays: [TestRelay]
    let key: Ed25519PrivateKey
    private var rev = 0

    private init(_ count: Int, entry: String?, patience: RelayPatience) throws {
        let key = try Ed25519PrivateKey(seed: SecureRandom.bytes(32))
        self.key = key
        relays = try (1...count).map { number in
            try TestRelay(id: "rly_\(number)", key: key, entry: entry, loops: 2, patience: patience)
        }
    }

    /// Runs `body` once every relay has a connection to every other. `entry` is an address that all of them share.
    static func with(
        _ count: Int, entry: String? = nil, patience: RelayPatience = RelayPatience(),
        _ body: (TestRegion) throws -> Void
    ) throws {
        let region = try TestRegion(count, entry: entry, patience: patience)
        defer { for relay in region.relays { relay.end() } }
        region.tell(relays: region.relays.map { $0.info() })
        region.waitForMesh()
        try body(region)
    }

    func waitForMesh() {
        for relay in relays {
            relay.eventually("\(relay.info().id) is not connected") {
                relay.context.metrics.meshPeers.current == relays.count - 1
            }
        }
    }

    subscript(index: Int) -> TestRelay { relays[index] }

    /// What the control plane says about the tunnel "t-NAME"; relays by their index.
    func assign(
        _ name: String, owner: Int?, standby: Int? = nil, previous: Int? = nil, generation: Int = 1,
        session: String? = "ses_1", limits: Limits = .none, state: TunnelState = .online,
        revokedKeys: [String] = []
    ) {
        func id(_ index: Int?) -> String? { index.map { relays[$0].info().id } }
        tell(upserts: [
            Assignment(
                tunnel: "t-\(name)", account: "acc_1", hostnames: ["\(name).eu.example.org"],
                owner: id(owner), standby: id(standby), previousOwner: id(previous),
                generation: generation, session: session, limits: limits, state: state,
                revokedKeys: revokedKeys)
        ])
    }

    func tell(upserts: [Assignment] = [], relays changed: [RelayInfo] = []) {
        rev += 1
        let delta = RegionDelta(
            epoch: 1, region: TestRelay.region, prevRev: rev - 1, rev: rev, upserts: upserts,
            relays: changed)
        for relay in relays {
            guard case .applied = relay.context.apply(.delta(delta), fromControlPlane: true) else {
                Issue.record("\(relay.info().id) did not apply the assignment")
                return
            }
        }
        for relay in relays { relay.settle() }
    }

    /// An agent's link at one of the relays, up.
    func agent(
        _ name: String, at index: Int, role: Ticket.Role = .owner, generation: Int = 1,
        limits: Limits = .none
    ) throws -> FakeAgent {
        try FakeAgent.up(relays[index], name, generation: generation, role: role, limits: limits)
    }

    /// A player who comes in at one relay and plays through an agent whose link is at another; both ends.
    func play(_ name: String, at index: Int, by agent: FakeAgent) throws -> (player: Peer, home: Peer) {
        let entrance = relays[index]
        let player = try entrance.player()
        try player.send(Client.login(name))
        let (nonce, rendezvous) = try agent.orderToOpen()
        #expect(rendezvous == entrance.rendezvous)
        let home = try agent.dial(nonce, at: entrance)
        #expect(try home.readStart().routingName == "\(name).eu.example.org")
        #expect(try home.read(Client.login(name).count) == Client.login(name))
        try home.send(StartAnswer.ready.encode() + [1])
        #expect(try player.read(1) == [1])
        try player.send([2, 3])
        #expect(try home.read(2) == [2, 3])
        return (player, home)
    }
}
