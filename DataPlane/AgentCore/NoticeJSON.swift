import Core
import Wire

/// Notices for programs: one object a line. Names here are relied on by scripts: add, do not rename.
extension Notice {
    public var json: JSON {
        switch self {
        case .starting(let local): return event("starting", ["local": .string(local.description)])
        case .tunnelCreated(let hostname): return event("tunnel_created", ["address": .string(hostname)])
        case .regionChosen(let region, let time):
            var fields: JSONObject = ["region": .string(region)]
            if let time { fields["connect_ms"] = .integer(Int64(time.count)) }
            return event("region_chosen", fields)
        case .connecting(let relay): return event("connecting", ["relay": .string(relay)])
        case .ready(let address, let relay, let region, _):
            return event(
                "ready", ["address": .string(address), "relay": .string(relay), "region": .string(region)])
        case .migrated(let address, let relay, let lost):
            var fields: JSONObject = ["address": .string(address), "relay": .string(relay)]
            if let lost { fields["lost"] = .string(lost) }
            return event("migrated", fields)
        case .standbyUp(let relay): return event("standby", ["relay": .string(relay)])
        case .standbyLost(let relay, let reason):
            return event("standby_lost", ["relay": .string(relay), "reason": .string(reason)])
        case .reconnecting(let after, let reason):
            return event(
                "reconnecting", ["after_ms": .integer(Int64(after.count)), "reason": .string(reason)])
        case .playerJoined(let visit, let players): return event("player_joined", visit.json(players))
        case .playerLeft(let visit, let players, let stay):
            var fields = visit.json(players)
            fields["stay_ms"] = .integer(Int64(stay.count))
            return event("player_left", fields)
        case .localServerSilent(let local, let playerWaits):
            return event(
                "error",
                [
                    "code": "local_server_silent", "fatal": false, "player_waits": .bool(playerWaits),
                    "message": .string("nothing answers at \(local): is the Minecraft server running?"),
                ])
        case .localServerBack(let local):
            return event("local_server_back", ["local": .string(local.description)])
        case .asleep(let address, let idle_s, let canWake):
            return event(
                "asleep",
                [
                    "address": .string(address), "idle_s": idle_s.map { .integer(Int64($0)) } ?? .null,
                    "waits_for_enter": .bool(canWake),
                ])
        case .failed(let failure):
            return event(
                "error", ["code": .string(failure.code), "fatal": true, "message": .string(failure.text)])
        case .finishing(let players, let limit):
            return event(
                "finishing",
                ["players": .integer(Int64(players)), "at_most_s": .integer(Int64(limit.count / 1000))])
        case .stopping(let players): return event("stopping", ["players": .integer(Int64(players))])
        }
    }

    private func event(_ name: String, _ fields: JSONObject) -> JSON {
        var object: JSONObject = ["event": .string(name)]
        for (field, value) in fields.members { object[field] = value }
        return .object(object)
    }
}

extension Visit {
    fileprivate func json(_ players: Int) -> JSONObject {
        var fields: JSONObject = ["player": .string(player.description)]
        if let name { fields["name"] = .string(name) }
        fields["players"] = .integer(Int64(players))
        return fields
    }
}
