import COpenSSL

/// Reads certificates and keys from PEM text (RFC 7468).
enum PEM {
    final class Certificate {
        let pointer: OpaquePointer
        init(_ pointer: OpaquePointer) { self.pointer = pointer }
        deinit { X509_free(pointer) }
    }

    final class PrivateKey {
        let pointer: OpaquePointer
        init(_ pointer: OpaquePointer) { self.pointer = pointer }
        deinit { EVP_PKEY_free(pointer) }
    }

    /// Longer text is no certificate chain.
    private static let maxBytes = 256 * 1024

    /// All certificates in the order of the text, at least one.
    static func certificates(_ text: String) throws(TLSError) -> [Certificate] {
        var found: [Certificate] = []
        withBIO(text) { bio in
            while let certificate = PEM_read_bio_X509(bio, nil, nil, nil) {
                found.append(Certificate(certificate))
            }
        }
        ERR_clear_error()
        guard !found.isEmpty else {
            throw TLSError("there is no certificate in PEM form (-----BEGIN CERTIFICATE-----)")
        }
        return found
    }

    static func privateKey(_ text: String) throws(TLSError) -> PrivateKey {
        var key: PrivateKey?
        withBIO(text) { bio in
            // Without this callback OpenSSL would ask for a password on the terminal.
            key = PEM_read_bio_PrivateKey(bio, nil, { _, _, _, _ in -1 }, nil).map(PrivateKey.init)
        }
        ERR_clear_error()
        guard let key else {
            throw TLSError(
                "there is no private key in PEM form without password (-----BEGIN PRIVATE KEY-----)")
        }
        return key
    }

    private static func withBIO(_ text: String, _ body: (OpaquePointer) -> Void) {
        let bytes = Array(text.utf8.prefix(maxBytes))
        bytes.withUnsafeBytes { buffer in
            guard let bio = BIO_new_mem_buf(buffer.baseAddress, Int32(buffer.count)) else { return }
            defer { BIO_free(bio) }
            body(bio)
        }
    }
}
