import Core
import RelayCore
import Testing

@Suite struct KeyRefreshTests {
    private func at(_ milliseconds: Int) -> Instant {
        Instant(nanoseconds: 1 << 40) + Milliseconds(milliseconds)
    }

    @Test func anUnknownKeyIsAskedForAtOnceAndThenOnceAMinute() {
        var refresh = KeyRefresh()
        func asks(_ sign: KeyRefresh.Sign, _ time: Int) -> Bool { refresh.met(sign, now: at(time)) }
        #expect(asks(.unknownOnTicket, 0))
        #expect(!asks(.unknownOnTicket, 1))
        #expect(!asks(.unknownOnTicket, 59_999))
        #expect(asks(.unknownOnTicket, 60_000))
    }

    @Test func strangersWithTicketsDoNotUseUpWhatTheFeedMayAsk() {
        var refresh = KeyRefresh()
        func asks(_ sign: KeyRefresh.Sign, _ time: Int) -> Bool { refresh.met(sign, now: at(time)) }
        #expect(asks(.unknownOnTicket, 0))
        #expect(asks(.unknownOnFeed, 1))
        #expect(asks(.told, 2))
        #expect(!asks(.told, 1_000))
        #expect(asks(.told, 2_002))
    }
}
