import Core
import Crypto
import Domain
import HTTP
import IO
import Store

extension API {
    /// Who makes the request, as far as its route wants to know. Every bad credential gets the same answer.
    func authenticate(_ request: HTTPRequest, _ access: Access, client: SocketAddress) async throws -> Caller
    {
        switch access {
        case .anyone: return .nobody
        case .metrics:
            try checkMetricsAccess(request)
            return .nobody
        case .account, .accountOrAgents, .people, .agents, .relays, .operators:
            guard let caller = try await caller(bearing: Self.bearer(request)) else {
                try limiter.take(.badCredentials, caller: client.network)
                throw Problem.unauthenticated
            }
            if let refusal = access.refusal(of: caller) { throw Problem.forbidden(refusal) }
            return caller
        }
    }

    private func caller(bearing credential: String?) async throws -> Caller? {
        guard let credential, credential.utf8.count <= 4096 else { return nil }
        if let operatorKeyHash = settings.operatorKeyHash,
            constantTimeEqual(SHA256.hash(Array(credential.utf8)), operatorKeyHash)
        {
            return .operator(nil, .operator)
        }
        guard let key = TypedKey(parsing: credential) else { return try await person(bearing: credential) }
        return switch try await store.keyHolder(key) {
        case .agent(let id, let account, let hasPriority): .agent(id, account, hasPriority)
        case .account(let id, let account, let scopes): .apiKey(id, account, scopes)
        case .relay(let id): .relay(id)
        case .operator(let id, let role): .operator(id, role)
        case nil: nil
        }
    }

    /// The database is asked each time: a sign-in that was ended, one that is for another account by now, and a role
    /// that was taken away count at once.
    private func person(bearing token: String) async throws -> Caller? {
        guard let (signIn, account) = try await tokens.verify(token, now: .now()),
            let person = try await store.signedIn(signIn), person.account == account
        else { return nil }
        return .user(person)
    }

    /// A request that came through a proxy is nobody's loopback, whoever the proxy is.
    private func checkMetricsAccess(_ request: HTTPRequest) throws(Problem) {
        let isProxied = ["x-forwarded-for", "forwarded", "x-real-ip", "via"].contains {
            request.headers.contains($0)
        }
        if request.peer.isLoopback, !isProxied { return }
        if let hash = settings.metricsTokenHash, let token = Self.bearer(request),
            constantTimeEqual(SHA256.hash(Array(token.utf8)), hash)
        {
            return
        }
        throw .unauthenticated
    }

    private static func bearer(_ request: HTTPRequest) -> String? {
        let values = request.headers.values("authorization")
        guard values.count == 1, let value = values.first else { return nil }
        let parts = value.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
        return String(parts[1])
    }
}
