import COpenSSL
import Core

/// The certificate a relay makes for itself at start: whoever connects pins its fingerprint.
public struct SelfSignedCertificate: Sendable {
    public let certificatePEM: String
    public let privateKeyPEM: String
    /// SHA-256 of the DER in lower-case hex.
    public let fingerprint: String

    private static let maxNameBytes = 64
    private static let lifetime_s = 10 * 365 * 86_400

    /// A P-256 key and a certificate for `commonName`, which also becomes its subject alternative name: a DNS
    /// name or IP address of at most 64 letters, digits, dots, colons, hyphens and underscores.
    public static func generate(commonName: String) throws(CryptoError) -> SelfSignedCertificate {
        guard (1...maxNameBytes).contains(commonName.utf8.count),
            commonName.utf8.allSatisfy({ Base62.contains($0) || ".:-_".utf8.contains($0) })
        else { throw CryptoError("\"\(commonName)\" cannot be the name in a certificate") }
        guard let key = mc_EVP_EC_gen_P256(), let certificate = X509_new() else {
            ERR_clear_error()
            throw CryptoError("OpenSSL cannot make a P-256 key")
        }
        defer {
            EVP_PKEY_free(key)
            X509_free(certificate)
        }
        guard fill(certificate, key: key, commonName: commonName),
            X509_sign(certificate, key, EVP_sha256()) > 0,
            let certificatePEM = text({ PEM_write_bio_X509($0, certificate) }),
            let privateKeyPEM = text({ PEM_write_bio_PrivateKey($0, key, nil, nil, 0, nil, nil) }),
            let fingerprint = certificateFingerprint(certificate)
        else {
            ERR_clear_error()
            throw CryptoError("OpenSSL cannot make a certificate for \"\(commonName)\"")
        }
        return SelfSignedCertificate(
            certificatePEM: certificatePEM, privateKeyPEM: privateKeyPEM, fingerprint: fingerprint)
    }

    private static func fill(_ certificate: OpaquePointer, key: OpaquePointer, commonName: String) -> Bool {
        // RFC 5280, section 4.1.2.2: a positive serial number of at most 20 octets.
        let serial = [0x40 | SecureRandom.bytes(1)[0] & 0x3F] + SecureRandom.bytes(15)
        guard let number = BN_bin2bn(serial, Int32(serial.count), nil) else { return false }
        defer { BN_free(number) }
        let name = X509_get_subject_name(certificate)
        // A clock that is behind by less than a day must not refuse the certificate.
        return X509_set_version(certificate, 2) == 1
            && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nil
            && X509_gmtime_adj(X509_getm_notBefore(certificate), -86_400) != nil
            && X509_gmtime_adj(X509_getm_notAfter(certificate), lifetime_s) != nil
            && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, commonName, -1, -1, 0) == 1
            && X509_set_issuer_name(certificate, name) == 1
            && X509_set_pubkey(certificate, key) == 1
            && add(
                NID_subject_alt_name, "\(isAddress(commonName) ? "IP" : "DNS"):\(commonName)", to: certificate
            )
    }

    private static func isAddress(_ name: String) -> Bool {
        guard let address = a2i_IPADDRESS(name) else {
            ERR_clear_error()
            return false
        }
        ASN1_OCTET_STRING_free(address)
        return true
    }

    private static func add(_ extensionID: Int32, _ value: String, to certificate: OpaquePointer) -> Bool {
        guard let part = X509V3_EXT_conf_nid(nil, nil, extensionID, value) else { return false }
        defer { X509_EXTENSION_free(part) }
        return X509_add_ext(certificate, part, -1) == 1
    }

    /// What `write` puts into the BIO it is given.
    private static func text(_ write: (OpaquePointer) -> Int32) -> String? {
        guard let bio = BIO_new(BIO_s_mem()) else { return nil }
        defer { BIO_free(bio) }
        guard write(bio) == 1 else { return nil }
        var bytes = [UInt8](repeating: 0, count: BIO_ctrl_pending(bio))
        guard BIO_read(bio, &bytes, Int32(bytes.count)) == Int32(bytes.count) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// SHA-256 of an X509's DER in lower-case hex; nil when OpenSSL cannot encode it.
package func certificateFingerprint(_ certificate: OpaquePointer) -> String? {
    var digest = [UInt8](repeating: 0, count: SHA256.byteCount)
    var size: UInt32 = 0
    guard X509_digest(certificate, EVP_sha256(), &digest, &size) == 1, Int(size) == digest.count else {
        return nil
    }
    return Hex.encode(digest)
}
