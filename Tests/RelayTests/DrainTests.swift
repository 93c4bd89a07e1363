import CLinux
import Core
import IO
import Synchronization
import Testing
import Wire

@testable import Relay
@testable import RelayCore

/// A relay that leaves loses nobody: agents move first, players stay, and whoever still comes is served.
@Suite(.timeLimit(.minutes(2)))
struct DrainTests {
    /// What the drain had done by others.
    struct Errands: Sendable {
        var loads = 0
        var usage = 0
        var exits = 0
    }

    /// Runs a relay and a drain on a loop of its own.
    private func withDrain(
        notice_s: Int = 0, limit_s: Int = 300,
        _ body: (TestRelay, _ order: @Sendable (@escaping @Sendable (Drain) -> Void) -> Void, Mutexed) throws
            -> Void
    ) throws {
        try TestRelay.with { relay in
            let thread = try LoopThread.start(name: "drain")
            let errands = Mutexed()
            let made = Gathering<LoopBound<Drain>>(expecting: 1)
            let context = relay.context
            thread.mailbox.post { loop in
                let drain = Drain(
                    loop: loop, context: context, notice_s: notice_s, limit_s: limit_s,
                    errands: Drain.Errands(
                        reportLoad: { errands.add { $0.loads += 1 } },
                        tellUsage: { done in
                            errands.add { $0.usage += 1 }
                            done()
                        }, exit: { errands.add { $0.exits += 1 } }))
                made.add(LoopBound(drain, loop))
            }
            let drain = made.wait()[0]
            defer {
                thread.stop()
                thread.join()
            }
            try body(relay, { work in thread.mailbox.post { work(drain.get($0)) } }, errands)
        }
    }

    final class Mutexed: Sendable {
        private let held = Mutex(Errands())
        func add(_ change: (inout sending Errands) -> Void) { held.withLock { change(&$0) } }
        var now: Errands { held.withLock { $0 } }
    }

    /// A player who plays, on a parked connection.
    private func playing(_ relay: TestRelay, _ agent: FakeAgent, _ nonce: Nonce) throws -> (Peer, Peer) {
        let data = try agent.park(nonce, at: relay)
        let player = try relay.player()
        try player.send(Client.login("home"))
        _ = try data.readStart()
        _ = try data.read(Client.login("home").count)
        try data.send(StartAnswer.ready.encode() + [1])
        #expect(try player.read(1) == [1])
        return (player, data)
    }

    private func migration(_ agent: FakeAgent) throws -> (within: Milliseconds, leave: Bool) {
        while true {
            let frame = try agent.next()
            if case .migrate(let within, let leave) = frame { return (within, leave) }
            guard case .park = frame else { throw TestFailure("\(frame) came instead of MIGRATE") }
        }
    }

    @Test func agentsAreAskedToMoveAndPlayersPlayOn() throws {
        try withDrain { relay, order, errands in
            relay.assign("home")
            let agent = try FakeAgent(relay, ticket: relay.ticket("home"))
            #expect(try agent.next() == .welcome(.none))
            let (player, data) = try playing(relay, agent, agent.nonceToPark())

            order { $0.signalled() }
            let asked = try migration(agent)
            #expect(asked.leave)
            #expect(asked.within <= .seconds(5))
            #expect(relay.context.isDraining)
            #expect(errands.now.loads == 1)

            // Until the agent has gone, whoever comes is brought home.
            let late = try relay.player()
            try late.send(Client.login("home"))
            let second = try agent.dial(agent.nonceToOpen())
            _ = try second.readStart()
            _ = try second.read(Client.login("home").count)
            try second.send(StartAnswer.ready.encode() + [7])
            #expect(try late.read(1) == [7])

            // No new links.
            relay.assign("other")
            let other = try FakeAgent(relay, ticket: relay.ticket("other"))
            #expect(try other.goAway() == .draining)

            // The agent has moved; its players stay.
            try agent.send(.goAway(reconnectIn: Milliseconds(0), .stopping))
            try agent.waitForEnd()
            try player.send([2, 3])
            #expect(try data.read(2) == [2, 3])
            #expect(errands.now.exits == 0)
            player.close()
            #expect(try data.readToEnd().isEmpty)
            data.close()
            #expect(errands.now.exits == 0)
            late.close()
            #expect(try second.readToEnd().isEmpty)
            second.close()

            relay.eventually("it does not end") { errands.now.exits == 1 }
            #expect(errands.now.usage == 1)
            #expect(throws: SystemError.self) { try relay.player() }
            relay.expectEmpty()
        }
    }

    @Test func whoIsNotAcceptedYetIsServedBeforeTheDoorsClose() throws {
        try withDrain { relay, order, errands in
            relay.assign("away")
            order { $0.signalled() }
            // Some of these come before the listeners close, and then none is reset.
            var peers: [Peer] = []
            for _ in 0..<200 { if let peer = try? relay.player() { peers.append(peer) } }
            for peer in peers {
                try peer.send(Client.login("away"))
                #expect(try Client.kick(peer.readToEnd()) == OfflineReason.agentAway.text(name: "away"))
                peer.close()
            }
            relay.eventually("it does not end") { errands.now.exits == 1 }
        }
    }

    @Test func anOperatorsOrderIsTheSameAndASignalAfterItIsTheFirst() throws {
        try withDrain { relay, order, errands in
            relay.assign("home")
            let agent = try FakeAgent.up(relay, "home")
            order { drain in
                drain.ordered()
                drain.ordered()
                drain.signalled()
            }
            #expect(try migration(agent).leave)
            relay.settle()
            #expect(errands.now.exits == 0)
            order { $0.signalled() }
            relay.eventually("it does not end") { errands.now.exits == 1 }
            #expect(errands.now.loads == 1)
        }
    }
}
