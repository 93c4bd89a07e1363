import Core
import Domain
import Testing

@Suite struct MailTests {
    @Test func aSubjectStartsNoLineOfItsOwn() {
        let mail = Mail(to: "a@b.example", subject: "Hi\r\nBcc: x@y.example", text: "t", kind: "k")
        #expect(mail.subject == "Hi  Bcc: x@y.example")
    }

    @Test func retriesGetRarerAndEndAfterADay() {
        var pauses: [Int] = []
        while let pause = MailRetry.pause_s(after: pauses.count + 1) { pauses.append(pause) }
        #expect(pauses == pauses.sorted())
        #expect((80_000...100_000).contains(pauses.reduce(0, +)))
        #expect(MailRetry.pause_s(after: 0) == nil)
    }

    @Test func theProvidersWishCountsUpToAnHour() {
        #expect(MailRetry.pause_s(after: 1, wished_s: 30) == 30)
        #expect(MailRetry.pause_s(after: 8, wished_s: 30) == 3600)
        #expect(MailRetry.pause_s(after: 1, wished_s: 1_000_000) == 3600)
    }
}
