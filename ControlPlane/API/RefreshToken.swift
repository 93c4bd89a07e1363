import Core
import Crypto
import Store

/// What renews a sign-in: version, the sign-in's identifier, a counter, and a MAC under the sign-in's own key.
/// Only the newest counter renews; the one before it is answered with the present token, since a client may have
/// lost the reply; an older one means that two parties hold the family, which then ends.
struct RefreshToken: Equatable {
    private static let version: UInt8 = 1
    private static let macBytes = 16
    private static let byteCount = 1 + 16 + 8 + macBytes

    let signIn: SignInID
    let counter: Int64

    init(signIn: SignInID, counter: Int64) {
        self.signIn = signIn
        self.counter = counter
    }

    /// Reads a token without believing it: `isGenuine` does the rest. nil when it has not our form.
    init?(_ text: String) {
        guard text.utf8.count <= 64, let bytes = Base64URL.decode(text), bytes.count == Self.byteCount,
            bytes[0] == Self.version
        else { return nil }
        signIn = SignInID(entropy: Array(bytes[1..<17]))
        let value = bytes[17..<25].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard let counter = Int64(exactly: value) else { return nil }
        self.counter = counter
    }

    func text(key: [UInt8]) -> String {
        Base64URL.encode(unsigned + HMACSHA256.authenticate(unsigned, key: key).prefix(Self.macBytes))
    }

    func isGenuine(_ text: String, key: [UInt8]) -> Bool {
        constantTimeEqual(Array(text.utf8), Array(self.text(key: key).utf8))
    }

    private var unsigned: [UInt8] {
        [Self.version] + signIn.entropy
            + (0..<8).map { UInt8(truncatingIfNeeded: counter >> Int64(56 - 8 * $0)) }
    }
}

extension RefreshToken {
    /// What a genuine token with counter `given` gets when the newest is `current`.
    static func decide(given: Int64, current: Int64) -> Renewal {
        switch current - given {
        case 0: .advance
        case 1: .repeatCurrent
        case 2...: .end
        default: .refuse
        }
    }
}
