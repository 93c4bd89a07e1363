import Core
import Domain
import Testing

@Suite struct OwnHostnameTests {
    private func name(_ text: String) throws(OwnHostname.Problem) -> String {
        try OwnHostname(text, baseDomain: "dvv.one").text
    }

    @Test(arguments: [
        ("play.example.com", "play.example.com"), ("Play.Example.COM.", "play.example.com"),
        ("example.com", "example.com"), ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        ("a-b.c--d.example", "a-b.c--d.example"), ("4u.example", "4u.example"), ("mydvv.one", "mydvv.one"),
    ])
    func namesHaveOneForm(_ typed: String, _ plain: String) throws { #expect(try name(typed) == plain) }

    @Test(
        arguments: [
            ("", .empty), (".", .empty), ("münchen.de", .notASCII), ("*.example.com", .wildcard),
            ("203.0.113.7", .address), ("2001:db8::1", .address), ("play.example.com:25565", .address),
            ("1.2", .address), ("play example.com", .characters), ("_dmarc.example.com", .characters),
            ("http://example.com/", .address), ("a..example.com", .label), (".example.com", .label),
            ("-a.example.com", .label), ("a-.example.com", .label), ("example.com..", .label),
            ("com", .single),
            ("localhost", .single), ("pc.local", .topLevel), ("my.localhost", .topLevel),
            ("example.x", .topLevel), ("example.4u", .topLevel),
            ("7.0.0.10.in-addr.arpa", .topLevel), ("dvv.one", .ours(baseDomain: "dvv.one")),
            ("castle.eu.DVV.one.", .ours(baseDomain: "dvv.one")),
        ] as [(String, OwnHostname.Problem)])
    func whatIsNoNameOfTheirsIsRefusedWithAReason(_ typed: String, _ problem: OwnHostname.Problem) {
        #expect(throws: problem) { _ = try name(typed) }
        #expect(problem.description.hasPrefix("must "))
    }

    @Test func lengthsAreThoseOfDNS() throws {
        let label = String(repeating: "a", count: 63)
        #expect(throws: Never.self) { _ = try name("\(label).com") }
        #expect(throws: OwnHostname.Problem.label) { _ = try name("\(label)a.com") }
        let long = [label, label, label].joined(separator: ".")
        let longest = long + "." + String(repeating: "b", count: 41) + ".com"
        #expect(try name(longest).utf8.count == OwnHostname.maxLength)
        #expect(throws: OwnHostname.Problem.tooLong) { _ = try name("c" + longest) }
    }
}

@Suite struct DomainRecordTests {
    private let account = AccountID(entropy: [1])
    private let other = AccountID(entropy: [2])

    @Test func aNameGetsAProofAndTwoWaysToLeadPlayers() {
        let records = DomainRecords(
            "play.example.com", account: account, target: "castle.eu.dvv.one", port: 25565)
        #expect(records.proof.type == "TXT")
        #expect(records.proof.name == "_minecart.play.example.com")
        #expect(records.proof.value.hasPrefix("minecart-verify="))
        #expect(records.routes.map(\.type) == ["CNAME", "SRV"])
        #expect(records.routes.map(\.name) == ["play.example.com", "_minecraft._tcp.play.example.com"])
        #expect(records.routes.map(\.value) == ["castle.eu.dvv.one", "0 5 25565 castle.eu.dvv.one"])
    }

    @Test func anotherPortNeedsAnSRVRecord() {
        let records = DomainRecords("play.example.com", account: account, target: "t", port: 31337)
        #expect(records.routes.map(\.type) == ["SRV"])
        #expect(records.routes.map(\.value) == ["0 5 31337 t"])
    }

    @Test func aProofCountsForOneAccountAndOneName() {
        let value = DomainRecords.proofValue("play.example.com", account: account)
        #expect(DomainRecords.isProof(["v=spf1", value], of: "play.example.com", account: account))
        #expect(!DomainRecords.isProof([value], of: "play.example.com", account: other))
        #expect(!DomainRecords.isProof([value], of: "play.example.org", account: account))
        #expect(
            !DomainRecords.isProof([value + "0", "x" + value, ""], of: "play.example.com", account: account))
    }

    @Test func whatEditorsAddIsForgiven() {
        let value = DomainRecords.proofValue("a.example", account: account)
        for typed in [" \(value)\n", "\"\(value)\"", value.uppercased()] {
            #expect(DomainRecords.isProof([typed], of: "a.example", account: account))
        }
    }
}

@Suite struct DomainProofTests {
    private static let start = WallTime(seconds: 1_800_000_000)
    private static let day: Int64 = 86_400
    private func at(_ seconds: Int64) -> WallTime { Self.start + seconds }
    private func pending() -> DomainProof { DomainProof(createdAt: Self.start, nextCheck: Self.start) }
    private func proven() -> DomainProof {
        var proof = pending()
        _ = proof.take(.found, now: Self.start)
        return proof
    }

    @Test func aNameIsProvenOnceItsRecordIsFoundAndLookedAtEachDay() {
        var proof = pending()
        #expect(proof.take(.missing, now: at(5)) == nil)
        #expect(proof.state == .pending && proof.checkedAt == at(5))
        #expect(proof.take(.found, now: at(60)) == nil)
        #expect(proof.state == .proven && proof.provenAt == at(60) && proof.nextCheck == at(60 + Self.day))
        _ = proof.take(.found, now: at(Self.day))
        #expect(proof.provenAt == at(60))
    }

    @Test func pausesGrowAndAfterAWeekItHasFailed() {
        var proof = pending()
        var checks = 0
        var last = Self.start
        while let next = proof.nextCheck {
            #expect(next.seconds - last.seconds <= 6 * 3600)
            last = next
            _ = proof.take(.missing, now: next)
            checks += 1
        }
        #expect(proof.state == .failed)
        #expect(last.seconds - Self.start.seconds >= 7 * Self.day)
        #expect((40...80).contains(checks))
        // Only when asked, it is looked up again.
        _ = proof.take(.missing, now: at(30 * Self.day))
        #expect(proof.state == .failed && proof.nextCheck == nil)
        _ = proof.take(.found, now: at(31 * Self.day))
        #expect(proof.state == .proven)
    }

    @Test func whatNobodyCouldSayNeverCounts() {
        var proof = pending()
        _ = proof.take(.unavailable, now: at(8 * Self.day))
        #expect(proof.state == .pending && proof.nextCheck != nil)
        proof = proven()
        for hour in 0..<1000 {
            #expect(proof.take(.unavailable, now: at(Int64(hour) * 3600)) == nil)
        }
        #expect(proof.state == .proven && proof.misses == 0 && proof.nextCheck == at(1000 * 3600))
    }

    @Test func aRecordThatIsGoneForDaysEndsTheProofAfterAWarning() {
        var proof = proven()
        var news: [DomainProof.News] = []
        var now = Self.start
        while proof.state == .proven {
            now = now + 6 * 3600
            if let told = proof.take(.missing, now: now) { news.append(told) }
        }
        let firstMiss = at(6 * 3600)
        #expect(news == [.willLapse(at: firstMiss + 4 * Self.day), .lapsed])
        #expect(now == firstMiss + 4 * Self.day)
        #expect(proof.state == .lapsed && proof.nextCheck == nil && proof.provenAt == nil)
        _ = proof.take(.found, now: now)
        #expect(proof.state == .proven && proof.misses == 0 && proof.missingSince == nil)
    }

    @Test func aRecordThatComesBackStartsAnew() {
        var proof = proven()
        for hour in stride(from: Int64(6), through: 90, by: 6) {
            _ = proof.take(.missing, now: at(hour * 3600))
        }
        _ = proof.take(.found, now: at(91 * 3600))
        _ = proof.take(.missing, now: at(200 * 3600))
        #expect(proof.state == .proven && proof.misses == 1)
    }

    @Test func fewLooksFarApartDoNotEndAProof() {
        var proof = proven()
        _ = proof.take(.missing, now: at(Self.day))
        _ = proof.take(.missing, now: at(30 * Self.day))
        #expect(proof.state == .proven)
    }
}
