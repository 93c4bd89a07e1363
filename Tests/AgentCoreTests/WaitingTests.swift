import Core
import Testing
import Wire

@testable import AgentCore

/// How long until the next question, and how many there are.
struct WaitingTests {
    @Test(arguments: [
        (Backoff.Pace.nothingServes, 1_000, 30_000), (.ownerLacks, 10_000, 60_000),
        (.standbyLacks, 10_000, 300_000),
    ])
    func waitsGrowWithFullJitter(_ pace: Backoff.Pace, _ first: Int, _ most: Int) {
        for attempt in 0..<10 {
            var longest = 0
            var shortest = Int.max
            for seed in 0..<200 as Range<UInt64> {
                var backoff = Backoff(seed: seed)
                for _ in 0..<attempt { _ = backoff.next(pace) }
                let wait = backoff.next(pace).count
                longest = max(longest, wait)
                shortest = min(shortest, wait)
            }
            let limit = min(most, first << attempt)
            #expect(longest <= limit && longest > limit * 9 / 10)
            #expect(shortest < limit / 10)
        }
    }

    @Test func retryAfterIsHonouredWithUpToHalfOfItAgain() {
        for failure in [
            ControlFailure.busy(20),
            .refused(Refusal(status: 429, code: "quota-exceeded", detail: "d", retryAfter: .seconds(20))),
        ] {
            var waits: [Int] = []
            for seed in 0..<200 as Range<UInt64> {
                var driver = SessionDriver.asking(seed: seed)
                driver.answer(.failure(failure))
                waits.append(driver.wait?.count ?? 0)
                let told = driver.wait
                #expect(driver.passToQuestion() == told)
            }
            #expect((waits.min() ?? 0) >= 20_000 && (waits.min() ?? 0) < 21_000)
            #expect((waits.max() ?? 0) <= 30_000 && (waits.max() ?? 0) > 29_000)
        }
    }

    @Test func aQueueIsNoFailure() {
        var driver = SessionDriver.asking()
        for _ in 0..<20 {
            driver.answer(.failure(.busy(2)))
            #expect(driver.passToQuestion() <= .seconds(3))
        }
        driver.place(SessionDriver.onA)
        driver.welcome()
        driver.breakLink("a")
        #expect(driver.wait.map { $0 <= .seconds(1) } == true)
    }

    @Test func othersFailuresWithATimeAreFailuresToo() {
        var driver = SessionDriver.asking()
        var total = 0
        for _ in 0..<12 {
            driver.answer(
                .failure(
                    .refused(
                        Refusal(status: 503, code: "unavailable", detail: "d", retryAfter: .seconds(1)))))
            total += driver.passToQuestion().count
        }
        #expect(total > 40_000)
    }

    @Test func whoIsAskedToComeLaterDoesNotComeEarlierForAnotherReason() {
        var driver = SessionDriver.paired()
        driver.breakLink("a")
        driver.passToQuestion()
        driver.answer(.failure(.busy(20)))
        driver.receive("b", .migrate(within: Milliseconds(0), leave: false))
        driver.breakLink("b")
        #expect(driver.wait.map { $0 >= .seconds(20) } == true)
        #expect(driver.passToQuestion() >= .seconds(20))
    }

    /// Many agents lose the same relay; a control plane takes so many a second, lets three seconds' worth of others
    /// wait, and tells the rest when it will be their turn.
    @Test(arguments: [true, false])
    func aStormCostsLittleMoreThanOneQuestionEach(_ hasStandby: Bool) {
        let (agents, perSecond, burst, line) = (2_000, 100, 200, 300)
        var drivers = (0..<UInt64(agents)).map { seed in
            var driver = SessionDriver.asking(seed: seed &* 7919 &+ 1)
            driver.place(hasStandby ? SessionDriver.onAWithB : SessionDriver.onA)
            driver.welcome("a")
            if hasStandby { driver.welcome("b") }
            driver.breakLink("a")
            return driver
        }
        let start = drivers[0].now
        var questions = 0
        var backAt: [Int] = []
        var (tokens, sentAway) = (burst, 0)
        for second in 0..<60 {
            tokens = min(burst, tokens + perSecond)
            sentAway = max(0, sentAway - perSecond)
            for index in drivers.indices where !drivers[index].session.isWhole {
                guard let due = drivers[index].session.questionDue, due <= start + .seconds(second + 1) else {
                    continue
                }
                drivers[index].now = due
                for link in drivers[index].session.links { drivers[index].feed(.received(link.id, .pong(0))) }
                drivers[index].feed(.timePassed)
                guard drivers[index].excluded == ["rly_a"] else { continue }
                questions += 1
                guard tokens > -line else {
                    drivers[index].answer(.failure(.busy(3 + sentAway / perSecond)))
                    sentAway += 1
                    continue
                }
                tokens -= 1
                drivers[index].place(
                    SessionDriver.placement(2, hasStandby ? "b" : "c", hasStandby ? "c" : nil))
                drivers[index].welcome(hasStandby ? "b" : "c")
                if hasStandby { drivers[index].welcome("c") }
                backAt.append(second)
            }
        }
        #expect(backAt.count == agents)
        #expect(backAt.filter { $0 < 30 }.count >= agents * 95 / 100)
        // Without a standby they cannot wait: all ask in the first second, and more of them are sent away once.
        #expect(questions <= (hasStandby ? agents * 3 / 2 : agents * 2), "\(questions) questions")
    }
}
