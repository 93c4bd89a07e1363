import COpenSSL
import Crypto

/// Whom a client expects at the other end.
enum PeerIdentity: Sendable {
    case host(String)
    case fingerprint(String)

    /// Prepares one connection; false when the name cannot be a host's.
    func apply(to ssl: OpaquePointer, serverName: String?) -> Bool {
        var sent = serverName
        if case .host(let host) = self {
            let isAddress = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1
            if !isAddress {
                SSL_set_hostflags(ssl, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
                guard SSL_set1_host(ssl, host) == 1 else { return false }
                sent = sent ?? host
            }
            ERR_clear_error()
        }
        guard let sent else { return true }
        return mc_SSL_set_tlsext_host_name(ssl, sent) == 1
    }
}

/// Called by OpenSSL with the server's certificate on a connection whose client pins one. 1 lets it through.
/// That the server holds the certificate's key is proven by the handshake itself.
func checkPinnedCertificate(_ store: OpaquePointer?) -> Int32 {
    guard let ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()),
        let wires = Wires.of(ssl: OpaquePointer(ssl)), case .fingerprint(let wanted) = wires.identity
    else { return 0 }
    let shown = X509_STORE_CTX_get0_cert(store).flatMap(certificateFingerprint)
    wires.shownFingerprint = shown
    if shown == wanted {
        X509_STORE_CTX_set_error(store, X509_V_OK)
        return 1
    }
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION)
    return 0
}
