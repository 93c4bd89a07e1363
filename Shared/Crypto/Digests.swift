import COpenSSL

/// SHA-256 (FIPS 180-4).
public enum SHA256 {
    public static let byteCount = 32

    public static func hash(_ bytes: [UInt8]) -> [UInt8] {
        bytes.withUnsafeBytes { hash($0) }
    }

    public static func hash(_ bytes: Span<UInt8>) -> [UInt8] {
        bytes.withUnsafeBytes { hash($0) }
    }

    public static func hash(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: byteCount) { digest, filled in
            var size: UInt32 = 0
            let done = EVP_Digest(
                bytes.baseAddress, bytes.count, digest.baseAddress, &size, EVP_sha256(), nil)
            precondition(done == 1 && Int(size) == byteCount, "OpenSSL lacks SHA-256")
            filled = byteCount
        }
    }
}

/// HMAC with SHA-256 (RFC 2104).
public enum HMACSHA256 {
    public static func authenticate(_ bytes: [UInt8], key: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: SHA256.byteCount) { tag, filled in
            var size: UInt32 = 0
            let done = HMAC(
                EVP_sha256(), key, Int32(key.count), bytes, bytes.count, tag.baseAddress, &size)
            precondition(done != nil && Int(size) == SHA256.byteCount, "OpenSSL lacks HMAC with SHA-256")
            filled = SHA256.byteCount
        }
    }
}

/// Compares two secrets; the time taken tells their lengths at most.
public func constantTimeEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    left.count == right.count && CRYPTO_memcmp(left, right, left.count) == 0
}
