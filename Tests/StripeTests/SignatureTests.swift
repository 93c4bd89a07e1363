import Core
import Stripe
import Testing

/// The literal vectors and the negative cases of the reference on Stripe.
@Suite struct SignatureTests {
    private static let secret = "whsec_test_secret"
    private static let rolled = "whsec_test_secret_rolled_key"
    private static let rollBody = #"{"id":"evt_roll","object":"event","type":"invoice.paid"}"#
    private static let rollTime: Int64 = 1_700_000_000
    private static let rollOld = "32db856f3f29c20ba190a05067e30acc4a25f18653db115d7179b9d18e2720b5"
    private static let rollNew = "3373658e2e46c6ba2038b54dc61d22b514d86128749e4144b10815e8d720e43a"

    struct Vector: Sendable, CustomTestStringConvertible {
        let name: String
        let secret: String
        let time: Int64
        let body: String
        let bytes: Int
        let v1: String
        var testDescription: String { name }
    }

    static let vectors = [
        Vector(
            name: "A", secret: secret, time: 12345,
            body: "{\n  \"id\": \"evt_test_webhook\",\n  \"object\": \"event\"\n}", bytes: 51,
            v1: "2672d138c9a412830f3bfe2ecc5bfb3277cf6f5b49d0119d77dd6cb64da1257e"),
        Vector(name: "B", secret: secret, time: rollTime, body: rollBody, bytes: 56, v1: rollOld),
        Vector(name: "B′", secret: rolled, time: rollTime, body: rollBody, bytes: 56, v1: rollNew),
        Vector(
            name: "C", secret: secret, time: rollTime,
            body: #"{"id":"evt_utf8","object":"event","note":"café ☃ 🦀"}"#, bytes: 58,
            v1: "373484de72d30c1473c3981bb64a9663c55f83520372b79883e904b37b1bcc7e"),
        Vector(
            name: "D", secret: secret, time: rollTime, body: "", bytes: 0,
            v1: "316b9ab98c15bfa039d243f3196acee619cf29749a91a634e6a8154e2f7b6727"),
    ]

    private func verify(
        _ header: String?, body: String = rollBody, secrets: [String] = [secret], now: Int64 = rollTime,
        tolerance_s: Int64 = StripeSignature.tolerance_s
    ) -> StripeSignature.Refusal? {
        do throws(StripeSignature.Refusal) {
            try StripeSignature.verify(
                Array(body.utf8), header: header, secrets: secrets, now: WallTime(seconds: now),
                tolerance_s: tolerance_s)
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: vectors) func aKnownSignatureIsMadeAndTaken(_ vector: Vector) {
        #expect(vector.body.utf8.count == vector.bytes)
        let time = WallTime(seconds: vector.time)
        let body = Array(vector.body.utf8)
        #expect(StripeSignature.sign(body, secret: vector.secret, at: time) == vector.v1)
        #expect(
            StripeSignature.header(body, secret: vector.secret, at: time)
                == "t=\(vector.time),v1=\(vector.v1)")
        #expect(
            verify(
                "t=\(vector.time),v1=\(vector.v1)", body: vector.body, secrets: [vector.secret],
                now: vector.time) == nil)
    }

    @Test func whatIsNotSignedIsRefused() {
        #expect(verify(nil) == .notSigned)
        #expect(verify("") == .notSigned)
    }

    @Test(arguments: [
        "v1,t=1", "t=", "t=abc,v1=00", "t=1=2", "t=1,,v1=00", "nonsense", "t=99999999999999999999",
    ])
    func aHeaderOfAnotherFormIsRefused(_ header: String) {
        #expect(verify(header) == .invalidHeader)
    }

    @Test func onlyTheV1SchemeCounts() {
        #expect(verify("t=\(Self.rollTime),v0=\(Self.rollOld)") == .noValidSignature)
        #expect(verify("t=\(Self.rollTime)") == .noValidSignature)
        #expect(verify("t=\(Self.rollTime),v0=00,v1=\(Self.rollOld),v2=x") == nil)
    }

    @Test func withoutATimeASignatureIsNotTaken() {
        #expect(verify("v1=\(Self.rollOld)") == .invalidHeader)
    }

    @Test func aForgedSignatureIsRefused() {
        let forged = Self.rollOld.replacing("32db", with: "32dc")
        #expect(verify("t=\(Self.rollTime),v1=\(forged)") == .noValidSignature)
        #expect(verify("t=\(Self.rollTime),v1=\(Self.rollOld.prefix(62))") == .noValidSignature)
        #expect(verify("t=\(Self.rollTime),v1=") == .noValidSignature)
        #expect(verify("t=\(Self.rollTime + 1),v1=\(Self.rollOld)") == .noValidSignature)
        #expect(
            verify("t=\(Self.rollTime),v1=\(Self.rollOld)", body: Self.rollBody + " ") == .noValidSignature)
        #expect(
            verify("t=\(Self.rollTime),v1=\(Self.rollOld)", secrets: ["whsec_other"]) == .noValidSignature)
        #expect(verify("t=\(Self.rollTime),v1=\(Self.rollOld)", secrets: []) == .noValidSignature)
    }

    @Test func oneGoodSignatureAmongBadOnesIsEnough() {
        #expect(verify("t=\(Self.rollTime),v1=\(Self.rollOld),v1=bad_signature") == nil)
        #expect(verify("t=\(Self.rollTime),v1=bad_signature,v1=\(Self.rollOld)") == nil)
    }

    @Test func aRolledSecretIsTakenWithEither() {
        let header = "t=\(Self.rollTime),v1=\(Self.rollOld),v1=\(Self.rollNew)"
        #expect(verify(header, secrets: [Self.secret]) == nil)
        #expect(verify(header, secrets: [Self.rolled]) == nil)
        #expect(verify("t=\(Self.rollTime),v1=\(Self.rollNew)", secrets: [Self.secret, Self.rolled]) == nil)
    }

    @Test func onlyAgeCountsAgainstATime() {
        let header = "t=\(Self.rollTime),v1=\(Self.rollOld)"
        #expect(verify(header, now: Self.rollTime + 15, tolerance_s: 10) == .tooOld)
        #expect(verify(header, now: Self.rollTime + 15, tolerance_s: 20) == nil)
        #expect(verify(header, now: Self.rollTime + 300) == nil)
        #expect(verify(header, now: Self.rollTime + 301) == .tooOld)
        #expect(verify(header, now: Self.rollTime - 100_000) == nil)
        let old = StripeSignature.header([], secret: Self.secret, at: WallTime(seconds: .min))
        #expect(verify(old, body: "", now: Self.rollTime) == .tooOld)
    }
}
