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
        try write(text, to: path)
        return text
    }

    /// Whole or not at all: a name of its own first, then renamed.
    static func write(_ text: String, to path: String) throws {
        let draft = path + ".new"
        let descriptor = mc_open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw StateError("cannot write \(path): \(String(cString: strerror(mc_errno())))")
        }
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { CLinux.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else {
                let reason = String(cString: strerror(mc_errno()))
                close(descriptor)
                throw StateError("cannot write \(path): \(reason)")
            }
            bytes = bytes.dropFirst(count)
        }
        fsync(descriptor)
        close(descriptor)
        guard rename(draft, path) == 0 else {
            throw StateError("cannot write \(path): \(String(cString: strerror(mc_errno())))")
        }
    }

    private static func randomName() -> String {
        String(
            decoding: (0..<22).map { _ in Base62.alphabet[Int.random(in: 0..<62)] }, as: UTF8.self)
    }
}

/// The state directory cannot be used.
struct StateError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
