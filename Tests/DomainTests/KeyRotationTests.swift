import Core
import Crypto
import Domain
import Testing
import Wire

@Suite struct KeyRotationTests {
    private let rotation = KeyRotation(publish_s: 360, retire_s: 90_000)

    private func key(
        _ state: SigningKeyState, created: Int64 = 0, signs: Int64? = nil, retired: Int64? = nil
    ) throws -> SigningKeyView {
        SigningKeyView(
            state: state, publicKey: try SigningKey.generate().publicKey,
            createdAt: WallTime(seconds: created), signsSince: signs.map { WallTime(seconds: $0) },
            retiredAt: retired.map { WallTime(seconds: $0) })
    }

    @Test func aPublishedKeySignsOnceEverybodyHasIt() throws {
        let next = try key(.published, created: 1000)
        #expect(rotation.due([next], now: WallTime(seconds: 1359)) == [])
        #expect(rotation.due([next], now: WallTime(seconds: 1360)) == [.sign(kid: next.kid)])
    }

    @Test func aRetiredKeyIsForgottenOnceNothingItSignedCounts() throws {
        let old = try key(.retired, signs: 1, retired: 1000)
        let signer = try key(.signing, signs: 1000)
        #expect(rotation.due([old, signer], now: WallTime(seconds: 90_999)) == [])
        #expect(rotation.due([old, signer], now: WallTime(seconds: 91_000)) == [.forget(kid: old.kid)])
    }

    @Test func theSignerSignsOnWhenNobodyFollows() throws {
        #expect(rotation.due([try key(.signing, signs: 0)], now: WallTime(seconds: 1 << 40)) == [])
    }

    @Test func theWaitsOutlastCachesAndTokens() {
        let standard = KeyRotation()
        #expect(standard.publish_s > standard.cache_s)
        #expect(standard.retire_s > Ticket.lifetime_s + Ticket.grace_s)
        #expect(KeyRotation(publish_s: 3).cache_s == 0)
        #expect(KeyRotation(publish_s: 90).cache_s == 30)
    }

    @Test func aRingBelievesItsSignerOnce() throws {
        let signer = try SigningKey.generate()
        let other = try SigningKey.generate().publicKey
        let ring = KeyRing(signing: signer, others: [signer.publicKey, other])
        #expect(ring.keys.keys == [signer.publicKey, other])
        #expect(ring.fingerprint == VerificationKeys([other, signer.publicKey]).fingerprint)
        #expect(ring.fingerprint != KeyRing(signing: signer).fingerprint)
    }
}
