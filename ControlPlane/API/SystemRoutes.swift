import Core
import Crypto
import Domain
import HTTP
import Reconcilers
import Store

/// What machines ask: is it alive, can it serve, its public keys, its numbers.
enum SystemRoutes {
    static let all: [Route] = [
        Route("GET", "/healthz", .anyone, limit: nil, gives: .text("ok\n"), "The process is alive.") { _, _ in
            .text(200, "ok\n")
        },
        Route(
            "GET", "/readyz", .anyone, limit: nil, gives: .text("ready\n"),
            "The control plane can serve: its database answers."
        ) {
            api, _ in
            if api.draining { throw Problem.unavailable("This control plane is about to stop.") }
            try await api.store.ping()
            _ = try api.keys.ring
            return .text(200, "ready\n")
        },
        Route(
            "GET", "/.well-known/jwks.json", .anyone, limit: nil, gives: .ok(Schemas.keySet),
            "The keys that sign tokens and assignments."
        ) {
            api, _ in
            let keys = api.keys
            var reply = Reply.json(200, try keys.ring.keys.jwks)
            reply.headers = [("Cache-Control", "public, max-age=\(keys.cache_s)")]
            return reply
        },
        Route(
            "GET", "/openapi.json", .anyone, limit: nil, gives: .ok(.anyObject(["openapi": "3.1.0"])),
            "This description."
        ) { api, _ in
            var reply = Reply.text(200, OpenAPI.text, contentType: "application/json")
            reply.headers = [("Cache-Control", "public, max-age=300")]
            return reply
        },
        Route(
            "GET", "/metrics", .metrics, limit: nil, gives: .text("up 1\n", contentType: Metrics.contentType),
            "Numbers for Prometheus."
        ) { api, _ in
            .text(200, api.metrics.render(), contentType: Metrics.contentType)
        },
    ]

    /// Answered on the loop: no task, nothing that could wait.
    static let alive = HTTPResponse.text(200, "ok\n")
}
