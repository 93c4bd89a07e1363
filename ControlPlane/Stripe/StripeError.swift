import Core

/// Why Stripe did not do it. Holds no secret: what Stripe says is cut of our key and of control characters.
public enum StripeError: Error, Sendable, Hashable, CustomStringConvertible {
    /// No connection could be made: Stripe cannot have seen the request.
    case unsent(String)
    /// No answer: a broken connection, or none in time. Whether Stripe did what was asked is not known.
    case unreachable(String)
    /// An answer that is no JSON, or whose shape is not Stripe's.
    case nonsense(String)
    /// Stripe's own refusal.
    case refused(status: Int, code: String?, message: String, requestID: String?)

    /// There is no such object, or no longer.
    public var isMissing: Bool {
        if case .refused(let status, let code, _, _) = self {
            return code == "resource_missing" || (status == 404 && code == nil)
        }
        return false
    }

    /// Whether the same request may succeed later without anybody changing anything here: Stripe is away, slow,
    /// talks nonsense or has had too much. A bad key is of that kind too: it is repaired outside of the request.
    public var isPassing: Bool {
        switch self {
        case .unsent, .unreachable, .nonsense: true
        case .refused(let status, _, _, _): [401, 403, 409, 429].contains(status) || status >= 500
        }
    }

    public var description: String {
        switch self {
        case .unsent(let reason), .unreachable(let reason): "Stripe cannot be reached: \(reason)"
        case .nonsense(let reason): "Stripe sent an answer that makes no sense: \(reason)"
        case .refused(let status, let code, let message, let requestID):
            "Stripe refused (\(status)\(code.map { ", \($0)" } ?? "")): \(message)"
                + (requestID.map { ", request \($0)" } ?? "")
        }
    }
}
