import Core
import Testing

@testable import Redis

private func at(_ milliseconds: Int) -> Instant { Instant(nanoseconds: UInt64(milliseconds) * 1_000_000) }
private func bytes(_ texts: String...) -> [[UInt8]] { texts.map { Array($0.utf8) } }
private func wire(_ texts: String...) -> RedisSession.Action {
    .send(RedisFormatter.format(texts.map { Array($0.utf8) }))
}

@Suite struct RedisSessionTests {
    private func ready(_ url: RedisURL = RedisURL(host: "h")) -> RedisSession {
        var session = RedisSession(url: url, limits: RedisLimits())
        _ = session.start(at(0))
        _ = session.opened(at(0))
        _ = session.received(.status("PONG"), at(0), jitter: 0)
        return session
    }

    @Test func theGreetingLogsInAndSelectsBeforeAnythingElse() {
        var session = RedisSession(
            url: RedisURL(host: "h", user: "u", password: "p", database: 2), limits: RedisLimits())
        #expect(session.start(at(0)) == [.report(.connecting), .connect])
        #expect(session.submit(1, bytes("GET", "k"), at(1), timeout: Milliseconds(500)) == [])
        let greeting =
            RedisFormatter.format(bytes("AUTH", "u", "p")) + RedisFormatter.format(bytes("SELECT", "2"))
        #expect(session.opened(at(2)) == [.send(greeting + RedisFormatter.format(bytes("PING")))])
        #expect(session.received(.status("OK"), at(3), jitter: 0) == [])
        #expect(session.received(.status("OK"), at(3), jitter: 0) == [])
        #expect(session.received(.status("PONG"), at(4), jitter: 0) == [.report(.ready), wire("GET", "k")])
        #expect(session.received(.bytes([1]), at(5), jitter: 0) == [.finish(1, .success(.bytes([1])))])
    }

    @Test func aWrongPasswordIsAReasonToBeAwayAndTryAgain() {
        var session = RedisSession(url: RedisURL(host: "h", password: "p"), limits: RedisLimits())
        _ = session.start(at(0))
        _ = session.opened(at(0))
        let actions = session.received(.error("WRONGPASS no"), at(1), jitter: 1000)
        #expect(actions == [.disconnect, .report(.away("WRONGPASS no"))])
        #expect(session.nextWake(at(1)) == at(51))
        #expect(session.advance(at(51), jitter: 0) == [.report(.connecting), .connect])
    }

    @Test func repliesGoToCommandsInOrder() {
        var session = ready()
        #expect(session.submit(1, bytes("A"), at(0), timeout: .seconds(1)) == [wire("A")])
        #expect(session.submit(2, bytes("B"), at(0), timeout: .seconds(1)) == [wire("B")])
        #expect(session.received(.integer(1), at(1), jitter: 0) == [.finish(1, .success(.integer(1)))])
        #expect(
            session.received(.error("ERR x"), at(1), jitter: 0) == [.finish(2, .failure(.refused("ERR x")))])
    }

    @Test func anOverdueReplyEndsTheConnection() {
        var session = ready()
        _ = session.submit(1, bytes("A"), at(0), timeout: Milliseconds(100))
        _ = session.submit(2, bytes("B"), at(0), timeout: Milliseconds(900))
        #expect(session.advance(at(99), jitter: 0) == [])
        #expect(
            session.advance(at(100), jitter: 0) == [
                .finish(1, .failure(.timedOut)), .disconnect, .finish(2, .failure(.connectionLost)),
                .report(.away("a reply did not come in time")),
            ])
    }

    @Test func commandsWaitForAConnectionUntilTheirDeadline() {
        var session = RedisSession(url: RedisURL(host: "h"), limits: RedisLimits())
        _ = session.start(at(0))
        _ = session.submit(1, bytes("A"), at(0), timeout: Milliseconds(200))
        _ = session.ended("refused", at(10), jitter: 0)
        #expect(session.advance(at(200), jitter: 0).first == .finish(1, .failure(.away)))
    }

    @Test func theQueueIsBounded() {
        var limits = RedisLimits()
        limits.maxPendingCommands = 2
        var session = RedisSession(url: RedisURL(host: "h"), limits: limits)
        _ = session.submit(1, bytes("A"), at(0), timeout: .seconds(1))
        _ = session.submit(2, bytes("A"), at(0), timeout: .seconds(1))
        #expect(
            session.submit(3, bytes("A"), at(0), timeout: .seconds(1)) == [.finish(3, .failure(.overloaded))])
    }

    @Test func pausesGrowToACeilingAndStartOverAfterSuccess() {
        var session = RedisSession(url: RedisURL(host: "h"), limits: RedisLimits())
        _ = session.start(at(0))
        var pauses: [Int] = []
        var now = 0
        for _ in 0..<8 {
            _ = session.ended("refused", at(now), jitter: 1000)
            let wake = session.nextWake(at(now)) ?? at(now)
            pauses.append(wake.since(at(now)).count)
            now += pauses.last ?? 0
            _ = session.advance(at(now), jitter: 1000)
        }
        #expect(pauses == [50, 100, 200, 400, 800, 1600, 2000, 2000])
        _ = session.opened(at(now))
        _ = session.received(.status("PONG"), at(now), jitter: 0)
        _ = session.ended("gone", at(now), jitter: 1000)
        #expect(session.nextWake(at(now)) == at(now + 50))
    }

    @Test func aSubscriberIsReadyWhenEveryChannelIsConfirmedAndSubscribesAgainAfterALoss() {
        var session = RedisSession(url: RedisURL(host: "h"), limits: RedisLimits())
        _ = session.subscribe(["a", "b"], at(0))
        for round in 0..<2 {
            _ = round == 0 ? session.start(at(0)) : session.advance(at(5000), jitter: 0)
            _ = session.opened(at(0))
            #expect(session.received(.status("PONG"), at(0), jitter: 0) == [wire("SUBSCRIBE", "a", "b")])
            let first: RedisReply = .array([.bytes(Array("subscribe".utf8)), .bytes([97]), .integer(1)])
            #expect(session.received(first, at(1), jitter: 0) == [])
            let second: RedisReply = .array([.bytes(Array("subscribe".utf8)), .bytes([98]), .integer(2)])
            #expect(session.received(second, at(1), jitter: 0) == [.report(.ready)])
            let message: RedisReply = .array([.bytes(Array("message".utf8)), .bytes([97]), .bytes([7])])
            #expect(session.received(message, at(2), jitter: 0) == [.deliver(channel: "a", payload: [7])])
            #expect(session.ended("gone", at(3), jitter: 0) == [.disconnect, .report(.away("gone"))])
        }
    }

    @Test func aQuietSubscriberAsksAndGivesUpOnSilence() {
        var session = ready()
        _ = session.subscribe(["a"], at(0))
        _ = session.received(
            .array([.bytes(Array("subscribe".utf8)), .bytes([97]), .integer(1)]), at(0), jitter: 0)
        #expect(session.nextWake(at(0)) == at(1000))
        #expect(session.advance(at(1000), jitter: 0) == [wire("PING")])
        _ = session.received(.array([.bytes(Array("pong".utf8)), .bytes([])]), at(1001), jitter: 0)
        #expect(session.advance(at(2001), jitter: 0) == [wire("PING")])
        #expect(session.advance(at(3001), jitter: 0) == [.disconnect, .report(.away("no answer in time"))])
    }

    @Test func aSubscriberRunsNoCommands() {
        var session = ready()
        _ = session.subscribe(["a"], at(0))
        #expect(
            session.submit(1, bytes("GET", "k"), at(0), timeout: .seconds(1)) == [
                .finish(1, .failure(.subscribed))
            ])
    }
}
