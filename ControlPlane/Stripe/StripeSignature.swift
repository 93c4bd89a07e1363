import Core
import Crypto

/// The signature that Stripe puts on what it sends, `Stripe-Signature: t=<unix>,v1=<hex>[,v1=<hex>…]`: HMAC-SHA256
/// over `<t>.<body>`, with the endpoint's whole secret as the key.
public enum StripeSignature {
    /// How old a signature may be. Times ahead of ours are taken, as Stripe's own libraries do.
    public static let tolerance_s: Int64 = 300

    public enum Refusal: Error, Sendable, Hashable, CustomStringConvertible {
        case notSigned
        case invalidHeader
        case noValidSignature
        case tooOld

        public var description: String {
            switch self {
            case .notSigned: "there is no Stripe-Signature"
            case .invalidHeader: "the Stripe-Signature is not of the form t=<unix time>,v1=<hex>"
            case .noValidSignature:
                "none of its v1 signatures was made over this body with the endpoint's secret"
            case .tooOld: "it was signed too long ago"
            }
        }
    }

    private struct Header {
        var time: Int64?
        var signatures: [[UInt8]] = []

        init(_ text: String) throws(Refusal) {
            for item in text.split(separator: ",", omittingEmptySubsequences: false) {
                let parts = item.split(separator: "=", omittingEmptySubsequences: false)
                guard parts.count == 2 else { throw .invalidHeader }
                switch parts[0] {
                case "t":
                    guard let seconds = Int64(parts[1]) else { throw .invalidHeader }
                    time = seconds
                case "v1": if let signature = Hex.decode(parts[1]) { signatures.append(signature) }
                default: continue
                }
            }
        }
    }

    /// Throws unless one of the header's v1 signatures was made with one of the secrets and is not too old. Unknown
    /// schemes and values that are not hex are passed over.
    public static func verify(
        _ body: [UInt8], header: String?, secrets: [String], now: WallTime,
        tolerance_s: Int64 = StripeSignature.tolerance_s
    ) throws(Refusal) {
        guard let text = header, !text.isEmpty else { throw .notSigned }
        let header = try Header(text)
        guard !header.signatures.isEmpty else { throw .noValidSignature }
        guard let time = header.time else { throw .invalidHeader }
        var isGood = false
        for secret in secrets {
            let expected = tag(body, secret: secret, time: time)
            for signature in header.signatures where constantTimeEqual(signature, expected) { isGood = true }
        }
        guard isGood else { throw .noValidSignature }
        let (age_s, isTooFar) = now.seconds.subtractingReportingOverflow(time)
        guard !isTooFar, age_s <= tolerance_s else { throw .tooOld }
    }

    /// The header's value for a body, as Stripe would send it.
    public static func header(_ body: [UInt8], secret: String, at time: WallTime) -> String {
        "t=\(time.seconds),v1=\(sign(body, secret: secret, at: time))"
    }

    /// The v1 signature in hex.
    public static func sign(_ body: [UInt8], secret: String, at time: WallTime) -> String {
        Hex.encode(tag(body, secret: secret, time: time.seconds))
    }

    private static func tag(_ body: [UInt8], secret: String, time: Int64) -> [UInt8] {
        HMACSHA256.authenticate(Array("\(time).".utf8) + body, key: Array(secret.utf8))
    }
}
