import Store
import Stripe

/// The key is for another mode than the events: nothing can be read again with it.
struct WrongStripeMode: Error, CustomStringConvertible {
    let keyIsLive: Bool

    var description: String {
        """
        the event is of \(keyIsLive ? "test" : "live") mode, but STRIPE_SECRET_KEY is of \
        \(keyIsLive ? "live" : "test") mode
        """
    }
}

/// Why an event could not be worked on, and what is done with it.
enum StripeTrouble: Sendable, Hashable {
    /// Stripe or the database is away, slow, or talks nonsense: nobody's fault, waited out for as long as it takes.
    case away
    /// What is set up here is wrong: waited out too, until somebody repairs it.
    case misconfigured
    /// It goes wrong by itself: some time it is given up and kept for people to look at.
    case own

    private static let maxStrikes = 20
    private static let longestPauses_s = (away: 60, misconfigured: 600, own: 3600)

    init(_ error: any Error) {
        switch error {
        case let error as StripeError: self = error.isPassing ? .away : .own
        case is UnknownStripeCustomer: self = .own
        case is WrongStripeMode: self = .misconfigured
        case StoreError.unavailable: self = .away
        default: self = .own
        }
    }

    var isStrike: Bool { self == .own }

    func isHopeless(after strikes: Int) -> Bool { isStrike && strikes >= Self.maxStrikes }

    /// `tries` were made before this one.
    func pause_s(after tries: Int) -> Int {
        let longest =
            switch self {
            case .away: Self.longestPauses_s.away
            case .misconfigured: Self.longestPauses_s.misconfigured
            case .own: Self.longestPauses_s.own
            }
        return min(1 << min(max(tries, 0), 12), longest)
    }

    static func checkMode(of event: StripeEvent, key isLive: Bool?) throws(WrongStripeMode) {
        if let isLive, let eventIsLive = event.isLive, isLive != eventIsLive {
            throw WrongStripeMode(keyIsLive: isLive)
        }
    }
}
