import Core
import Crypto
import HTTP
import Store

/// Lets a client send a request again without doing it twice (draft-ietf-httpapi-idempotency-key-header-07). The
/// first answer is kept for 24 hours; one that holds a secret is not kept, only the id of what was made.
public enum Idempotency: Sendable, Hashable {
    /// The route does not look at Idempotency-Key.
    case none
    case replayed
    case holdsSecret
}

extension API {
    /// Runs the handler unless this key was answered before.
    func once(_ route: Route, _ call: Call) async throws -> Reply {
        guard route.idempotency != .none, let given = call.request.headers["idempotency-key"] else {
            return try await run(route, call)
        }
        guard let key = Self.idempotencyKey(given) else {
            throw Problem(
                400, "malformed", "Idempotency-Key must be 1 to 128 visible characters, in quotes or bare.")
        }
        let scope = "\(call.caller.account?.text ?? call.caller.actor) \(route.method) \(call.request.path)"
        let state = try await store.beginIdempotent(
            scope: scope, key: key, fingerprint: SHA256.hash(call.request.body))
        switch state {
        case .first: break
        case .inFlight:
            throw Problem.conflict(
                "in-flight", "A request with this Idempotency-Key is under way: wait for its answer.")
        case .mismatch:
            throw Problem(
                422, "idempotency-mismatch", "This Idempotency-Key came with another request: use a new one.")
        case .doneWithSecret(let resource):
            var problem = Problem.conflict(
                "already-done", "This was done before; the secret of \(resource) is shown only once.")
            problem.more["id"] = .string(resource)
            throw problem
        case .done(let status, let body):
            var reply = Reply(status: status, body: (try? JSON.parse(body)).map { .json($0) } ?? .none)
            reply.headers = [("Idempotency-Replayed", "true")]
            return located(reply, route, call)
        }
        do {
            let reply = try await run(route, call)
            try await store.finishIdempotent(
                scope: scope, key: key, status: reply.status,
                body: route.idempotency == .replayed ? reply.json?.text : nil,
                resource: route.idempotency == .holdsSecret ? reply.json?["id"]?.stringValue : nil)
            return reply
        } catch {
            try? await store.abandonIdempotent(scope: scope, key: key)
            throw error
        }
    }

    private func run(_ route: Route, _ call: Call) async throws -> Reply {
        located(try await route.handler(self, call), route, call)
    }

    /// With the Location that the route promises, unless the handler gave one: the new thing's id under the path.
    private func located(_ reply: Reply, _ route: Route, _ call: Call) -> Reply {
        guard reply.status == 201, route.gives?.headers.contains("Location") == true,
            !reply.headers.contains(where: { $0.0 == "Location" }), let id = reply.json?["id"]?.stringValue
        else { return reply }
        var reply = reply
        reply.headers.append(("Location", "\(call.request.path)/\(id)"))
        return reply
    }

    /// A quoted text (RFC 8941) or a bare one.
    private static func idempotencyKey(_ text: String) -> String? {
        var text = text[...]
        if text.count >= 2, text.hasPrefix("\""), text.hasSuffix("\"") { text = text.dropFirst().dropLast() }
        guard (1...128).contains(text.utf8.count), text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            return nil
        }
        return String(text)
    }
}
