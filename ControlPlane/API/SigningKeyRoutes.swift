import Core
import Crypto
import Domain
import Reconcilers
import Store

/// What the installation signs with, for operators: looking, rotating, and ending the trust in a key.
enum SigningKeyRoutes {
    static let all = [
        Route(
            "GET", "/v1/ops/signing-keys", .operators(.readOnly), gives: .list(of: Schemas.signingKey),
            "Lists the signing keys and when they change."
        ) {
            api, call in try await list(api, call)
        },
        Route(
            "POST", "/v1/ops/signing-keys", .operators(.operator), gives: .created(Schemas.signingKey),
            problems: [409: ["rotation-under-way", "too-many-keys", "keys-from-environment"]],
            "Starts a rotation: a new key is published, and signs once everybody has it."
        ) { api, call in try await rotate(api, call) },
        Route(
            "DELETE", "/v1/ops/signing-keys/{kid}", .operators(.operator), gives: .nothing,
            problems: [409: ["keys-from-environment"]],
            "Ends the trust in a key at once. When it signs, another one takes over in the same moment."
        ) { api, call in try await remove(api, call) },
    ]

    private static func list(_ api: API, _ call: Call) async throws -> Reply {
        try call.refuseInput()
        guard let vault = api.keys.vault else {
            let ring = try api.keys.ring
            return .list(
                ring.keys.keys.map { key in
                    let state: SigningKeyState = key == ring.signing.publicKey ? .signing : .retired
                    return [
                        "kid": .string(key.kid), "state": .string(state.rawValue), "source": "environment",
                    ]
                }, nextCursor: nil)
        }
        return .list(
            try await vault.keys().map { $0.json(vault.rotation) }, nextCursor: nil)
    }

    private static func rotate(_ api: API, _ call: Call) async throws -> Reply {
        try call.refuseInput()
        let vault = try vault(api)
        let key = try await vault.startRotation(actor: call.actor)
        await api.keys.reload()
        return .json(201, key.json(vault.rotation))
    }

    private static func remove(_ api: API, _ call: Call) async throws -> Reply {
        try call.refuseInput()
        guard let kid = call.parameters["kid"],
            try await vault(api).remove(kid, actor: call.actor)
        else { throw Problem.notFound }
        await api.keys.reload()
        return .noContent
    }

    private static func vault(_ api: API) throws(Problem) -> KeyVault {
        guard let vault = api.keys.vault else {
            throw .conflict(
                "keys-from-environment",
                "The signing key comes from SIGNING_KEY: change it there, or set SIGNING_KEYS_SECRET.")
        }
        return vault
    }
}

extension SigningKeyView {
    func json(_ rotation: KeyRotation) -> JSON {
        let change = rotation.nextChange(of: self).map { JSON.string($0.rfc3339) } ?? .null
        return [
            "kid": .string(kid), "state": .string(state.rawValue), "source": "database",
            "created_at": .string(createdAt.rfc3339),
            "signs_since": signsSince.map { .string($0.rfc3339) } ?? .null,
            "retired_at": retiredAt.map { .string($0.rfc3339) } ?? .null,
            "signs_at": state == .published ? change : .null,
            "gone_at": state == .retired ? change : .null,
        ]
    }
}
