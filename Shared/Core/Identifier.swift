/// What an identifier names; its prefix is the first part of the text.
public protocol IdentifierKind: Sendable {
    static var prefix: String { get }
}

/// A typed name of one thing: `tun_` and 22 base62 digits of 128 random bits. The kind is part of the type, so
/// that a tunnel's identifier cannot stand where an account's should.
public struct Identifier<Kind: IdentifierKind>: Sendable, Hashable, CustomStringConvertible {
    public let text: String

    public static var digits: Int { 22 }
    public static var entropyBytes: Int { 16 }

    /// From fresh random bytes; only the first 16 count, missing ones are zero.
    public init(entropy: [UInt8]) {
        var value: UInt128 = 0
        for index in 0..<Self.entropyBytes {
            value = value << 8 | UInt128(index < entropy.count ? entropy[index] : 0)
        }
        var digits = [UInt8](repeating: Base62.alphabet[0], count: Self.digits)
        for index in stride(from: Self.digits - 1, through: 0, by: -1) {
            digits[index] = Base62.alphabet[Int(value % 62)]
            value /= 62
        }
        text = Kind.prefix + "_" + String(decoding: digits, as: UTF8.self)
    }

    /// nil for another kind's prefix, another length, or digits that 128 bits cannot give.
    public init?(_ text: String) {
        guard Self.value(of: text) != nil else { return nil }
        self.text = text
    }

    /// The 16 bytes behind the digits.
    public var entropy: [UInt8] {
        let value = Self.value(of: text) ?? 0
        return (0..<Self.entropyBytes).map { UInt8(truncatingIfNeeded: value >> UInt128(120 - 8 * $0)) }
    }

    public var description: String { text }

    private static func value(of text: String) -> UInt128? {
        let bytes = Array(text.utf8)
        let prefix = Array(Kind.prefix.utf8) + [UInt8(ascii: "_")]
        guard bytes.count == prefix.count + digits, bytes.starts(with: prefix) else { return nil }
        var value: UInt128 = 0
        for byte in bytes[prefix.count...] {
            let digit: UInt8
            switch byte {
            case 0x30...0x39: digit = byte - 0x30
            case 0x41...0x5A: digit = byte - 0x41 + 10
            case 0x61...0x7A: digit = byte - 0x61 + 36
            default: return nil
            }
            let (shifted, tooLarge) = value.multipliedReportingOverflow(by: 62)
            let (sum, overflow) = shifted.addingReportingOverflow(UInt128(digit))
            guard !tooLarge, !overflow else { return nil }
            value = sum
        }
        return value
    }
}

public enum AccountKind: IdentifierKind { public static let prefix = "acc" }
public enum UserKind: IdentifierKind { public static let prefix = "usr" }
public enum SignInKind: IdentifierKind { public static let prefix = "sin" }
public enum TunnelKind: IdentifierKind { public static let prefix = "tun" }
public enum AgentKeyKind: IdentifierKind { public static let prefix = "agk" }
public enum APIKeyKind: IdentifierKind { public static let prefix = "apk" }
public enum OperatorKeyKind: IdentifierKind { public static let prefix = "opk" }
public enum RelayKeyKind: IdentifierKind { public static let prefix = "rlk" }
public enum AgentSessionKind: IdentifierKind { public static let prefix = "ses" }
public enum MailKind: IdentifierKind { public static let prefix = "mai" }
public enum InvitationKind: IdentifierKind { public static let prefix = "inv" }
public enum DomainKind: IdentifierKind { public static let prefix = "dom" }
public enum RequestKind: IdentifierKind { public static let prefix = "req" }

public typealias AccountID = Identifier<AccountKind>
public typealias UserID = Identifier<UserKind>
/// One sign-in of a user: the family of its refresh tokens.
public typealias SignInID = Identifier<SignInKind>
public typealias TunnelID = Identifier<TunnelKind>
public typealias AgentKeyID = Identifier<AgentKeyKind>
public typealias APIKeyID = Identifier<APIKeyKind>
public typealias OperatorKeyID = Identifier<OperatorKeyKind>
public typealias RelayKeyID = Identifier<RelayKeyKind>
/// One run of an agent.
public typealias AgentSessionID = Identifier<AgentSessionKind>
/// A customer's own name for a tunnel.
public typealias DomainID = Identifier<DomainKind>
public typealias InvitationID = Identifier<InvitationKind>
public typealias RequestID = Identifier<RequestKind>
public typealias MailID = Identifier<MailKind>
