import Core
import Crypto
import Wire

/// Tokens: the first byte says what a stranger, or a faulty control plane, made of the rest. Nothing that lacks our
/// signature is believed.
@Sendable func fuzzJWT(_ input: [UInt8]) {
    guard let choice = input.first else { return }
    let rest = Array(input.dropFirst())
    switch choice % 4 {
    case 0: foreignToken(String(decoding: rest, as: UTF8.self))
    case 1: foreignHeader(rest)
    case 2: signedClaims(rest)
    default: foreignKeys(rest)
    }
}

private let relay = "rly_fuzz"
private let now = WallTime(seconds: 1_800_000_000)
private let key: Ed25519PrivateKey = {
    guard let key = try? Ed25519PrivateKey(seed: [UInt8](repeating: 7, count: 32)) else {
        fatalError("a seed of 32 bytes makes a key")
    }
    return key
}()
private let keys = VerificationKeys([key.publicKey])

private func foreignToken(_ token: String) {
    precondition(
        (try? Ticket.verify(token, relay: relay, keys: keys, now: now)) == nil, "an unsigned token counted")
}

/// Our signature over a header of the fuzzer's: it counts only when the header names our key and type.
private func foreignHeader(_ header: [UInt8]) {
    let body = Base64URL.encode(header) + "." + Base64URL.encode(Array("{}".utf8))
    // Signing is slow, and a header that is no JSON must not get as far as the signature.
    let read = try? JSON.parse(header)
    let signature = read == nil ? [UInt8](repeating: 0, count: 64) : key.sign(Array(body.utf8))
    let token = body + "." + Base64URL.encode(signature)
    guard (try? JWS.verify(token, type: Ticket.type, keys: keys, maxBytes: 8192)) != nil else { return }
    precondition(read?["typ"] == .string(Ticket.type), "a token of another type counted")
    precondition(read?["kid"] == .string(key.publicKey.kid), "a token of another key counted")
}

/// Claims of the fuzzer's under our signature: whatever they hold, they are read or refused.
private func signedClaims(_ payload: [UInt8]) {
    guard (try? JSON.parse(payload)) != nil else { return }
    let token = JWS.sign(payload, type: Ticket.type, key: key)
    guard let ticket = try? Ticket.verify(token, relay: relay, keys: keys, now: now) else { return }
    precondition(ticket.relay == relay, "a ticket for another relay counted")
}

private func foreignKeys(_ text: [UInt8]) {
    guard let jwks = try? JSON.parse(text), let found = try? VerificationKeys(jwks: jwks) else { return }
    precondition(found.keys.count <= VerificationKeys.maxKeys, "too many keys were taken")
}
