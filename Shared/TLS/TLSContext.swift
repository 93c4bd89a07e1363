import COpenSSL
import Core
import Crypto
import IO

/// Owns an SSL_CTX with what both sides share: TLS 1.3 and, unless told otherwise, nothing older, no sessions, no
/// tickets, no buffers kept while a connection is idle.
final class ContextHandle {
    let pointer: OpaquePointer

    init(_ method: OpaquePointer?, oldest: TLSVersion = .tls13) throws(TLSError) {
        guard let pointer = SSL_CTX_new(method) else {
            throw TLSError("OpenSSL cannot start: \(takeOpenSSLReason())")
        }
        self.pointer = pointer
        guard mc_SSL_CTX_set_min_proto_version(pointer, oldest.number) == 1,
            mc_SSL_CTX_set_max_proto_version(pointer, TLS1_3_VERSION) == 1,
            SSL_CTX_set_num_tickets(pointer, 0) == 1
        else { throw TLSError("this OpenSSL has no TLS 1.3") }
        _ = mc_SSL_CTX_set_options(pointer)
        _ = mc_SSL_CTX_set_mode(pointer, Int(SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY))
        _ = mc_SSL_CTX_set_session_cache_mode(pointer, Int(SSL_SESS_CACHE_OFF))
    }

    deinit { SSL_CTX_free(pointer) }
}

/// What a client still speaks.
public enum TLSVersion: Sendable {
    /// For other people's services: some have nothing newer.
    case tls12
    case tls13

    var number: Int32 {
        switch self {
        case .tls12: TLS1_2_VERSION
        case .tls13: TLS1_3_VERSION
        }
    }
}

/// A certificate with its key, to be shown to the other side. It does not print itself.
public struct OwnCertificate: Sendable, CustomStringConvertible {
    let certificatePEM: String
    let privateKeyPEM: String

    /// `certificatePEM` holds the certificate, then its chain if it has one.
    public init(certificatePEM: String, privateKeyPEM: String) {
        self.certificatePEM = certificatePEM
        self.privateKeyPEM = privateKeyPEM
    }

    public var description: String { "certificate and key" }
}

extension ContextHandle {
    /// Takes the certificate into use and answers with its fingerprint.
    func use(_ own: OwnCertificate) throws(TLSError) -> String {
        let chain = try PEM.certificates(own.certificatePEM)
        let key = try PEM.privateKey(own.privateKeyPEM)
        guard let first = chain.first, let fingerprint = certificateFingerprint(first.pointer),
            SSL_CTX_use_certificate(pointer, first.pointer) == 1
        else { throw TLSError("the certificate cannot be used: \(takeOpenSSLReason())") }
        for issuer in chain.dropFirst() {
            guard mc_SSL_CTX_add1_chain_cert(pointer, issuer.pointer) == 1 else {
                throw TLSError("the certificate's chain cannot be used: \(takeOpenSSLReason())")
            }
        }
        guard SSL_CTX_use_PrivateKey(pointer, key.pointer) == 1, SSL_CTX_check_private_key(pointer) == 1
        else {
            ERR_clear_error()
            throw TLSError("the private key does not belong to the certificate")
        }
        return fingerprint
    }
}

/// The side that shows a certificate. One serves all connections and all threads.
public final class TLSServerContext: @unchecked Sendable {
    // Unchecked because the SSL_CTX is set up in init and only read afterwards; OpenSSL counts its references
    // atomically.
    private let handle: ContextHandle
    /// SHA-256 of the certificate in lower-case hex: what agents pin.
    public let fingerprint: String

    /// `certificatePEM` holds the certificate, then its chain if it has one. With `asksForCertificate` clients may
    /// show one too: any is let through, and `TLSCodec.peerFingerprint` says whose it is.
    public init(certificatePEM: String, privateKeyPEM: String, asksForCertificate: Bool = false)
        throws(TLSError)
    {
        handle = try ContextHandle(TLS_server_method())
        fingerprint = try handle.use(
            OwnCertificate(certificatePEM: certificatePEM, privateKeyPEM: privateKeyPEM))
        guard asksForCertificate else { return }
        // That the client holds its certificate's key is proven by the handshake itself.
        SSL_CTX_set_cert_verify_callback(
            handle.pointer,
            { store, _ in
                X509_STORE_CTX_set_error(store, X509_V_OK)
                return 1
            }, nil)
        SSL_CTX_set_verify(handle.pointer, SSL_VERIFY_PEER, nil)
    }

    /// A codec for one accepted connection.
    public func codec() throws(CodecError) -> TLSCodec {
        try TLSCodec(context: handle, role: .server)
    }
}

/// The side that checks the other's certificate. One serves all connections and all threads.
public final class TLSClientContext: @unchecked Sendable {
    // Unchecked for the same reason as TLSServerContext.

    /// What makes a server the right one.
    public enum Verify: Sendable, Hashable {
        /// A certificate for this DNS name or IP address, signed by an authority that the machine trusts.
        case system(host: String)
        /// A certificate for this DNS name or IP address, signed by one of these authorities.
        case authority(certificatePEM: String, host: String)
        /// The certificate with this SHA-256 in hex, whatever its name, dates and signer.
        case pinned(fingerprint: String)
    }

    let handle: ContextHandle
    private let identity: PeerIdentity

    /// `own` is shown to a server that asks for a certificate.
    public init(verify: Verify, oldest: TLSVersion = .tls13, own: OwnCertificate? = nil) throws(TLSError) {
        handle = try ContextHandle(TLS_client_method(), oldest: oldest)
        if let own { _ = try handle.use(own) }
        let context = handle.pointer
        switch verify {
        case .system(let host):
            identity = .host(host)
            guard let store = SystemAuthorities.store else {
                throw TLSError("the machine's certificate authorities cannot be loaded")
            }
            SSL_CTX_set1_cert_store(context, store)
        case .authority(let pem, let host):
            identity = .host(host)
            let store = SSL_CTX_get_cert_store(context)
            for certificate in try PEM.certificates(pem) {
                guard X509_STORE_add_cert(store, certificate.pointer) == 1 else {
                    throw TLSError("the authority's certificate cannot be used: \(takeOpenSSLReason())")
                }
            }
        case .pinned(let text):
            guard let digest = Hex.decode(text), digest.count == SHA256.byteCount else {
                throw TLSError("a certificate fingerprint is 64 hex digits")
            }
            identity = .fingerprint(Hex.encode(digest))
            SSL_CTX_set_cert_verify_callback(context, { store, _ in checkPinnedCertificate(store) }, nil)
        }
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
    }

    /// A codec for one connection. `serverName` is sent as SNI; without it the host to be verified is, unless
    /// that is an IP address.
    public func codec(serverName: String? = nil) throws(CodecError) -> TLSCodec {
        try TLSCodec(context: handle, role: .client(identity, serverName: serverName))
    }
}

/// The authorities this machine trusts, loaded once and shared.
private enum SystemAuthorities {
    // Unsafe only to the compiler: set once, and X509_STORE has its own lock.
    nonisolated(unsafe) static let store: OpaquePointer? = {
        guard let store = X509_STORE_new() else { return nil }
        guard X509_STORE_set_default_paths(store) == 1 else {
            X509_STORE_free(store)
            ERR_clear_error()
            return nil
        }
        return store
    }()
}
