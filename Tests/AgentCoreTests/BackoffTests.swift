import Core
import Testing

@testable import AgentCore

@Suite struct BackoffTests {
    @Test(arguments: 1...20) func whatFailedWhileNothingServedDoesNotKeepTheReserveWaiting(seed: UInt64) {
        var backoff = Backoff(seed: seed)
        for _ in 0..<8 { _ = backoff.next(.nothingServes) }
        #expect(backoff.next(.standbyLacks) <= .seconds(10))
        #expect(backoff.next(.standbyLacks) <= .seconds(20))
    }

    @Test func waitsGrowUntilALinkWasGood() {
        var backoff = Backoff(seed: 1)
        let longest = (0..<200).map { _ in backoff.next(.nothingServes) }.max() ?? Milliseconds(0)
        #expect(longest > .seconds(20) && longest <= .seconds(30))
        backoff.reset()
        #expect(backoff.next(.nothingServes) <= .seconds(1))
    }
}
