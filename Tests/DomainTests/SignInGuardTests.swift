import Core
import Domain
import Testing

@Suite struct SignInGuardTests {
    private let policies = SignInPolicies(
        pair: StrikePolicy("pair", free: 3, maxPause_ms: 8000, decay_ms: 100_000),
        network: StrikePolicy("network", free: 6, maxPause_ms: 8000, decay_ms: 100_000),
        account: StrikePolicy("account", free: 4, maxPause_ms: 8000, decay_ms: 100_000),
        known_ms: 1_000_000)
    private let anna = SignInSubject(email: "anna@mail.example", network: "203.0.113.7")

    private func passes(_ verdict: SignInVerdict) -> Bool { if case .pass = verdict { true } else { false } }

    @Test func triesAtTheSameTimeCountAsTriesInTurn() {
        var signIns = SignInGuard(policies)
        let verdicts = (0..<20).map { _ in signIns.attempt(anna, now_ms: 0) }
        #expect(verdicts.filter(passes).count == 3)
        #expect(verdicts[3] == .wait(ms: 1000, policies.pair))
    }

    @Test func pausesDoubleUpToALimit() {
        var signIns = SignInGuard(policies)
        var now_ms = 0
        for _ in 0..<2 { _ = signIns.attempt(anna, now_ms: now_ms) }
        for pause_ms in [1000, 2000, 4000, 8000, 8000] {
            #expect(passes(signIns.attempt(anna, now_ms: now_ms)))
            now_ms += pause_ms - 1
            #expect(signIns.attempt(anna, now_ms: now_ms) == .wait(ms: 1, policies.pair))
            now_ms += 1
        }
    }

    @Test func aRightPasswordEndsThePausesOfItsAddress() {
        var signIns = SignInGuard(policies)
        for _ in 0..<3 { _ = signIns.attempt(anna, now_ms: 0) }
        #expect(!passes(signIns.attempt(anna, now_ms: 0)))
        signIns.end(anna, .rightPassword, wasKnown: false, now_ms: 0)
        #expect(signIns.attempt(anna, now_ms: 0) == .pass(isKnown: true))
    }

    @Test func aTryThatNobodyLookedAtIsGivenBack() {
        var signIns = SignInGuard(policies)
        for _ in 0..<50 {
            #expect(signIns.attempt(anna, now_ms: 0) == .pass(isKnown: false))
            signIns.end(anna, .unchecked, wasKnown: false, now_ms: 0)
        }
        #expect(signIns.count == 0)
    }

    @Test func oneAddressMayNotTryManyAccounts() {
        var signIns = SignInGuard(policies)
        let verdicts = (0..<10).map { index in
            signIns.attempt(
                SignInSubject(email: "\(index)@mail.example", network: "203.0.113.7"), now_ms: 0)
        }
        #expect(verdicts.filter(passes).count == 6)
        #expect(verdicts.last == .wait(ms: 1000, policies.network))
        let elsewhere = SignInSubject(email: "x@mail.example", network: "203.0.113.8")
        #expect(passes(signIns.attempt(elsewhere, now_ms: 0)))
    }

    @Test func manyAddressesTryOneAccountInTurnButDoNotLockItsOwnerOut() {
        var signIns = SignInGuard(policies)
        _ = signIns.attempt(anna, now_ms: 0)
        signIns.end(anna, .rightPassword, wasKnown: false, now_ms: 0)
        let verdicts = (0..<10).map { index in
            signIns.attempt(
                SignInSubject(email: "ANNA@mail.example", network: "198.51.100.\(index)"), now_ms: 0)
        }
        #expect(verdicts.filter(passes).count == 4)
        #expect(verdicts.last == .wait(ms: 1000, policies.account))
        #expect(signIns.attempt(anna, now_ms: 0) == .pass(isKnown: true))
        let later = 1_000_000
        #expect(signIns.attempt(anna, now_ms: later) == .pass(isKnown: false))
    }

    @Test func strikesAreForgottenOneByOne() {
        var signIns = SignInGuard(policies)
        for _ in 0..<3 { _ = signIns.attempt(anna, now_ms: 0) }
        // One of three is forgotten: this try makes three again, and costs a pause again.
        #expect(passes(signIns.attempt(anna, now_ms: 100_000)))
        #expect(!passes(signIns.attempt(anna, now_ms: 100_001)))
        // All are forgotten.
        for _ in 0..<3 { #expect(passes(signIns.attempt(anna, now_ms: 900_000))) }
    }

    @Test func aFloodOfStrangersKeepsThoseWhoWaitAndDoesNotGrowWithoutEnd() {
        var signIns = SignInGuard(policies, maxRecords: 100)
        for _ in 0..<3 { _ = signIns.attempt(anna, now_ms: 0) }
        for index in 0..<1000 {
            let stranger = SignInSubject(
                email: "\(index)@mail.example", network: "10.0.\(index / 250).\(index % 250)")
            _ = signIns.attempt(stranger, now_ms: 1)
        }
        #expect(signIns.count <= 103)
        #expect(!passes(signIns.attempt(anna, now_ms: 2)))
    }

    @Test func addressesAreHashedAndWrittenInAnyCase() {
        #expect(anna == SignInSubject(email: "Anna@MAIL.example", network: "203.0.113.7"))
        #expect((anna.keys + [anna.knownKey]).filter { $0.contains("anna") || $0.contains("@") } == [])
    }
}

@Suite struct CircuitBreakerTests {
    private func at(_ ms: Int) -> Instant { Instant(nanoseconds: 1 << 40) + Milliseconds(ms) }

    @Test func afterAFailureOneTryEachPauseUntilOneWorks() {
        var breaker = CircuitBreaker(pause: .seconds(2))
        func tries(_ times_ms: [Int]) -> [Bool] { times_ms.map { breaker.mayTry(now: at($0)) } }
        #expect(tries([0, 0]) == [true, true])
        breaker.failed(now: at(0))
        #expect(tries([1999, 2000, 2000]) == [false, true, false])
        breaker.succeeded()
        #expect(breaker.isClosed)
        #expect(tries([2001, 2001]) == [true, true])
    }
}
