import Core
import Crypto

/// How those who try wrong passwords are slowed down: some tries are free, each further one makes the next wait,
/// doubling. Strikes are forgotten one by one.
public struct StrikePolicy: Sendable, Hashable {
    public var name: String
    public var free: Int
    public var firstPause_ms: Int
    public var maxPause_ms: Int
    /// After so long one strike is forgotten.
    public var decay_ms: Int

    public init(_ name: String, free: Int, firstPause_ms: Int = 1000, maxPause_ms: Int, decay_ms: Int) {
        self.name = name
        self.free = free
        self.firstPause_ms = firstPause_ms
        self.maxPause_ms = maxPause_ms
        self.decay_ms = decay_ms
    }

    /// What the try that makes `count` costs: from then on nobody may try for so long.
    func pause_ms(count: Int) -> Int {
        count < free ? 0 : min(maxPause_ms, firstPause_ms << min(count - free, 16))
    }

    /// As a quota of free tries.
    public var policyField: String { "\"\(name)\";q=\(free);w=\(free * decay_ms / 1000)" }
    public func field(wait_s: Int) -> String { "\"\(name)\";r=0;t=\(wait_s)" }
}

/// The three things that are counted for one try: the address with this account, the address with any account, the
/// account from any address. Addresses from which the account was signed in to before are exempt from the last, so
/// that strangers cannot lock an owner out.
public struct SignInPolicies: Sendable, Hashable {
    public var pair: StrikePolicy
    public var network: StrikePolicy
    public var account: StrikePolicy
    /// How long a network is known to an account after a sign-in.
    public var known_ms: Int

    public init(pair: StrikePolicy, network: StrikePolicy, account: StrikePolicy, known_ms: Int) {
        self.pair = pair
        self.network = network
        self.account = account
        self.known_ms = known_ms
    }

    public static let standard = SignInPolicies(
        pair: StrikePolicy("wrong-passwords", free: 5, maxPause_ms: 60_000, decay_ms: 180_000),
        network: StrikePolicy("wrong-passwords-of-address", free: 100, maxPause_ms: 60_000, decay_ms: 6000),
        account: StrikePolicy("wrong-passwords-of-account", free: 20, maxPause_ms: 60_000, decay_ms: 60_000),
        known_ms: 30 * 24 * 3_600_000)

    public var all: [StrikePolicy] { [pair, network, account] }
}

/// Who tries from where, as it may be kept elsewhere: the address is hashed.
public struct SignInSubject: Sendable, Hashable {
    /// Of what is counted, in the order of `SignInPolicies.all`.
    public let keys: [String]
    /// Of whether the network is known to the account.
    public let knownKey: String

    /// `network` stands for a client's address: an IPv4 address or a /64 of IPv6.
    public init(email: String, network: String) {
        let digest = Base64URL.encode(Array(SHA256.hash(Array(email.lowercased().utf8)).prefix(16)))
        keys = ["signin:pair:\(digest):\(network)", "signin:network:\(network)", "signin:account:\(digest)"]
        knownKey = "signin:known:\(digest):\(network)"
    }
}

public enum SignInVerdict: Sendable, Hashable {
    /// The try is counted. `isKnown` when it was not counted for the account.
    case pass(isKnown: Bool)
    case wait(ms: Int, StrikePolicy)
}

/// How a try that was counted ended.
public enum SignInEnd: Sendable, Hashable {
    case rightPassword
    /// Nobody looked at the password.
    case unchecked
}

/// Decides who may try a password now, and counts each try before the password is looked at, so that tries at the
/// same time count as well as tries in turn. `RedisSignIns` does the same in Redis. Pure; times are milliseconds of
/// any clock.
public struct SignInGuard: Sendable {
    struct Strikes: Sendable, Hashable {
        var count = 0
        /// Since when the oldest strike counts.
        var since_ms: Int
        /// Nobody may try before.
        var next_ms = 0

        mutating func forget(_ policy: StrikePolicy, now_ms: Int) {
            let lost = max(0, now_ms - since_ms) / policy.decay_ms
            if lost >= count {
                count = 0
                since_ms = now_ms
            } else {
                count -= lost
                since_ms += lost * policy.decay_ms
            }
        }
    }

    private let policies: SignInPolicies
    private var strikes: [String: Strikes] = [:]
    private var knownUntil_ms: [String: Int] = [:]
    private let maxRecords: Int

    public init(_ policies: SignInPolicies = .standard, maxRecords: Int = 50_000) {
        self.policies = policies
        self.maxRecords = maxRecords
    }

    public var count: Int { strikes.count }

    public mutating func attempt(_ subject: SignInSubject, now_ms: Int) -> SignInVerdict {
        let isKnown = knownUntil_ms[subject.knownKey].map { $0 > now_ms } ?? false
        let counted = Array(zip(subject.keys, policies.all).prefix(isKnown ? 2 : 3))
        var states: [Strikes] = []
        var worst: (wait_ms: Int, policy: StrikePolicy)?
        for (key, policy) in counted {
            var state = strikes[key] ?? Strikes(since_ms: now_ms)
            state.forget(policy, now_ms: now_ms)
            let wait_ms = state.next_ms - now_ms
            if wait_ms > worst?.wait_ms ?? 0 { worst = (wait_ms, policy) }
            states.append(state)
        }
        if let worst { return .wait(ms: worst.wait_ms, worst.policy) }
        if strikes.count >= maxRecords { makeRoom(now_ms) }
        for (index, (key, policy)) in counted.enumerated() {
            var state = states[index]
            state.count += 1
            let pause_ms = policy.pause_ms(count: state.count)
            if pause_ms > 0 { state.next_ms = now_ms + pause_ms }
            strikes[key] = state
        }
        return .pass(isKnown: isKnown)
    }

    /// Gives back what `attempt` counted.
    public mutating func end(_ subject: SignInSubject, _ end: SignInEnd, wasKnown: Bool, now_ms: Int) {
        var given = Array(zip(subject.keys, policies.all).prefix(wasKnown ? 2 : 3))
        if end == .rightPassword {
            know(subject, now_ms: now_ms)
            given.removeFirst()
        }
        for (key, policy) in given {
            guard var state = strikes[key] else { continue }
            state.forget(policy, now_ms: now_ms)
            state.count = max(0, state.count - 1)
            if state.count < policy.free { state.next_ms = 0 }
            strikes[key] = state.count == 0 ? nil : state
        }
    }

    /// The account was signed in to from the network just now.
    public mutating func know(_ subject: SignInSubject, now_ms: Int) {
        strikes[subject.keys[0]] = nil
        if knownUntil_ms.count >= maxRecords { knownUntil_ms = [:] }
        knownUntil_ms[subject.knownKey] = now_ms + policies.known_ms
    }

    private mutating func makeRoom(_ now_ms: Int) {
        let longest_ms = policies.all.map(\.decay_ms).max() ?? 0
        strikes = strikes.filter { $0.value.next_ms > now_ms || now_ms - $0.value.since_ms < longest_ms }
        // A flood of strangers: those who wait stay, the others' free tries begin anew.
        if strikes.count >= maxRecords { strikes = strikes.filter { $0.value.next_ms > now_ms } }
        if strikes.count >= maxRecords { strikes = [:] }
    }
}
