import COpenSSL

@testable import TLS

extension TLSCodec {
    /// Writes one KeyUpdate that asks for another in return (RFC 8446, section 4.6.3).
    func requestKeyUpdate(wire: inout [UInt8]) -> Bool {
        swap(&wires.output, &wire)
        defer { swap(&wires.output, &wire) }
        return SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1 && SSL_do_handshake(ssl) == 1
    }
}
