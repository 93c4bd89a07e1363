import CLinux
import Core
import Crypto
import IO
import TLS
import Testing
import Wire

@testable import Relay

/// What players and agents know of a relay.
protocol RelayUnderTest: Sendable {
    var address: SocketAddress { get }
    /// Of its certificate.
    var fingerprint: String { get }
    var rendezvous: Rendezvous { get }
}

extension RelayUnderTest {
    func player() throws -> Peer { try Peer(to: address) }
}

/// A relay in this process, on a free loopback port, whose control plane is the test: it assigns tunnels and signs
/// tickets.
final class TestRelay: RelayUnderTest {
    static let id = "rly_test"
    static let region = "eu"

    let context: RelayContext
    let address: SocketAddress
    /// The certificate that other relays know it by.
    let own: OwnCertificate
    private let threads: [LoopThread]
    private let key: Ed25519PrivateKey
    private let rev = Counter()
    private static let certificate = Result { try SelfSignedCertificate.generate(commonName: id) }

    /// With a `key` it is one of several: it has a certificate of its own, and connections to the others. `entry` is
    /// the address that they share.
    init(
        id: String = TestRelay.id, key others: Ed25519PrivateKey? = nil, entry: String? = nil, loops: Int,
        patience: RelayPatience, pipes: Int = 16
    ) throws {
        mc_ignore_signal(SIGPIPE)
        let any = try #require(SocketAddress(octets: [127, 0, 0, 1], port: 0))
        let claim = try PortClaim(any)
        let address = claim.address
        self.address = address
        key = try others ?? Ed25519PrivateKey(seed: SecureRandom.bytes(32))
        let certificate =
            try others == nil ? Self.certificate.get() : SelfSignedCertificate.generate(commonName: id)
        own = OwnCertificate(
            certificatePEM: certificate.certificatePEM, privateKeyPEM: certificate.privateKeyPEM)
        let context = RelayContext(
            relay: RelayIdentity(
                id: id, region: Self.region, endpoint: entry ?? address.description,
                sharedEntry: entry != nil),
            tls: try TLSServerContext(
                certificatePEM: certificate.certificatePEM, privateKeyPEM: certificate.privateKeyPEM,
                asksForCertificate: true),
            patience: patience)
        context.keys = VerificationKeys([key.publicKey])
        self.context = context
        threads = try (0..<loops).map { try LoopThread.start(name: "test-relay-\($0)") }
        let doors = Gathering<Result<RelayLoopDoor, SystemError>>(expecting: loops)
        for (index, thread) in threads.enumerated() {
            thread.mailbox.post { loop in
                let relayLoop = RelayLoop(
                    number: UInt8(index), loop: loop, context: context, pool: SplicePool(maxPipes: pipes))
                doors.add(
                    Result { () throws(SystemError) in
                        _ = try relayLoop.listen(address)
                        return RelayLoopDoor(relayLoop)
                    })
            }
        }
        context.open(try doors.wait().map { try $0.get() }.sorted { $0.number < $1.number })
        withExtendedLifetime(claim) {}
        guard others != nil else { return }
        let own = own
        let isUp = Gathering<Int>(expecting: 1)
        threads[0].mailbox.post { loop in
            Mesh(loop: loop, context: context, own: own).start()
            isUp.add(1)
        }
        _ = isUp.wait()
    }

    /// Stops it as a crash would: its sockets close.
    func end() {
        for thread in threads { thread.stop() }
        for thread in threads { thread.join() }
        context.open([])
        context.mesh = nil
    }

    /// Keeps the first loop from doing anything until something is added to what comes back.
    func hang() -> Gathering<Int> {
        let isOver = Gathering<Int>(expecting: 1)
        let hangs = Gathering<Int>(expecting: 1)
        threads[0].mailbox.post { _ in
            hangs.add(1)
            _ = isOver.wait()
        }
        _ = hangs.wait()
        return isOver
    }

    /// As the region knows it.
    func info() -> RelayInfo {
        RelayInfo(
            id: context.relay.id, region: Self.region, endpoint: context.relay.endpoint,
            meshAddress: address.description, fingerprint: fingerprint,
            sharedEntry: context.relay.sharedEntry)
    }

    /// Runs `body` with a relay of its own. `pipes` bounds the pipes for splice(2).
    static func with(
        loops: Int = 2, patience: RelayPatience = RelayPatience(), pipes: Int = 16,
        _ body: (TestRelay) throws -> Void
    ) throws {
        let relay = try TestRelay(loops: loops, patience: patience, pipes: pipes)
        defer { relay.end() }
        try body(relay)
    }

    // MARK: the control plane's part

    /// What the control plane says about the tunnel "t-NAME" with the host name "NAME.eu.example.org".
    func assign(
        _ name: String, owner: String? = TestRelay.id, standby: String? = nil, generation: Int = 1,
        session: String? = "ses_1", limits: Limits = .none, state: TunnelState = .online,
        revokedKeys: [String] = []
    ) {
        change(
            upserts: [
                Assignment(
                    tunnel: "t-\(name)", account: "acc_1", hostnames: ["\(name).eu.example.org"],
                    owner: owner, standby: standby, generation: generation, session: session, limits: limits,
                    state: state,
                    revokedKeys: revokedKeys)
            ])
    }

    func delete(_ name: String) { change(deletes: ["t-\(name)"]) }

    private func change(upserts: [Assignment] = [], deletes: [String] = []) {
        let before = rev.total
        rev.add()
        let delta = RegionDelta(
            epoch: 1, region: Self.region, prevRev: before, rev: before + 1, upserts: upserts,
            deletes: deletes)
        guard case .applied = context.apply(.delta(delta), fromControlPlane: true) else {
            Issue.record("the assignment was not applied")
            return
        }
    }

    func ticket(
        _ name: String, generation: Int = 1, session: String = "ses_1", agentKey: String = "agk_1",
        relay: String? = nil, role: Ticket.Role = .owner, limits: Limits = .none, age_s: Int64 = 0,
        signedBy other: Ed25519PrivateKey? = nil
    ) -> String {
        Ticket(
            relay: relay ?? context.relay.id, tunnel: "t-\(name)", account: "acc_1", session: session,
            agentKey: agentKey,
            generation: generation, role: role, region: Self.region, hostnames: ["\(name).eu.example.org"],
            limits: limits,
            issuedAt: WallTime.now() + -age_s
        ).signed(with: other ?? key)
    }

    // MARK: looking in

    var fingerprint: String { context.tls.fingerprint }
    var rendezvous: Rendezvous { context.relay.rendezvous }

    /// Returns once every loop has done what it had been told before.
    func settle() {
        let doors = (0..<threads.count).compactMap { context.door(number: UInt8($0)) }
        let answers = Gathering<Int>(expecting: doors.count)
        for door in doors { door.post { _ in answers.add(1) } }
        _ = answers.wait()
    }

    /// Waits until something has become true on the relay's loops.
    func eventually(
        _ what: Comment, sourceLocation: SourceLocation = #_sourceLocation, _ isTrue: () -> Bool
    ) {
        let end = Instant.now() + .seconds(Peer.deadline_s)
        while !isTrue() {
            guard Instant.now() < end else {
                Issue.record(what, sourceLocation: sourceLocation)
                return
            }
            settle()
        }
    }

    /// Waits until no connection is left, and looks whether every other count agrees.
    func expectEmpty(sourceLocation: SourceLocation = #_sourceLocation) {
        let metrics = context.metrics
        eventually("connections stay behind: \(metrics.connections.current)", sourceLocation: sourceLocation)
        {
            metrics.connections.current == 0
        }
        settle()
        #expect(metrics.players.current == 0, sourceLocation: sourceLocation)
        #expect(metrics.links.current == 0, sourceLocation: sourceLocation)
        #expect(metrics.parked.current == 0, sourceLocation: sourceLocation)
        let leftovers = Gathering<Int>(expecting: threads.count)
        context.forEachLoop { leftovers.add($0.leftovers) }
        #expect(leftovers.wait().allSatisfy { $0 == 0 }, "rooms or nonces", sourceLocation: sourceLocation)
    }
}
