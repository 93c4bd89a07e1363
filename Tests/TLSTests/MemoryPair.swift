import Core
import Crypto
import IO

@testable import TLS

/// Two codecs whose wires end in each other, with no socket between.
final class MemoryPair {
    /// One end and what arrived there.
    final class End {
        let codec: TLSCodec
        var received = ByteBuffer()
        /// On its way to the other end.
        var wire: [UInt8] = []
        var error: CodecError?

        init(_ codec: TLSCodec) { self.codec = codec }

        func start() {
            run { codec, _, wire throws(CodecError) in try codec.start(wire: &wire) }
        }

        func send(_ bytes: [UInt8]) {
            run { codec, _, wire throws(CodecError) in try codec.send(bytes, wire: &wire) }
        }

        func receive(_ bytes: [UInt8]) {
            guard error == nil else { return }
            bytes.withUnsafeBytes { buffer in
                run { codec, plain, wire throws(CodecError) in
                    try codec.receive(buffer, plain: &plain, wire: &wire)
                }
            }
        }

        func finish() { codec.finish(wire: &wire) }

        var text: String { String(decoding: received.array(), as: UTF8.self) }

        private func run(_ step: (TLSCodec, inout ByteBuffer, inout [UInt8]) throws(CodecError) -> Void) {
            do throws(CodecError) {
                try step(codec, &received, &wire)
            } catch {
                self.error = error
            }
        }
    }

    let client: End
    let server: End

    init(client: TLSCodec, server: TLSCodec) {
        self.client = End(client)
        self.server = End(server)
        self.client.start()
        self.server.start()
    }

    /// Carries what is on the wires, at most `chunk` bytes at a time, until both are empty.
    func pump(chunk: Int = .max) {
        while !client.wire.isEmpty || !server.wire.isEmpty {
            Self.carry(from: client, to: server, chunk: chunk)
            Self.carry(from: server, to: client, chunk: chunk)
        }
    }

    private static func carry(from source: End, to target: End, chunk: Int) {
        let bytes = source.wire
        source.wire = []
        var start = 0
        while start < bytes.count {
            let end = start + min(chunk, bytes.count - start)
            target.receive(Array(bytes[start..<end]))
            start = end
        }
    }

    var bothOpen: Bool { client.codec.isOpen && server.codec.isOpen }
}

/// A server certificate made once for all tests, and the contexts most of them want.
struct Fixture {
    static let certificate = Result { try SelfSignedCertificate.generate(commonName: "relay.example") }

    let made: SelfSignedCertificate
    let server: TLSServerContext

    init() throws {
        made = try Self.certificate.get()
        server = try TLSServerContext(certificatePEM: made.certificatePEM, privateKeyPEM: made.privateKeyPEM)
    }

    func client(_ verify: TLSClientContext.Verify? = nil) throws -> TLSClientContext {
        try TLSClientContext(verify: verify ?? .pinned(fingerprint: made.fingerprint))
    }

    func pair(verify: TLSClientContext.Verify? = nil, serverName: String? = nil) throws -> MemoryPair {
        MemoryPair(client: try client(verify).codec(serverName: serverName), server: try server.codec())
    }

    /// A pair whose handshake is done.
    func openPair() throws -> MemoryPair {
        let pair = try pair()
        pair.pump()
        return pair
    }
}
