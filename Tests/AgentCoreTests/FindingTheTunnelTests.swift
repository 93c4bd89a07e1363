import Core
import Testing

@testable import AgentCore

struct FindingTheTunnelTests {
    private let other = Tunnel(id: "tun_2", hostname: "brave-fox.us.dvv.one", region: "us")

    @Test func theOnlyTunnelIsServed() {
        var driver = SessionDriver()
        driver.feed(.start)
        #expect(driver.question == .tunnels(cursor: nil))
        driver.answer(.success(.tunnels([SessionDriver.tunnel], next: nil)))
        #expect(driver.question == .place(tunnel: "tun_1", session: "ses_1", exclude: []))
    }

    @Test func theLocalServerIsLookedAtAtTheStart() {
        var driver = SessionDriver()
        driver.feed(.start)
        #expect(driver.actions.contains(.checkLocalServer))
        driver.feed(.localServer(answers: false, forPlayer: false))
        #expect(driver.notices == [.localServerSilent(driver.session.options.local, playerWaits: false)])
        #expect(driver.exitCode == nil)
    }

    @Test func withoutATunnelOneIsMadeInTheNearestRegion() {
        var driver = SessionDriver()
        driver.feed(.start)
        driver.answer(.success(.tunnels([], next: nil)))
        #expect(driver.question == .regions)
        let regions = ["us", "eu"].map { Region(id: $0, probes: []) }
        driver.answer(.success(.regions(regions)))
        guard case .probe(let call, regions)? = driver.actions.first else {
            Issue.record("no probe")
            return
        }
        driver.feed(
            .probed(
                call,
                [
                    RegionTime(region: "us", time: Milliseconds(90)),
                    RegionTime(region: "eu", time: Milliseconds(12)),
                ]))
        #expect(driver.notices == [.regionChosen("eu", Milliseconds(12))])
        #expect(driver.question == .createTunnel(region: "eu", label: nil))
        driver.answer(.success(.created(SessionDriver.tunnel)))
        #expect(driver.question == .place(tunnel: "tun_1", session: "ses_1", exclude: []))
    }

    @Test func oneRegionNeedsNoMeasuring() {
        var driver = SessionDriver(label: "castle")
        driver.feed(.start)
        driver.answer(.success(.tunnels([], next: nil)))
        driver.answer(.success(.regions([Region(id: "eu", probes: [])])))
        #expect(driver.question == .createTunnel(region: "eu", label: "castle"))
    }

    @Test func regionsThatDoNotAnswerComeLast() {
        let times = [
            RegionTime(region: "a", time: nil), RegionTime(region: "b", time: Milliseconds(5)),
            RegionTime(region: "c", time: nil), RegionTime(region: "d", time: Milliseconds(1)),
        ]
        #expect(RegionTime.sorted(times).map { $0.region } == ["d", "b", "a", "c"])
    }

    @Test func anUnknownRegionIsToldWithTheKnownOnes() {
        var driver = SessionDriver(region: "mars")
        driver.feed(.start)
        driver.answer(.success(.tunnels([SessionDriver.tunnel], next: nil)))
        driver.answer(.success(.regions([Region(id: "eu", probes: []), Region(id: "us", probes: [])])))
        #expect(driver.failure == .unknownRegion("mars", known: ["eu", "us"]))
        #expect(driver.exitCode == 1)
    }

    @Test func severalTunnelsAreListedInsteadOfGuessing() {
        var driver = SessionDriver()
        driver.feed(.start)
        driver.answer(.success(.tunnels([SessionDriver.tunnel, other], next: nil)))
        #expect(driver.failure == .severalTunnels([SessionDriver.tunnel, other]))
        #expect(driver.exitCode == 1)
        let text = driver.notices.map { $0.text }.joined()
        #expect(text.contains("--name sleepy-creeper"))
        #expect(text.contains("--name brave-fox"))
    }

    @Test func theListIsFollowedToItsEnd() {
        var driver = SessionDriver(label: "sleepy-creeper")
        driver.feed(.start)
        driver.answer(.success(.tunnels([other], next: "page2")))
        #expect(driver.question == .tunnels(cursor: "page2"))
        driver.answer(.success(.tunnels([SessionDriver.tunnel], next: nil)))
        #expect(driver.question == .place(tunnel: "tun_1", session: "ses_1", exclude: []))
    }

    @Test func labelAndRegionPickOneOfSeveral() {
        let twin = Tunnel(id: "tun_3", hostname: "brave-fox.eu.dvv.one", region: "eu")
        let all = [SessionDriver.tunnel, other, twin]
        #expect(TunnelChoice.choose(label: "brave-fox", region: nil, from: all) == .ambiguous([other, twin]))
        #expect(TunnelChoice.choose(label: "brave-fox", region: "eu", from: all) == .serve(twin))
        #expect(TunnelChoice.choose(label: nil, region: "us", from: all) == .serve(other))
        #expect(TunnelChoice.choose(label: "castle", region: nil, from: all) == .create)
    }

    @Test(arguments: [
        (401, "unauthenticated", AgentFailure.badKey(detail: "d")),
        (402, "plan-limit", AgentFailure.forbidden(detail: "d")),
        (403, "plan-limit", AgentFailure.forbidden(detail: "d")),
        (409, "name-taken", AgentFailure.nameTaken(label: "castle", detail: "d")),
        (422, "invalid", AgentFailure.refused(detail: "d")),
    ])
    func aRefusedTunnelEndsWithAnExplanation(_ status: Int, _ code: String, _ failure: AgentFailure) {
        var driver = SessionDriver(label: "castle", region: "eu")
        driver.feed(.start)
        driver.answer(.success(.tunnels([], next: nil)))
        driver.answer(.success(.regions([Region(id: "eu", probes: [])])))
        #expect(driver.question == .createTunnel(region: "eu", label: "castle"))
        driver.answer(.failure(.refused(Refusal(status: status, code: code, detail: "d"))))
        #expect(driver.failure == failure)
        #expect(driver.exitCode == 1)
    }

    @Test func anAbsentControlPlaneIsTriedAgainAndAgain() {
        var driver = SessionDriver()
        driver.feed(.start)
        for _ in 0..<20 {
            driver.answer(.failure(.unreachable("no network")))
            #expect(driver.reason?.contains("no network") == true)
            driver.passToDeadline()
            #expect(driver.question == .tunnels(cursor: nil))
        }
    }

    @Test func somethingInFrontOfTheControlPlaneIsNotItsWord() {
        var driver = SessionDriver.online()
        driver.breakLink("a")
        driver.passToDeadline()
        let request = driver.question
        let answer = request?.read(
            status: 404, body: Array(#"{"message":"no such app"}"#.utf8), retryAfter_s: nil)
        driver.answer(answer ?? .failure(.unreadable("")))
        #expect(driver.exitCode == nil)
        #expect(driver.dialled?.relay == "rly_a")
    }

    @Test func answersToOlderQuestionsAreIgnored() {
        var driver = SessionDriver()
        driver.feed(.start)
        let old = driver.lastCall
        driver.answer(.success(.tunnels([SessionDriver.tunnel], next: nil)))
        driver.feed(.answered(old ?? AgentSession.CallID(0), .success(.tunnels([], next: nil))))
        #expect(driver.actions.isEmpty)
    }
}
