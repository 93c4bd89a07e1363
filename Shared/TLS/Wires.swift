import COpenSSL

/// Where OpenSSL reads and writes on behalf of one codec: the bytes at hand, straight from and to the caller's
/// memory, so that an idle connection holds no buffer.
final class Wires {
    /// Received and not yet read; valid during one call into the codec.
    var input = UnsafeRawBufferPointer(start: nil, count: 0)
    /// Written and not yet handed to the caller.
    var output: [UInt8] = []
    let identity: PeerIdentity?
    /// What the server showed, when a fingerprint is pinned.
    var shownFingerprint: String?

    init(identity: PeerIdentity?) { self.identity = identity }

    /// Makes `ssl` use these wires; they must outlive it.
    func attach(to ssl: OpaquePointer) -> Bool {
        guard let method = Self.method, let bio = BIO_new(method) else { return false }
        let pointer = Unmanaged.passUnretained(self).toOpaque()
        BIO_set_data(bio, pointer)
        BIO_set_init(bio, 1)
        SSL_set_bio(ssl, bio, bio)
        return SSL_set_ex_data(ssl, Self.exDataIndex, pointer) == 1
    }

    static func of(ssl: OpaquePointer) -> Wires? {
        SSL_get_ex_data(ssl, exDataIndex).map { Unmanaged<Wires>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Index 0 is OpenSSL's place for application data.
    private static let exDataIndex: Int32 = 0

    // Unsafe only to the compiler: set once, never changed, never freed.
    nonisolated(unsafe) private static let method: OpaquePointer? = {
        guard let method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "minecart wires") else {
            return nil
        }
        BIO_meth_set_read(method) { bio, out, count in
            guard let bio, let out, count > 0, let wires = Wires.of(bio: bio) else { return -1 }
            BIO_clear_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
            let taken = min(Int(count), wires.input.count)
            guard taken > 0 else {
                BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
                return -1
            }
            UnsafeMutableRawBufferPointer(start: out, count: taken).copyMemory(
                from: UnsafeRawBufferPointer(rebasing: wires.input[..<taken]))
            wires.input = UnsafeRawBufferPointer(rebasing: wires.input[taken...])
            return Int32(taken)
        }
        BIO_meth_set_write(method) { bio, bytes, count in
            guard let bio, let bytes, count > 0, let wires = Wires.of(bio: bio) else { return 0 }
            wires.output += UnsafeRawBufferPointer(start: bytes, count: Int(count))
            return count
        }
        BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
        return method
    }()

    private static func of(bio: OpaquePointer) -> Wires? {
        BIO_get_data(bio).map { Unmanaged<Wires>.fromOpaque($0).takeUnretainedValue() }
    }
}
