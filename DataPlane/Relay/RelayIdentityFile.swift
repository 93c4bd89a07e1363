import CLinux
import Core
import Crypto
import TLS

/// Who this relay is across restarts: id and certificate, kept in STATE_DIR when there is one. A relay without a
/// state directory is a new relay each time.
struct RelayIdentityFile {
    let id: String
    let tls: TLSServerContext
    /// What other relays are shown when this one dials them.
    let own: OwnCertificate

    private init(id: String, certificatePEM: String, privateKeyPEM: String) throws(TLSError) {
        self.id = id
        tls = try TLSServerContext(
            certificatePEM: certificatePEM, privateKeyPEM: privateKeyPEM, asksForCertificate: true)
        own = OwnCertificate(certificatePEM: certificatePEM, privateKeyPEM: privateKeyPEM)
    }

    static func load(_ configuration: RelayConfiguration) throws -> RelayIdentityFile {
        let directory = configuration.stateDirectory
        let id = try configuration.relayID ?? stored(directory, "relay-id") { "rly_" + randomName() }
        if let certificate = configuration.tlsCertificateFile, let key = configuration.tlsKeyFile {
            guard let certificatePEM = Settings.read(certificate) else {
                throw StateError("cannot read \(certificate)")
            }
            guard let keyPEM = Settings.read(key) else { throw StateError("cannot read \(key)") }
            return try RelayIdentityFile(id: id, certificatePEM: certificatePEM, privateKeyPEM: keyPEM)
        }
        let both = try stored(directory, "relay-tls.pem") {
            let made = try SelfSignedCertificate.generate(commonName: id)
            return made.certificatePEM + made.privateKeyPEM
        }
        return try RelayIdentityFile(id: id, certificatePEM: both, privateKeyPEM: both)
    }

    /// What the file holds; made and written when there is none.
    private static func stored(_ directory: String?, _ name: String, _ make: () throws -> String) throws
        -> String
    {
        guard let directory else { return try make() }
        let path = directory + "/" + name
        if let text = Settings.read(path) {
            return name == "relay-id" ? String(text.prefix { !$0.isNewline }) : text
        }
        if access(path, F_OK) == 0 { throw StateError("cannot read \(path)") }
        let text = try make()
        try StateFile.write(text, to: path)
        return text
    }

    private static func randomName() -> String {
        String(
            decoding: (0..<22).map { _ in Base62.alphabet[Int.random(in: 0..<62)] }, as: UTF8.self)
    }
}
