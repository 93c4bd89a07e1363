import COpenSSL
import Crypto
import IO

/// One TLS 1.3 connection (RFC 8446) as bytes in, bytes out. Confined to the loop of its stream.
public final class TLSCodec: StreamCodec {
    enum Role {
        case server
        case client(PeerIdentity, serverName: String?)
    }

    public private(set) var isOpen = false
    public private(set) var peerFinished = false
    private var failure: CodecError?
    private var finished = false
    /// Plain bytes sent before the handshake was done.
    private var early: [UInt8] = []
    let ssl: OpaquePointer
    let wires: Wires
    private let context: ContextHandle
    private static let maxEarlyBytes = 64 * 1024
    private static let recordBytes = 16 * 1024

    init(context: ContextHandle, role: Role) throws(CodecError) {
        guard let ssl = SSL_new(context.pointer) else {
            throw CodecError("there is no memory for a TLS connection: \(takeOpenSSLReason())")
        }
        self.ssl = ssl
        self.context = context
        switch role {
        case .server:
            wires = Wires(identity: nil)
            SSL_set_accept_state(ssl)
        case .client(let identity, let serverName):
            wires = Wires(identity: identity)
            SSL_set_connect_state(ssl)
            guard identity.apply(to: ssl, serverName: serverName) else {
                ERR_clear_error()
                throw CodecError("the server's name cannot be used with TLS")
            }
        }
        guard wires.attach(to: ssl) else {
            throw CodecError("there is no memory for a TLS connection: \(takeOpenSSLReason())")
        }
    }

    deinit { SSL_free(ssl) }

    /// The name a client asked for (SNI, RFC 6066), known to the server once the codec is open. The client
    /// chose it: compare it, do not print it.
    public var serverName: String? {
        SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name).map { String(cString: $0) }
    }

    /// SHA-256 in lower-case hex of the certificate that the other side showed and proved to hold; nil when it showed
    /// none, or before the codec is open.
    public var peerFingerprint: String? {
        guard isOpen, let certificate = SSL_get0_peer_certificate(ssl) else { return nil }
        return certificateFingerprint(certificate)
    }

    public func start(wire: inout [UInt8]) throws(CodecError) {
        try step(&wire) { handshake() }
    }

    /// After a throw `wire` holds the alert that tells the peer why: send it, then close.
    public func receive(_ cipher: UnsafeRawBufferPointer, plain: inout ByteBuffer, wire: inout [UInt8])
        throws(CodecError)
    {
        guard !peerFinished else { return }
        wires.input = cipher
        defer { wires.input = UnsafeRawBufferPointer(start: nil, count: 0) }
        try step(&wire) {
            if !isOpen, let error = handshake() { return error }
            return isOpen ? read(into: &plain) : nil
        }
    }

    /// Bytes sent before the handshake is done wait for it, up to 64 KiB.
    public func send(_ plain: [UInt8], wire: inout [UInt8]) throws(CodecError) {
        guard isOpen || failure != nil else {
            guard early.count + plain.count <= Self.maxEarlyBytes else {
                throw CodecError("more than 64 KiB were sent before the TLS handshake was done")
            }
            early += plain
            return
        }
        try step(&wire) { write(plain) }
    }

    /// close_notify, once; nothing before the handshake is done or after a failure.
    public func finish(wire: inout [UInt8]) {
        guard isOpen, failure == nil, !finished else { return }
        finished = true
        swap(&wires.output, &wire)
        ERR_clear_error()
        SSL_shutdown(ssl)
        ERR_clear_error()
        swap(&wires.output, &wire)
    }

    // MARK: steps

    /// Runs `body` while OpenSSL writes to `wire`, and keeps its error: a failed codec stays failed.
    private func step(_ wire: inout [UInt8], _ body: () -> CodecError?) throws(CodecError) {
        if let failure { throw failure }
        swap(&wires.output, &wire)
        defer { swap(&wires.output, &wire) }
        // SSL_get_error reads the thread's queue, where others may have left something.
        ERR_clear_error()
        if let error = body() {
            failure = error
            throw error
        }
    }

    private func handshake() -> CodecError? {
        let result = SSL_do_handshake(ssl)
        guard result == 1 else { return error(after: result) }
        isOpen = true
        defer { early = [] }
        return early.isEmpty ? nil : write(early)
    }

    private func read(into plain: inout ByteBuffer) -> CodecError? {
        withUnsafeTemporaryAllocation(byteCount: Self.recordBytes, alignment: 16) { record in
            while true {
                let count = SSL_read(ssl, record.baseAddress, Int32(record.count))
                guard count > 0 else { return error(after: count) }
                plain.append(UnsafeRawBufferPointer(rebasing: record[..<Int(count)]))
            }
        }
    }

    private func write(_ plain: [UInt8]) -> CodecError? {
        guard !plain.isEmpty else { return nil }
        guard !finished else { return CodecError("bytes were sent after the end of the TLS connection") }
        var written = 0
        let result = SSL_write_ex(ssl, plain, plain.count, &written)
        return result == 1 ? nil : error(after: result) ?? CodecError("TLS took no bytes")
    }

    /// nil when OpenSSL only waits for more bytes or the peer said farewell.
    private func error(after result: Int32) -> CodecError? {
        switch SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE:
            return nil
        case SSL_ERROR_ZERO_RETURN:
            peerFinished = true
            return isOpen ? nil : CodecError("the other side ended the connection during the TLS handshake")
        default:
            return CodecError(reason())
        }
    }

    private func reason() -> String {
        let code = ERR_peek_last_error()
        let reason = code == 0 ? 0 : ERR_GET_REASON(code)
        let words = takeOpenSSLReason()
        switch reason {
        case SSL_R_CERTIFICATE_VERIFY_FAILED:
            return verificationReason()
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW:
            return "the other side does not offer TLS 1.3"
        case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
            return "the other side does not take TLS 1.3 (\(words))"
        case SSL_R_WRONG_VERSION_NUMBER, SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST,
            SSL_R_PACKET_LENGTH_TOO_LONG, SSL_R_BAD_RECORD_TYPE:
            return "the other side does not speak TLS (\(words))"
        default:
            return "TLS failed: \(words)"
        }
    }

    private func verificationReason() -> String {
        if case .fingerprint(let wanted) = wires.identity {
            return "the server's certificate is not the pinned one: it has fingerprint "
                + "\(wires.shownFingerprint ?? "unknown"), expected \(wanted)"
        }
        let result = SSL_get_verify_result(ssl)
        let words = X509_verify_cert_error_string(result).map { String(cString: $0) } ?? "unknown reason"
        let unknownSigner = [
            X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
            X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
        ].contains(Int32(truncatingIfNeeded: result))
        return "the server's certificate is refused: \(words)"
            + (unknownSigner ? " (are the system's ca-certificates installed?)" : "")
    }
}
