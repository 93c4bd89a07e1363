import Crypto
import IO
import Testing

@testable import TLS

/// A server that asks for the client's certificate, as relays do for one another.
@Suite struct MutualTests {
    private let fixture: Fixture
    private let asking: TLSServerContext

    init() throws {
        fixture = try Fixture()
        asking = try TLSServerContext(
            certificatePEM: fixture.made.certificatePEM, privateKeyPEM: fixture.made.privateKeyPEM,
            asksForCertificate: true)
    }

    private func pair(own: OwnCertificate?) throws -> MemoryPair {
        let client = try TLSClientContext(verify: .pinned(fingerprint: fixture.made.fingerprint), own: own)
        let pair = MemoryPair(client: try client.codec(), server: try asking.codec())
        pair.pump()
        return pair
    }

    @Test func bothSidesKnowEachOthersCertificate() throws {
        let mine = try SelfSignedCertificate.generate(commonName: "rly_other")
        let own = OwnCertificate(certificatePEM: mine.certificatePEM, privateKeyPEM: mine.privateKeyPEM)
        let pair = try pair(own: own)
        #expect(pair.bothOpen)
        #expect(pair.server.codec.peerFingerprint == mine.fingerprint)
        #expect(pair.client.codec.peerFingerprint == fixture.made.fingerprint)
        pair.client.send([1, 2, 3])
        pair.pump()
        #expect(pair.server.received.array() == [1, 2, 3])
        #expect("\(own)" == "certificate and key")
    }

    @Test func aClientWithoutACertificateIsLetInAndKnownAsNobody() throws {
        let pair = try pair(own: nil)
        #expect(pair.bothOpen)
        #expect(pair.server.codec.peerFingerprint == nil)
    }

    @Test func aServerThatDoesNotAskIsShownNone() throws {
        let mine = try SelfSignedCertificate.generate(commonName: "rly_other")
        let client = try TLSClientContext(
            verify: .pinned(fingerprint: fixture.made.fingerprint),
            own: OwnCertificate(certificatePEM: mine.certificatePEM, privateKeyPEM: mine.privateKeyPEM))
        let pair = MemoryPair(client: try client.codec(), server: try fixture.server.codec())
        pair.pump()
        #expect(pair.bothOpen)
        #expect(pair.server.codec.peerFingerprint == nil)
    }

    @Test func aCertificateWithoutItsKeyIsRefused() throws {
        let mine = try SelfSignedCertificate.generate(commonName: "rly_other")
        #expect(throws: TLSError("the private key does not belong to the certificate")) {
            try TLSClientContext(
                verify: .pinned(fingerprint: fixture.made.fingerprint),
                own: OwnCertificate(
                    certificatePEM: mine.certificatePEM, privateKeyPEM: fixture.made.privateKeyPEM))
        }
    }
}
