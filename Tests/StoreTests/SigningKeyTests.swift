import Core
import Crypto
import Domain
import Postgres
import Testing

@testable import Store

@Suite struct SigningKeyTests {
    private let atOnce = KeyRotation(publish_s: 0, retire_s: 0)
    private let signsAtOnce = KeyRotation(publish_s: -10, retire_s: 90_000)
    private let never = KeyRotation(publish_s: 3600, retire_s: 3600)

    private func key() throws -> SealedSigningKey {
        SealedSigningKey(publicKey: try SigningKey.generate().publicKey, sealed: [1, 2, 3])
    }

    private func states(_ fixture: Fixture) async throws -> [String: SigningKeyState] {
        Dictionary(
            uniqueKeysWithValues: try await fixture.store.signingKeys().map { ($0.view.kid, $0.view.state) })
    }

    @Test func theFirstKeySignsAndOnlyOneIsTheFirst() async throws {
        let fixture = try await Fixture()
        let keys = [try key(), try key(), try key()]
        try await withThrowingTaskGroup { group in
            for key in keys {
                group.addTask { try await fixture.store.ensureSigningKey(key, actor: "system") }
            }
            try await group.waitForAll()
        }
        let there = try await fixture.store.signingKeys()
        #expect(there.map(\.view.state) == [.signing])
        #expect(there[0].sealed == [1, 2, 3])
        #expect(try await fixture.audit("signing_key.create").count == 1)
    }

    @Test func aKeyGoesFromPublishedOverSigningAndRetiredToGone() async throws {
        let fixture = try await Fixture()
        let lease = try await fixture.lease()
        let old = try key()
        let new = try key()
        try await fixture.store.ensureSigningKey(old, actor: "system")
        let made = try await fixture.store.publishSigningKey(new, actor: "operator")
        #expect(made.state == .published)
        #expect(made.signsSince == nil)

        #expect(try await fixture.store.rotateSigningKeys(never, as: lease) == [])
        #expect(try await states(fixture) == [old.publicKey.kid: .signing, new.publicKey.kid: .published])

        #expect(
            try await fixture.store.rotateSigningKeys(signsAtOnce, as: lease) == [
                .sign(kid: new.publicKey.kid)
            ])
        #expect(try await states(fixture) == [old.publicKey.kid: .retired, new.publicKey.kid: .signing])
        #expect(try await fixture.store.rotateSigningKeys(signsAtOnce, as: lease) == [])

        let forgets = KeyRotation(publish_s: 0, retire_s: -10)
        #expect(
            try await fixture.store.rotateSigningKeys(forgets, as: lease) == [
                .forget(kid: old.publicKey.kid)
            ])
        #expect(try await states(fixture) == [new.publicKey.kid: .signing])
        for action in ["publish", "retire", "sign", "forget"] {
            #expect(try await fixture.audit("signing_key.\(action)").count == 1, "\(action)")
        }
    }

    /// Many of them are made in one second.
    @Test func keysAreListedInTheOrderTheyWereMade() async throws {
        let fixture = try await Fixture()
        let lease = try await fixture.lease()
        let keys = try (0..<8).map { _ in try key() }
        try await fixture.store.ensureSigningKey(keys[0], actor: "system")
        for next in keys.dropFirst() {
            _ = try await fixture.store.publishSigningKey(next, actor: "operator")
            try await fixture.store.rotateSigningKeys(signsAtOnce, as: lease)
        }
        let listed = try await fixture.store.signingKeys().map(\.view.publicKey)
        #expect(listed == keys.map(\.publicKey))
    }

    @Test func oneRotationAtATime() async throws {
        let fixture = try await Fixture()
        try await fixture.store.ensureSigningKey(try key(), actor: "system")
        let next = try key()
        _ = try await fixture.store.publishSigningKey(next, actor: "operator")
        await #expect(throws: StoreError.rotationUnderWay(kid: next.publicKey.kid)) {
            _ = try await fixture.store.publishSigningKey(try key(), actor: "operator")
        }
        #expect(try await fixture.audit("signing_key.publish").count == 1)
    }

    @Test func onlyTheLeaderMovesKeysOn() async throws {
        let fixture = try await Fixture()
        try await fixture.store.ensureSigningKey(try key(), actor: "system")
        _ = try await fixture.store.publishSigningKey(try key(), actor: "operator")
        let lease = try await fixture.lease()
        try await fixture.store.releaseLease(lease)
        await #expect(throws: StoreError.leaseLost) {
            try await fixture.store.rotateSigningKeys(atOnce, as: lease)
        }
    }

    @Test func aRemovedSignerIsFollowedByThePublishedKeyOrANewOne() async throws {
        let fixture = try await Fixture()
        let first = try key()
        let published = try key()
        let spare = try key()
        try await fixture.store.ensureSigningKey(first, actor: "system")
        #expect(
            try await fixture.store.removeSigningKey(
                first.publicKey.kid, replacement: published, actor: "operator"))
        #expect(try await states(fixture) == [published.publicKey.kid: .signing])

        let next = try key()
        _ = try await fixture.store.publishSigningKey(next, actor: "operator")
        #expect(
            try await fixture.store.removeSigningKey(
                published.publicKey.kid, replacement: spare, actor: "operator"))
        #expect(try await states(fixture) == [next.publicKey.kid: .signing])
        #expect(
            try await !fixture.store.removeSigningKey(
                published.publicKey.kid, replacement: spare, actor: "operator"))
        #expect(try await fixture.audit("signing_key.remove").count == 2)
    }

    @Test func aPublishedKeyCanBeRemovedBeforeItSigns() async throws {
        let fixture = try await Fixture()
        let first = try key()
        let next = try key()
        try await fixture.store.ensureSigningKey(first, actor: "system")
        _ = try await fixture.store.publishSigningKey(next, actor: "operator")
        #expect(
            try await fixture.store.removeSigningKey(
                next.publicKey.kid, replacement: try key(), actor: "operator"))
        #expect(try await states(fixture) == [first.publicKey.kid: .signing])
    }
}
