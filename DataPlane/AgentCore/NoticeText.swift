import Core
import Wire

/// Notices in plain words.
extension Notice {
    /// Lines for a terminal, each with its line end; empty for what only programs want to know.
    public var text: String {
        switch self {
        case .starting(let local): "Minecart brings players to the Minecraft server at \(local).\n"
        case .tunnelCreated(let hostname): "Made a new address for you: \(hostname)\n"
        case .regionChosen(let region, let time):
            if let time {
                "The nearest region is \(region) (\(time.words)).\n"
            } else {
                "The region is \(region).\n"
            }
        case .connecting(let relay): "Connecting to relay \(relay) ...\n"
        case .ready(let address, let relay, let region, let again):
            again
                ? "Connected again, through relay \(relay): players can join \(address).\n"
                : Self.block(address, relay, region)
        case .migrated(let address, let relay, let lost):
            if let lost {
                "Relay \(lost) went away; players now join through relay \(relay). The address stays \(address).\n"
            } else {
                "Moved to relay \(relay); the address stays \(address), and players stay connected.\n"
            }
        case .standbyUp, .standbyLost: ""
        case .reconnecting(let after, let reason): "Trying again \(Self.soon(after)): \(reason)\n"
        case .playerJoined(let visit, let players): "\(visit.shown) joined. \(Self.count(players)).\n"
        case .playerLeft(let visit, let players, let stay):
            "\(visit.shown) left after \(Self.span(stay)). \(Self.count(players)).\n"
        case .localServerSilent(let local, let playerWaits):
            (playerWaits ? "A player was turned away: " : "Warning: ")
                + "nothing answers at \(local): is the Minecraft server running?\n"
                + (playerWaits
                    ? "" : "  The address works all the same; players get in once the server runs.\n")
        case .localServerBack(let local): "The Minecraft server at \(local) answers again.\n"
        case .asleep(let address, let idle_s, let canWake):
            "Closed \(idle_s.map { "after \(Self.minutes($0)) without a player" } ?? "because nobody played"): "
                + "nobody can join \(address) now.\n"
                + (canWake
                    ? "  Press Enter to open it again, or Ctrl-C to end.\n"
                    : "  Start the agent again when you want to play.\n")
        case .failed(let failure): "Stopped: \(failure.text)\n"
        case .finishing(let players, let limit):
            (players == 1 ? "1 player plays" : "\(players) players play")
                + " on until they leave, for \(Self.span(limit)) at most. Ctrl-C ends at once.\n"
        case .stopping(let players):
            players == 0
                ? "Stopped.\n"
                : "Stopped; \(players == 1 ? "1 player was" : "\(players) players were") disconnected.\n"
        }
    }

    private static func block(_ address: String, _ relay: String, _ region: String) -> String {
        let rule = String(repeating: "-", count: max(40, address.utf8.count + 8))
        return """

            \(rule)
              Players join with this address:

                  \(address)
            \(rule)
            Connected through relay \(relay) in \(region). Ctrl-C stops it.


            """
    }

    private static func soon(_ time: Milliseconds) -> String {
        time.count < 1000 ? "at once" : "in \((time.count + 500) / 1000) s"
    }

    private static func count(_ players: Int) -> String {
        players == 1 ? "1 player is connected" : "\(players) players are connected"
    }

    private static func minutes(_ seconds: Int) -> String {
        switch seconds {
        case ..<120: "\(seconds) seconds"
        case ..<7200: "\(seconds / 60) minutes"
        default: "\(seconds / 3600) hours"
        }
    }

    private static func span(_ time: Milliseconds) -> String {
        let seconds = time.count / 1000
        switch seconds {
        case ..<60: return "\(seconds) s"
        case ..<3600: return "\(seconds / 60) min"
        default: return "\(seconds / 3600) h \(seconds % 3600 / 60) min"
        }
    }
}

extension Notice {
    /// Worth the time of day beside it.
    public var isMoment: Bool {
        switch self {
        case .connecting, .migrated, .reconnecting, .playerJoined, .playerLeft, .localServerSilent,
            .localServerBack, .asleep, .standbyUp, .standbyLost:
            true
        case .ready(_, _, _, let again): again
        case .starting, .tunnelCreated, .regionChosen, .failed, .finishing, .stopping: false
        }
    }
}

extension Milliseconds {
    /// A short time for people: `12 ms`.
    public var words: String { count == 0 ? "less than 1 ms" : "\(count) ms" }
}

extension ControlFailure {
    public var text: String {
        switch self {
        case .unreachable(let reason): "the control plane cannot be reached: \(reason)"
        case .refused(let refusal): "the control plane refused: \(refusal.detail)"
        case .unreadable(let reason): reason
        }
    }
}

extension Visit {
    /// The claimed name and where the player comes from.
    fileprivate var shown: String { name.map { "\($0) (\(player.host))" } ?? "A player from \(player.host)" }
}

extension AgentFailure {
    /// What happened and what to do.
    public var text: String {
        switch self {
        case .badKey:
            "the control plane does not accept this agent key: it was revoked, or belongs to another control plane. Make a new one in your account and start again with it."
        case .damagedKey:
            "the agent key is not whole: a character is missing or wrong. Copy it again, from mca_ to its end."
        case .forbidden(let detail): detail
        case .nameTaken(let label, let detail):
            "the name \"\(label)\" cannot be had: \(detail) Try another --name."
        case .severalTunnels(let tunnels):
            "you have several tunnels; say which one to serve:\n"
                + tunnels.map { "    --name \($0.label) --region \($0.region)   (\($0.hostname))" }.joined(
                    separator: "\n")
        case .unknownRegion(let region, let known):
            "there is no region \"\(region)\"; there are: \(known.joined(separator: ", "))."
        case .noRegions: "the control plane knows no region where a tunnel could be made."
        case .tunnelGone(let address):
            "the tunnel \(address) is not there any more: it was deleted, or belongs to another account. Start again without --name for another one."
        case .replaced(let address):
            "another agent now serves \(address), and the newest one wins. If that was not you, replace your agent key."
        case .revoked(let address):
            "\(address) may not be served any more: the agent key, the tunnel or the account was ended or suspended."
        case .refused(let detail): "the control plane refused: \(detail)"
        case .local(let text): text
        }
    }
}
