import Core
import Domain
import IO
import Reconcilers

extension SocketAddress {
    /// Whom limits count as one: an IPv4 address, or the /64 that a home or a server has of IPv6.
    var network: String {
        let plain = unmapped
        guard plain.isIPv6 else { return plain.host }
        let prefix = Array(plain.octets.prefix(8)) + [UInt8](repeating: 0, count: 8)
        return (SocketAddress(octets: prefix, port: 0) ?? plain).host + "/64"
    }
}

extension RateLimiter {
    /// The fields that tell a caller where it stands; throws when one of the limits is reached.
    @discardableResult
    func take(_ limits: [(limit: RateLimit, caller: String)]) throws(Problem) -> [(String, String)] {
        var policies: [String] = []
        var places: [String] = []
        for (limit, caller) in limits {
            switch verdict(limit, caller: caller) {
            case .pass(let remaining, let reset_s):
                policies.append(limit.policyField)
                places.append(limit.field(remaining: remaining, reset_s: reset_s))
            case .refuse(let retryAfter_s): throw .tooManyRequests(limit, retryAfter_s: retryAfter_s)
            }
        }
        return [
            ("RateLimit-Policy", policies.joined(separator: ", ")),
            ("RateLimit", places.joined(separator: ", ")),
        ]
    }

    @discardableResult
    func take(_ limit: RateLimit, caller: String) throws(Problem) -> [(String, String)] {
        try take([(limit, caller)])
    }
}

extension Route {
    /// What counts for a call of it: a credential and its account, or, without one, the client's network.
    func limits(for caller: Caller, network: String) -> [(limit: RateLimit, caller: String)] {
        guard let limit else { return [] }
        guard caller != .nobody else { return [(limit, network)] }
        return [(limit, caller.actor)] + (caller.account.map { [(.account, $0.text)] } ?? [])
    }
}

extension API {
    /// Runs `check` as one try at the password of `email`. The try is counted before, so that tries at the same time
    /// count too, and given back when it finds something or cannot be made. With a wrong password `check` finds nil.
    func asSignIn<Found: Sendable>(
        _ email: String, from call: Call, _ check: () async throws -> Found?
    ) async throws -> Found? {
        let attempt: SignInThrottle.Attempt
        switch await signIns.attempt(email: email, network: call.network) {
        case .go(let counted): attempt = counted
        case .wait(let ms, let policy):
            throw Problem.tooManyWrongPasswords(policy, wait_s: (ms + 999) / 1000)
        }
        do {
            let found = try await check()
            if found != nil { await signIns.end(attempt, .rightPassword) }
            return found
        } catch {
            await signIns.end(attempt, .unchecked)
            throw error
        }
    }
}

extension Problem {
    fileprivate static func tooManyWrongPasswords(_ policy: StrikePolicy, wait_s: Int) -> Problem {
        var problem = Problem(
            429, "quota-exceeded", "Too many wrong passwords were tried: try again in \(wait_s) s.")
        problem.headers = [
            ("Retry-After", String(wait_s)), ("RateLimit-Policy", policy.policyField),
            ("RateLimit", policy.field(wait_s: wait_s)),
        ]
        problem.more["violated-policies"] = .array([.string(policy.name)])
        return problem
    }
}
