import Core
import Wire

/// Players of one tunnel at other relays, as the relay that lets them in has to count them: what each relay reported
/// last, and those let in since, whom no report can cover yet. A relay that falls silent or is gone counts no more.
public struct RemotePlayers: Sendable {
    private struct Elsewhere: Sendable {
        var players = 0
        var heardAt: Instant
    }

    private struct Admission: Sendable {
        let relay: String
        let until: Instant
    }

    /// By relay id.
    private var relays: [String: Elsewhere] = [:]
    private var admissions: [Nonce: Admission] = [:]

    /// A relay reports each second, also when nothing changes.
    static let silence = Milliseconds.seconds(6)
    /// A relay reports within a second of hearing that a player may come, or it never heard.
    static let admission = Milliseconds.seconds(5)
    /// More than any relay has descriptors for: who claims more is mistaken, and sums stay small.
    static let mostPlayers = 1_000_000
    /// Let in and not reported yet, all relays together.
    static let mostAdmissions = 1024

    public init() {}

    /// Everybody who plays or is about to at another relay.
    public var logins: Int { relays.values.reduce(admissions.count) { $0 + $1.players } }

    public var isEmpty: Bool { relays.isEmpty && admissions.isEmpty }

    /// Whether no more can be let in until reports come.
    public var isCrowded: Bool { admissions.count >= Self.mostAdmissions }

    /// `players` at `relay` now, those it was told to let in included as far as it knew.
    public mutating func reported(_ players: Int, at relay: String, now: Instant) {
        let usable = min(max(0, players), Self.mostPlayers)
        relays[relay] = usable == 0 ? nil : Elsewhere(players: usable, heardAt: now)
    }

    /// A player may come at `relay`. Whoever asks twice about the same nonce is one player.
    public mutating func admit(_ nonce: Nonce, at relay: String, now: Instant) {
        guard admissions[nonce] != nil || !isCrowded else { return }
        admissions[nonce] = Admission(relay: relay, until: now + Self.admission)
    }

    public func isAdmitted(_ nonce: Nonce) -> Bool { admissions[nonce] != nil }

    /// Reports of `relay` from now on cover these: it had heard of them when it made the last one.
    public mutating func settled(_ nonces: [Nonce], at relay: String) {
        for nonce in nonces where admissions[nonce]?.relay == relay { admissions[nonce] = nil }
    }

    /// The connection to that relay is gone, and most likely the relay is.
    public mutating func forget(_ relay: String) {
        relays[relay] = nil
        admissions = admissions.filter { $0.value.relay != relay }
    }

    /// When `expire` has something to do; nil for never.
    public var nextDue: Instant? {
        let silent = relays.values.lazy.map { $0.heardAt + Self.silence }.min()
        let unheard = admissions.values.lazy.map(\.until).min()
        return [silent, unheard].compactMap { $0 }.min()
    }

    public mutating func expire(now: Instant) {
        guard let nextDue, nextDue <= now else { return }
        relays = relays.filter { $0.value.heardAt + Self.silence > now }
        admissions = admissions.filter { $0.value.until > now }
    }
}
