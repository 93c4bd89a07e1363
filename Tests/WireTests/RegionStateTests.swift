import Core
import Crypto
import Testing

@testable import Wire

@Suite struct RegionStateTests {
    static func assignment(_ tunnel: String, generation: Int = 1, hostnames: [String]? = nil) -> Assignment {
        Assignment(
            tunnel: tunnel, account: "acc_1", hostnames: hostnames ?? ["\(tunnel).eu.dvv.one"],
            owner: "rly_1",
            generation: generation, session: "ses_1", limits: Limits(players: 20), state: .online)
    }

    static func relay(_ id: String, _ state: RelayState = .active) -> RelayInfo {
        RelayInfo(id: id, region: "eu", endpoint: "127.0.0.1:7000", fingerprint: "ab", state: state)
    }

    static func delta(
        _ prevRev: Int, _ rev: Int, epoch: Int = 1, _ upserts: [Assignment] = [], deletes: [String] = [],
        relays: [RelayInfo] = [], cumulative: Bool = false
    ) -> RegionDelta {
        RegionDelta(
            epoch: epoch, region: "eu", prevRev: prevRev, rev: rev, upserts: upserts, deletes: deletes,
            relays: relays, isCumulative: cumulative)
    }

    @Test func deltasInOrderAreApplied() {
        var state = RegionState(region: "eu")
        #expect(
            state.apply(Self.delta(0, 1, [Self.assignment("a"), Self.assignment("b")]))
                == .applied(tunnels: ["a", "b"]))
        #expect(
            state.apply(Self.delta(1, 2, [Self.assignment("c")], deletes: ["a"]))
                == .applied(tunnels: ["a", "c"]))
        #expect(state.rev == 2 && Set(state.assignments.keys) == ["b", "c"])
        #expect(state[hostname: "c.eu.dvv.one"]?.tunnel == "c" && state[hostname: "a.eu.dvv.one"] == nil)
    }

    @Test func aMissingDeltaIsAGapAndChangesNothing() {
        var state = RegionState(region: "eu")
        _ = state.apply(Self.delta(0, 1, [Self.assignment("a")]))
        let before = state
        #expect(state.apply(Self.delta(2, 3, [Self.assignment("b")])) == .gap)
        #expect(state == before)
    }

    @Test func repeatedAndOlderDeltasAreStale() {
        var state = RegionState(region: "eu")
        _ = state.apply(Self.delta(0, 1, epoch: 3, [Self.assignment("a")]))
        let before = state
        #expect(state.apply(Self.delta(0, 1, epoch: 3, [Self.assignment("x")])) == .stale)
        #expect(state.apply(Self.delta(1, 2, epoch: 2, [Self.assignment("x")])) == .stale)
        #expect(state == before)
    }

    @Test func aNewLeaderThatRepeatsTheLastDeltaCausesNoPull() {
        var state = RegionState(region: "eu")
        _ = state.apply(Self.delta(0, 1, epoch: 1, [Self.assignment("a")]))
        #expect(state.apply(Self.delta(0, 1, epoch: 2, [Self.assignment("a")])) == .stale)
        var beacon = state.beacon
        beacon.epoch = 2
        #expect(state.check(beacon) == .current)
        #expect(state.epoch == 2)
    }

    @Test func anotherRegionsMessagesAreIgnored() {
        var state = RegionState(region: "us")
        #expect(state.apply(Self.delta(0, 1, [Self.assignment("a")])) == .stale)
        #expect(state.apply(.beacon(RegionBeacon(epoch: 9, region: "eu", rev: 9, digest: ""))) == .stale)
    }

    @Test func aCumulativeDeltaMayStartBeforeTheState() {
        var state = RegionState(region: "eu")
        _ = state.apply(Self.delta(0, 4, cumulative: true))
        #expect(state.apply(Self.delta(2, 5, [Self.assignment("a")])) == .gap)
        #expect(
            state.apply(Self.delta(2, 6, [Self.assignment("a")], cumulative: true))
                == .applied(tunnels: ["a"]))
        #expect(state.rev == 6)
        #expect(state.apply(Self.delta(7, 8, cumulative: true)) == .gap)
    }

    @Test func anOlderSnapshotInRedisProvesNothing() {
        var state = RegionState(region: "eu")
        _ = state.apply(Self.delta(0, 5, epoch: 2, [Self.assignment("a")]))
        let older = RegionSnapshot(epoch: 2, region: "eu", rev: 4, assignments: [], relays: [])
        #expect(state.apply(older, fromControlPlane: false) == .stale)
        #expect(state.apply(older, fromControlPlane: true) == .stale)
        var newEpoch = older
        newEpoch.epoch = 3
        #expect(state.apply(newEpoch, fromControlPlane: false) == .gap)
        #expect(state.assignments.count == 1)
        #expect(state.apply(newEpoch, fromControlPlane: true) == .applied(tunnels: ["a"]))
        #expect(state.assignments.isEmpty && state.rev == 4 && state.epoch == 3)
    }

    @Test func aSnapshotTellsWhatChanged() {
        var state = RegionState(region: "eu")
        _ = state.apply(
            Self.delta(0, 1, [Self.assignment("same"), Self.assignment("gone"), Self.assignment("other")]))
        let snapshot = RegionSnapshot(
            epoch: 1, region: "eu", rev: 2,
            assignments: [
                Self.assignment("same"), Self.assignment("other", generation: 2), Self.assignment("new"),
            ],
            relays: [Self.relay("rly_1")])
        #expect(
            state.apply(.snapshot(snapshot)) == .applied(tunnels: ["gone", "other", "new"]))
        #expect(state[hostname: "gone.eu.dvv.one"] == nil)
        #expect(state.relays["rly_1"] != nil)
    }

    @Test func aSnapshotOfTheSameRevisionHealsADifference() {
        var right = RegionState(region: "eu")
        _ = right.apply(Self.delta(0, 1, [Self.assignment("a")]))
        var wrong = RegionState(region: "eu")
        _ = wrong.apply(Self.delta(0, 1, [Self.assignment("b")]))
        #expect(wrong.check(right.beacon) == .gap)
        _ = wrong.apply(right.snapshot, fromControlPlane: true)
        #expect(wrong == right && wrong.check(right.beacon) == .current)
    }

    @Test func aBeaconShowsALostMessage() {
        var state = RegionState(region: "eu")
        _ = state.apply(Self.delta(0, 1, [Self.assignment("a")]))
        var ahead = state
        _ = ahead.apply(Self.delta(1, 2, [Self.assignment("b")]))
        #expect(state.check(ahead.beacon) == .gap)
        #expect(ahead.check(state.beacon) == .stale)
    }

    @Test func aHostnameMovesBetweenTunnels() {
        var state = RegionState(region: "eu")
        _ = state.apply(Self.delta(0, 1, [Self.assignment("a", hostnames: ["x.eu.dvv.one"])]))
        _ = state.apply(
            Self.delta(
                1, 2,
                [
                    Self.assignment("b", hostnames: ["x.eu.dvv.one"]),
                    Self.assignment("a", generation: 2, hostnames: ["y.eu.dvv.one"]),
                ]))
        #expect(state[hostname: "x.eu.dvv.one"]?.tunnel == "b")
        #expect(state[hostname: "y.eu.dvv.one"]?.tunnel == "a")
        _ = state.apply(Self.delta(2, 3, deletes: ["a"]))
        #expect(state[hostname: "x.eu.dvv.one"]?.tunnel == "b" && state[hostname: "y.eu.dvv.one"] == nil)
    }

    @Test func aRemovedRelayIsForgotten() {
        var state = RegionState(region: "eu")
        let empty = state.digest
        _ = state.apply(Self.delta(0, 1, relays: [Self.relay("rly_1")]))
        _ = state.apply(Self.delta(1, 2, relays: [Self.relay("rly_1", .draining)]))
        #expect(state.relays["rly_1"]?.state == .draining && state.digest != empty)
        _ = state.apply(Self.delta(2, 3, relays: [Self.relay("rly_1", .removed)]))
        #expect(state.relays.isEmpty && state.digest == empty)
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func theDigestDependsOnTheContentsAloneNotOnTheWayThere(_ seed: UInt64) {
        var random = Seeded(seed)
        var state = RegionState(region: "eu")
        for rev in 1...300 {
            let tunnel = "t\(Int.random(in: 0..<20, using: &random))"
            let deletes = Bool.random(using: &random)
            let item = Self.assignment(tunnel, generation: Int.random(in: 1...3, using: &random))
            let relay = Self.relay(
                "r\(rev % 3)", RelayState.allCases.randomElement(using: &random) ?? .active)
            _ = state.apply(
                Self.delta(
                    rev - 1, rev, deletes ? [] : [item], deletes: deletes ? [tunnel] : [], relays: [relay]))
        }
        var fresh = RegionState(region: "eu")
        _ = fresh.apply(
            RegionSnapshot(
                epoch: 1, region: "eu", rev: 300,
                assignments: state.assignments.values.shuffled(using: &random),
                relays: state.relays.values.shuffled(using: &random)), fromControlPlane: false)
        #expect(fresh == state && fresh.digest.text == state.digest.text)
        #expect(state.digest.text.utf8.count == 64)
    }

    @Test func everyFieldOfAnAssignmentCountsInTheDigest() {
        let base = Self.assignment("a")
        let changes: [(inout Assignment) -> Void] = [
            { $0.account = "acc_2" }, { $0.hostnames = [] }, { $0.owner = nil }, { $0.standby = "rly_2" },
            { $0.previousOwner = "rly_2" }, { $0.generation = 2 }, { $0.session = nil },
            { $0.limits.players = nil }, { $0.limits.bytes_per_s = 20 }, { $0.limits.idle_timeout_s = 20 },
            { $0.state = .suspended }, { $0.tunnel = "b" },
        ]
        var digests: Set<String> = []
        for change in [{ _ in }] + changes {
            var changed = base
            change(&changed)
            var state = RegionState(region: "eu")
            _ = state.apply(Self.delta(0, 1, [changed]))
            digests.insert(state.digest.text)
        }
        #expect(digests.count == changes.count + 1)
    }
}

@Suite struct AssignmentMessageTests {
    let key: Ed25519PrivateKey
    let keys: VerificationKeys

    init() throws {
        key = try Ed25519PrivateKey(seed: [UInt8](repeating: 7, count: 32))
        keys = VerificationKeys([key.publicKey])
    }

    static let messages: [AssignmentMessage] = [
        .delta(
            RegionStateTests.delta(
                1, 2, [RegionStateTests.assignment("a")], deletes: ["b"],
                relays: [RegionStateTests.relay("r")])),
        .snapshot(
            RegionSnapshot(
                epoch: 1, region: "eu", rev: 2,
                assignments: [
                    Assignment(tunnel: "t", account: "a", hostnames: [], generation: 0, state: .offline)
                ],
                relays: [
                    RelayInfo(
                        id: "r", region: "eu", endpoint: "h:1", meshAddress: "m:2", fingerprint: "ff",
                        state: .lost, sharedEntry: true)
                ])),
        .beacon(RegionBeacon(epoch: 1, region: "eu", rev: 2, digest: "00")),
    ]

    @Test(arguments: messages)
    func whatIsSignedIsRead(_ message: AssignmentMessage) throws {
        let text = message.signed(with: key)
        #expect(try AssignmentMessage.verify(text, region: "eu", keys: keys) == message)
    }

    @Test func aMessageForAnotherRegionIsRefused() {
        let text = Self.messages[2].signed(with: key)
        #expect(throws: AssignmentMessageError.wrongRegion) {
            try AssignmentMessage.verify(text, region: "us", keys: keys)
        }
    }

    @Test func whoeverCanWriteToRedisCannotReroutePlayers() throws {
        let stranger = try Ed25519PrivateKey(seed: [UInt8](repeating: 8, count: 32))
        #expect(throws: AssignmentMessageError.signature(.unknownKey)) {
            try AssignmentMessage.verify(Self.messages[0].signed(with: stranger), region: "eu", keys: keys)
        }
        let otherKind = JWS.sign(Self.messages[0].json.bytes, type: Ticket.type, key: key)
        #expect(throws: AssignmentMessageError.signature(.wrongType)) {
            try AssignmentMessage.verify(otherKind, region: "eu", keys: keys)
        }
        #expect(throws: AssignmentMessageError.self) {
            try AssignmentMessage.verify("", region: "eu", keys: keys)
        }
    }

    @Test func newMembersAreIgnoredAndWrongOnesRefused() throws {
        var json = Self.messages[2].json.objectValue ?? [:]
        json["later"] = true
        #expect(try AssignmentMessage(json: .object(json)) == Self.messages[2])
        json["rev"] = -1
        #expect(throws: WireError.self) { try AssignmentMessage(json: .object(json)) }
        json["rev"] = "2"
        #expect(throws: WireError.self) { try AssignmentMessage(json: .object(json)) }
        #expect(throws: WireError.self) { try AssignmentMessage(json: ["kind": "other"]) }
        #expect(throws: WireError.self) { try AssignmentMessage(json: []) }
    }
}

@Suite struct TicketTests {
    let key: Ed25519PrivateKey
    let keys: VerificationKeys
    let now = WallTime(seconds: 1_800_000_000)
    let ticket: Ticket

    init() throws {
        key = try Ed25519PrivateKey(seed: [UInt8](repeating: 7, count: 32))
        keys = VerificationKeys([key.publicKey])
        ticket = Ticket(
            relay: "rly_1", tunnel: "tun_1", account: "acc_1", session: "ses_1", generation: 4,
            role: .standby,
            region: "eu", hostnames: ["sleepy-creeper.eu.dvv.one"], limits: Limits(players: 20), issuedAt: now
        )
    }

    @Test func aTicketOpensItsRelay() throws {
        #expect(try Ticket.verify(ticket.signed(with: key), relay: "rly_1", keys: keys, now: now) == ticket)
        #expect(ticket.expiresAt == now + 300)
    }

    @Test func aTicketForAnotherRelayIsRefused() {
        #expect(throws: TicketError.token(.wrongAudience)) {
            try Ticket.verify(ticket.signed(with: key), relay: "rly_2", keys: keys, now: now)
        }
    }

    @Test func anExpiredTicketCountsOnlyWithinTheGrace() throws {
        let token = ticket.signed(with: key)
        let later = now + 3600
        #expect(throws: TicketError.token(.expired)) {
            try Ticket.verify(token, relay: "rly_1", keys: keys, now: later)
        }
        #expect(
            try Ticket.verify(token, relay: "rly_1", keys: keys, now: later, grace_s: Ticket.grace_s)
                == ticket)
        #expect(throws: TicketError.token(.expired)) {
            try Ticket.verify(token, relay: "rly_1", keys: keys, now: now + 90_000, grace_s: Ticket.grace_s)
        }
    }

    @Test func anotherKindOfTokenIsNoTicket() {
        let token = JWT.sign(claims: ticket.claims, type: "at+jwt", key: key)
        #expect(throws: TicketError.token(.signature(.wrongType))) {
            try Ticket.verify(token, relay: "rly_1", keys: keys, now: now)
        }
    }

    @Test(arguments: ["sub", "account", "session", "generation", "role", "region", "hostnames", "limits"])
    func aTicketWithoutOneOfItsClaimsIsRefused(_ name: String) {
        var claims = ticket.claims
        claims[name] = nil
        let token = JWT.sign(claims: claims, type: Ticket.type, key: key)
        #expect(throws: TicketError.self) {
            try Ticket.verify(token, relay: "rly_1", keys: keys, now: now)
        }
    }
}
