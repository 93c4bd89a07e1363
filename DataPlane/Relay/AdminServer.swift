import Core
import Crypto
import HTTP
import IO
import Synchronization

/// The relay's own HTTP port: `/healthz`, `/readyz`, `/metrics`, and nothing else.
enum AdminServer {
    static func start(
        loop: EventLoop, address: SocketAddress, metricsToken: String?, context: RelayContext,
        isReady: @escaping @Sendable () -> Bool
    ) throws(SystemError) -> HTTPServer {
        try HTTPServer(loop: loop, address: address, bodyLimit: { _ in 0 }) { request, responder in
            responder.respond(answer(request, metricsToken: metricsToken, context: context, isReady: isReady))
        }
    }

    private static func answer(
        _ request: HTTPRequest, metricsToken: String?, context: RelayContext, isReady: @Sendable () -> Bool
    ) -> HTTPResponse {
        guard ["/healthz", "/readyz", "/metrics"].contains(request.path) else {
            return .problem(404, detail: "This relay answers /healthz, /readyz and /metrics.")
        }
        guard request.method == "GET" || request.method == "HEAD" else {
            var answer = HTTPResponse.problem(405, detail: "Use GET.")
            answer.headers["Allow"] = "GET, HEAD"
            return answer
        }
        switch request.path {
        case "/healthz": return .text(200, "ok\n")
        case "/readyz": return isReady() ? .text(200, "ready\n") : .text(503, "not ready\n")
        default:
            // To a stranger there is nothing here.
            guard maySeeMetrics(request, token: metricsToken) else {
                return .problem(404, detail: "This relay answers /healthz, /readyz and /metrics.")
            }
            var answer = HTTPResponse.text(200, context.metrics.registry.render())
            answer.headers["Content-Type"] = Metrics.contentType
            return answer
        }
    }

    /// Loopback, unless a proxy stands in between; anybody else needs the token.
    private static func maySeeMetrics(_ request: HTTPRequest, token: String?) -> Bool {
        if let token, let given = request.headers["authorization"] {
            return constantTimeEqual(Array(given.utf8), Array("Bearer \(token)".utf8))
        }
        return request.peer.isLoopback && !request.headers.contains("x-forwarded-for")
            && !request.headers.contains("forwarded")
    }
}
