import COpenSSL
import Crypto
import IO
import Testing

@testable import TLS

@Suite struct HandshakeTests {
    let fixture: Fixture

    init() throws { fixture = try Fixture() }

    @Test func thePinnedCertificateIsAccepted() throws {
        let pair = try fixture.pair()
        pair.pump()
        #expect(pair.bothOpen)
        #expect(pair.client.error == nil && pair.server.error == nil)
        #expect(fixture.server.fingerprint == fixture.made.fingerprint)
    }

    @Test func aPinInCapitalsIsTheSamePin() throws {
        let pair = try fixture.pair(verify: .pinned(fingerprint: fixture.made.fingerprint.uppercased()))
        pair.pump()
        #expect(pair.bothOpen)
    }

    @Test func anotherCertificateThanThePinnedIsRefusedAndBothAreNamed() throws {
        let other = try SelfSignedCertificate.generate(commonName: "relay.example")
        let pair = try fixture.pair(verify: .pinned(fingerprint: other.fingerprint))
        pair.pump()
        #expect(!pair.client.codec.isOpen)
        #expect(
            pair.client.error?.reason
                == "the server's certificate is not the pinned one: it has fingerprint "
                + "\(fixture.made.fingerprint), expected \(other.fingerprint)")
        #expect(pair.server.error != nil, "the alert tells the server")
    }

    @Test(arguments: ["", "00", "zz", String(repeating: "a", count: 63), String(repeating: "a", count: 66)])
    func aPinOfAnotherFormIsRefused(text: String) {
        #expect(throws: TLSError.self) { try TLSClientContext(verify: .pinned(fingerprint: text)) }
    }

    @Test func theServerSeesTheNameTheClientAskedFor() throws {
        let named = try fixture.pair(serverName: "rly_abc.eu")
        named.pump()
        #expect(named.server.codec.serverName == "rly_abc.eu")
        let nameless = try fixture.pair()
        nameless.pump()
        #expect(nameless.bothOpen && nameless.server.codec.serverName == nil)
    }

    @Test func aKnownAuthorityIsEnoughForTheRightHost() throws {
        let pair = try fixture.pair(
            verify: .authority(certificatePEM: fixture.made.certificatePEM, host: "relay.example"))
        pair.pump()
        #expect(pair.bothOpen)
        #expect(pair.server.codec.serverName == "relay.example")
    }

    @Test func anotherHostIsRefused() throws {
        let pair = try fixture.pair(
            verify: .authority(certificatePEM: fixture.made.certificatePEM, host: "other.example"))
        pair.pump()
        #expect(pair.client.error?.reason.lowercased().contains("hostname mismatch") == true)
    }

    @Test func anAddressIsVerifiedAndNotSentAsName() throws {
        let made = try SelfSignedCertificate.generate(commonName: "127.0.0.1")
        let server = try TLSServerContext(
            certificatePEM: made.certificatePEM, privateKeyPEM: made.privateKeyPEM)
        for (host, opens) in [("127.0.0.1", true), ("127.0.0.2", false), ("localhost", false)] {
            let client = try TLSClientContext(
                verify: .authority(certificatePEM: made.certificatePEM, host: host))
            let pair = MemoryPair(client: try client.codec(), server: try server.codec())
            pair.pump()
            #expect(pair.bothOpen == opens)
            if opens { #expect(pair.server.codec.serverName == nil) }
        }
    }

    @Test func theSystemsAuthoritiesDoNotKnowASelfSignedCertificate() throws {
        let pair = try fixture.pair(verify: .system(host: "relay.example"))
        pair.pump()
        let reason = try #require(pair.client.error?.reason)
        #expect(reason.contains("self-signed certificate") && reason.contains("ca-certificates"))
        #expect(pair.server.error != nil)
    }

    @Test func aClientOfTLS12IsRefused() throws {
        let context = try fixture.client()
        _ = mc_SSL_CTX_set_min_proto_version(context.handle.pointer, TLS1_2_VERSION)
        _ = mc_SSL_CTX_set_max_proto_version(context.handle.pointer, TLS1_2_VERSION)
        let pair = MemoryPair(client: try context.codec(), server: try fixture.server.codec())
        pair.pump()
        #expect(pair.server.error?.reason == "the other side does not offer TLS 1.3")
        #expect(pair.client.error != nil, "the alert tells the client")
        #expect(!pair.client.codec.isOpen && !pair.server.codec.isOpen)
    }

    @Test func theClientOffersNothingOlderThanTLS13() throws {
        let codec = try fixture.client().codec()
        var hello: [UInt8] = []
        try codec.start(wire: &hello)
        // supported_versions (RFC 8446, section 4.2.1) with the one version 0x0304.
        #expect(hello.contains([0x00, 0x2b, 0x00, 0x03, 0x02, 0x03, 0x04]))
        #expect(hello.starts(with: [0x16, 0x03]), "the relay tells links from players by these bytes")
    }

    @Test func theHandshakeWorksByteByByte() throws {
        let pair = try fixture.pair(serverName: "relay.example")
        pair.pump(chunk: 1)
        #expect(pair.bothOpen)
        pair.client.send(Array("hello".utf8))
        pair.pump(chunk: 1)
        #expect(pair.server.text == "hello")
    }

    @Test func noTicketFollowsTheHandshake() throws {
        let pair = try fixture.openPair()
        #expect(pair.server.wire.isEmpty)
        pair.server.receive([])
        pair.server.send([])
        #expect(pair.server.wire.isEmpty)
    }

    @Test func aContextServesManyConnections() throws {
        let client = try fixture.client()
        for _ in 0..<20 {
            let pair = MemoryPair(client: try client.codec(), server: try fixture.server.codec())
            pair.pump()
            #expect(pair.bothOpen)
        }
    }

    @Test func aCodecOutlivesItsContext() throws {
        let codec = try TLSClientContext(verify: .pinned(fingerprint: fixture.made.fingerprint)).codec()
        let pair = MemoryPair(client: codec, server: try fixture.server.codec())
        pair.pump()
        #expect(pair.bothOpen)
    }

    @Test func serverMaterialThatCannotBeUsedIsExplained() throws {
        let made = fixture.made
        let other = try SelfSignedCertificate.generate(commonName: "x")
        func reason(_ certificate: String, _ key: String) -> String? {
            do throws(TLSError) {
                _ = try TLSServerContext(certificatePEM: certificate, privateKeyPEM: key)
                return nil
            } catch {
                return error.reason
            }
        }
        #expect(reason("", made.privateKeyPEM)?.contains("no certificate in PEM form") == true)
        #expect(reason(made.certificatePEM, "")?.contains("no private key in PEM form") == true)
        #expect(reason(made.certificatePEM, made.certificatePEM)?.contains("no private key") == true)
        #expect(
            reason(made.certificatePEM, other.privateKeyPEM)
                == "the private key does not belong to the certificate")
        #expect(reason(made.certificatePEM + other.certificatePEM, made.privateKeyPEM) == nil)
    }

    @Test func aNameThatIsNoHostIsRefused() throws {
        let context = try fixture.client()
        #expect(throws: CodecError.self) { try context.codec(serverName: String(repeating: "a", count: 300)) }
        #expect(throws: CodecError.self) { try context.codec(serverName: "") }
    }
}
