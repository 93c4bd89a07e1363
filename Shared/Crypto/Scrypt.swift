import COpenSSL
import Core

/// Password hashes (RFC 7914), written `$scrypt$ln=15,r=8,p=3$salt$hash` with salt and hash in base64url. One
/// hash takes 32 MiB and about 0.2 s of a core: callers bound how many run at once, away from loops.
public enum Scrypt {
    /// The work factor: N = 2^logN blocks of 128 * r bytes, p times.
    struct Cost: Hashable {
        var logN: Int
        var r: Int
        var p: Int
    }

    static let standardCost = Cost(logN: 15, r: 8, p: 3)
    /// OpenSSL refuses costs that need more.
    private static let maxMemoryBytes: UInt64 = 64 << 20
    private static let saltBytes = 16
    private static let hashBytes = 32

    /// Matches no password. Checking a password against it takes as long as against a real hash, so that an
    /// unknown user cannot be told from a known one.
    public static let dummyHash =
        "$scrypt$ln=15,r=8,p=3$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

    public static func hash(password: String) -> String {
        let salt = SecureRandom.bytes(saltBytes)
        let hash = derive(Array(password.utf8), salt: salt, cost: standardCost, byteCount: hashBytes)
        guard let hash else { preconditionFailure("there is no memory to hash a password") }
        let cost = standardCost
        return "$scrypt$ln=\(cost.logN),r=\(cost.r),p=\(cost.p)$"
            + Base64URL.encode(salt) + "$" + Base64URL.encode(hash)
    }

    /// false for a wrong password and for a hash that is not of our form.
    public static func verify(password: String, hash: String) -> Bool {
        guard let (cost, salt, expected) = parse(hash),
            let actual = derive(Array(password.utf8), salt: salt, cost: cost, byteCount: expected.count)
        else { return false }
        return constantTimeEqual(actual, expected)
    }

    private static func parse(_ text: String) -> (Cost, salt: [UInt8], hash: [UInt8])? {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 5, parts[0].isEmpty, parts[1] == "scrypt" else { return nil }
        let numbers = parts[2].split(separator: ",", omittingEmptySubsequences: false)
        guard numbers.count == 3, let logN = number(numbers[0], "ln=", 1...20),
            let r = number(numbers[1], "r=", 1...16), let p = number(numbers[2], "p=", 1...16),
            let salt = Base64URL.decode(parts[3]), salt.count == saltBytes,
            let hash = Base64URL.decode(parts[4]), hash.count == hashBytes
        else { return nil }
        return (Cost(logN: logN, r: r, p: p), salt, hash)
    }

    private static func number(_ text: Substring, _ name: String, _ range: ClosedRange<Int>) -> Int? {
        guard text.hasPrefix(name), let value = Int(text.dropFirst(name.count)), range.contains(value) else {
            return nil
        }
        return value
    }

    /// nil when the cost is not scrypt's or needs more memory than we allow or have.
    static func derive(_ password: [UInt8], salt: [UInt8], cost: Cost, byteCount: Int) -> [UInt8]? {
        var key = [UInt8](repeating: 0, count: byteCount)
        let done = password.withUnsafeBytes { secret in
            EVP_PBE_scrypt(
                secret.baseAddress?.assumingMemoryBound(to: CChar.self), secret.count, salt, salt.count,
                1 << UInt64(cost.logN), UInt64(cost.r), UInt64(cost.p), maxMemoryBytes, &key, byteCount)
        }
        guard done == 1 else {
            ERR_clear_error()
            return nil
        }
        return key
    }
}
