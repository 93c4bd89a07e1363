import Core
import Domain
import HTTP

/// A refusal in the form of RFC 9457: what is wrong and what to do about it, for the one who asked.
public struct Problem: Error, Sendable, Equatable {
    /// One thing that is wrong with a request's body or query.
    public struct FieldError: Sendable, Equatable {
        /// JSON pointer into the body (`/email`), or `?name` for a query parameter.
        public var pointer: String
        public var detail: String

        public init(_ pointer: String, _ detail: String) {
            self.pointer = pointer
            self.detail = detail
        }
    }

    public static let contentType = "application/problem+json"

    public var status: Int
    /// Stable and machine-readable: the last part of the problem's type.
    public var code: String
    public var detail: String
    public var errors: [FieldError] = []
    public var headers: [(String, String)] = []
    /// More members for the answer, such as the id of what is in the way.
    public var more = JSONObject()

    public init(_ status: Int, _ code: String, _ detail: String) {
        self.status = status
        self.code = code
        self.detail = detail
    }

    public static func == (left: Problem, right: Problem) -> Bool {
        left.status == right.status && left.code == right.code && left.detail == right.detail
            && left.errors == right.errors && left.more == right.more
            && left.headers.elementsEqual(right.headers, by: ==)
    }

    /// `application/problem+json`; `instance` is the path that was asked for, if it could be read.
    public func body(instance: String?, requestID: String) -> JSON {
        var object: JSONObject = [
            "type": .string(Self.type(of: code)),
            "title": .string(HTTPStatus.name(status)),
            "status": .integer(Int64(status)),
            "detail": .string(detail),
        ]
        if let instance { object["instance"] = .string(instance) }
        object["request_id"] = .string(requestID)
        if !errors.isEmpty {
            object["errors"] = .array(
                errors.map { ["pointer": .string($0.pointer), "detail": .string($0.detail)] })
        }
        for member in more.members { object[member.name] = member.value }
        return .object(object)
    }

    static func type(of code: String) -> String {
        code == "quota-exceeded" ? quotaType : "urn:minecart:problem:\(code)"
    }

    /// Registered by draft-ietf-httpapi-ratelimit-headers.
    private static let quotaType = "https://iana.org/assignments/http-problem-types#quota-exceeded"
}

extension Problem {
    static let notFound = Problem(404, "not-found", "There is nothing here under this name for you.")

    static let unauthenticated: Problem = {
        var problem = Problem(
            401, "unauthenticated",
            "Send a valid credential as \"Authorization: Bearer …\". Tokens expire: renew them at /v1/sessions/refresh."
        )
        problem.headers = [("WWW-Authenticate", "Bearer")]
        return problem
    }()

    /// What the HTTP server refuses by itself, in our words.
    init(_ refusal: HTTPRefusal) {
        let code =
            Self.common[refusal.status]?.first
            ?? HTTPStatus.name(refusal.status).lowercased().replacing(" ", with: "-")
        let reason = refusal.reason.prefix(1).uppercased() + refusal.reason.dropFirst() + "."
        switch refusal.status {
        case 500: self = .internalError
        case 503: self = .unavailable(reason)
        default: self.init(refusal.status, code, reason)
        }
    }

    static func forbidden(_ detail: String) -> Problem { Problem(403, "forbidden", detail) }
    static func conflict(_ code: String, _ detail: String) -> Problem { Problem(409, code, detail) }

    static func invalid(_ errors: [FieldError]) -> Problem {
        var problem = Problem(422, "invalid", "The request does not fit: see errors.")
        problem.errors = errors
        return problem
    }

    static func unavailable(_ detail: String, retryAfter_s: Int = 1) -> Problem {
        var problem = Problem(503, "unavailable", detail)
        problem.headers = [("Retry-After", String(retryAfter_s))]
        return problem
    }

    static func methodNotAllowed(_ allowed: [String]) -> Problem {
        let list = allowed.joined(separator: ", ")
        var problem = Problem(405, "method-not-allowed", "Use \(list) here.")
        problem.headers = [("Allow", list)]
        return problem
    }

    static func tooManyRequests(_ policy: RateLimit, retryAfter_s: Int) -> Problem {
        var problem = Problem(
            429, "quota-exceeded", "Too many requests: try again in \(retryAfter_s) s.")
        problem.headers = [
            ("Retry-After", String(retryAfter_s)),
            ("RateLimit-Policy", policy.policyField),
            ("RateLimit", policy.field(remaining: 0, reset_s: retryAfter_s)),
        ]
        problem.more["violated-policies"] = .array([.string(policy.name)])
        return problem
    }

    static let internalError = Problem(
        500, "internal", "Something broke on our side. Try again; if it stays, tell support the request_id.")
}
