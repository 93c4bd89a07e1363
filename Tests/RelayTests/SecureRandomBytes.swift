import Crypto

enum SecureRandomBytes {
    static func some(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count { bytes += SecureRandom.bytes(min(1 << 20, count - bytes.count)) }
        return bytes
    }
}
