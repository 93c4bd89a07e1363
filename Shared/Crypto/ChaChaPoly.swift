import COpenSSL

/// ChaCha20-Poly1305 (RFC 8439): encrypts, and tells when what it is given was changed.
public enum ChaChaPoly {
    public static let keyByteCount = 32
    public static let nonceByteCount = 12
    public static let tagByteCount = 16

    /// Ciphertext and tag. A nonce must not be used twice with one key; `context` is authenticated, not encrypted.
    public static func seal(_ plain: [UInt8], key: [UInt8], nonce: [UInt8], context: [UInt8])
        throws(CryptoError) -> [UInt8]
    {
        let cipher = try Cipher(key: key, nonce: nonce, seals: true)
        guard cipher.authenticate(context), var sealed = cipher.update(plain), cipher.finish() else {
            throw Cipher.failure
        }
        var tag = [UInt8](repeating: 0, count: tagByteCount)
        guard cipher.control(EVP_CTRL_AEAD_GET_TAG, &tag) else { throw Cipher.failure }
        sealed += tag
        return sealed
    }

    /// nil unless key, nonce, context and every bit of `sealed` are those of `seal`.
    public static func open(_ sealed: [UInt8], key: [UInt8], nonce: [UInt8], context: [UInt8])
        throws(CryptoError) -> [UInt8]?
    {
        guard sealed.count >= tagByteCount else { return nil }
        let cipher = try Cipher(key: key, nonce: nonce, seals: false)
        var tag = Array(sealed.suffix(tagByteCount))
        guard cipher.control(EVP_CTRL_AEAD_SET_TAG, &tag), cipher.authenticate(context),
            let plain = cipher.update(Array(sealed.dropLast(tagByteCount)))
        else { throw Cipher.failure }
        guard cipher.finish() else {
            ERR_clear_error()
            return nil
        }
        return plain
    }

    /// One use of the cipher.
    private final class Cipher {
        static let failure = CryptoError("OpenSSL cannot use ChaCha20-Poly1305")
        private let context: OpaquePointer

        init(key: [UInt8], nonce: [UInt8], seals: Bool) throws(CryptoError) {
            guard key.count == keyByteCount, nonce.count == nonceByteCount else {
                throw CryptoError("ChaCha20-Poly1305 takes a key of 32 bytes and a nonce of 12")
            }
            guard let context = EVP_CIPHER_CTX_new() else { throw Self.failure }
            self.context = context
            guard EVP_CipherInit_ex(context, EVP_chacha20_poly1305(), nil, key, nonce, seals ? 1 : 0) == 1
            else {
                ERR_clear_error()
                throw Self.failure
            }
        }

        deinit { EVP_CIPHER_CTX_free(context) }

        func authenticate(_ bytes: [UInt8]) -> Bool {
            var count: Int32 = 0
            return EVP_CipherUpdate(context, nil, &count, bytes, Int32(bytes.count)) == 1
        }

        func update(_ bytes: [UInt8]) -> [UInt8]? {
            var output = [UInt8](repeating: 0, count: bytes.count)
            var count: Int32 = 0
            guard EVP_CipherUpdate(context, &output, &count, bytes, Int32(bytes.count)) == 1,
                Int(count) == bytes.count
            else { return nil }
            return output
        }

        func finish() -> Bool {
            var rest = [UInt8](repeating: 0, count: tagByteCount)
            var count: Int32 = 0
            return EVP_CipherFinal_ex(context, &rest, &count) == 1
        }

        func control(_ command: Int32, _ tag: inout [UInt8]) -> Bool {
            EVP_CIPHER_CTX_ctrl(context, command, Int32(tag.count), &tag) == 1
        }
    }
}

/// Keeps small secrets in places where others may look: sealed with the first of its keys, opened with any, so that
/// its own key can be replaced too. Each text is bound to the name that it is kept under.
public struct SecretBox: Sendable, CustomStringConvertible, CustomReflectable {
    private static let version: UInt8 = 1
    private let keys: [[UInt8]]

    /// Keys of 32 random bytes, the newest first.
    public init(keys: [[UInt8]]) throws(CryptoError) {
        guard !keys.isEmpty, keys.allSatisfy({ $0.count == ChaChaPoly.keyByteCount }) else {
            throw CryptoError("a secret box takes keys of 32 bytes")
        }
        self.keys = keys
    }

    /// Version, nonce, ciphertext and tag.
    public func seal(_ secret: [UInt8], name: String) throws(CryptoError) -> [UInt8] {
        let nonce = SecureRandom.bytes(ChaChaPoly.nonceByteCount)
        return try [Self.version] + nonce
            + ChaChaPoly.seal(secret, key: keys[0], nonce: nonce, context: Array(name.utf8))
    }

    /// nil for a text that none of the keys has sealed under this name.
    public func open(_ sealed: [UInt8], name: String) throws(CryptoError) -> [UInt8]? {
        let head = 1 + ChaChaPoly.nonceByteCount
        guard sealed.count >= head, sealed[0] == Self.version else { return nil }
        for key in keys {
            let secret = try ChaChaPoly.open(
                Array(sealed[head...]), key: key, nonce: Array(sealed[1..<head]), context: Array(name.utf8))
            if let secret { return secret }
        }
        return nil
    }

    /// The keys stay out of logs and dumps.
    public var description: String { "SecretBox" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
