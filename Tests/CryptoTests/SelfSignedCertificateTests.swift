import Core
import Crypto
import Testing

@Suite struct SelfSignedCertificateTests {
    @Test func theFingerprintIsTheHashOfTheDER() throws {
        let made = try SelfSignedCertificate.generate(commonName: "rly_1.minecart")
        let body = made.certificatePEM.split(separator: "\n").filter { !$0.hasPrefix("-----") }.joined()
        let standard = body.map { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 }.filter { $0 != "=" }
        let der = try #require(Base64URL.decode(String(standard)))
        #expect(made.fingerprint == Hex.encode(SHA256.hash(der)))
        #expect(made.certificatePEM.hasPrefix("-----BEGIN CERTIFICATE-----\n"))
        #expect(made.privateKeyPEM.hasPrefix("-----BEGIN PRIVATE KEY-----\n"))
    }

    @Test func eachIsNew() throws {
        let first = try SelfSignedCertificate.generate(commonName: "127.0.0.1")
        let second = try SelfSignedCertificate.generate(commonName: "127.0.0.1")
        #expect(first.fingerprint != second.fingerprint)
        #expect(first.privateKeyPEM != second.privateKeyPEM)
    }

    @Test(arguments: ["", "a,DNS:evil.example", "a b", "é", String(repeating: "a", count: 65)])
    func aNameThatCannotBeInACertificateIsRefused(name: String) {
        #expect(throws: CryptoError.self) { try SelfSignedCertificate.generate(commonName: name) }
    }
}
