import CLinux
import Core
import Testing

extension Broken {
    /// Promise: whom an operator drains loses its tunnels to the others, and nobody who plays is dropped.
    @Test func anOperatorsDrainMovesTunnelsAndDropsNobody() async throws {
        try await withFleet(relays: ["eu", "eu", "eu"]) { fleet in
            let home = try HomeServer()
            let (_, agent, tunnel) = try fleet.newTunnel(home: home)
            let standby = try agent.standby()
            let player = try Player.join(port: tunnel.port, tunnel.hostname)
            try player.echo()
            try eventually("the control plane knows both links") {
                try fleet.placements(of: tunnel.relay, "owner_linked") == 1
                    && fleet.placements(of: standby, "standby_linked") == 1
            }

            _ = try fleet.call(
                "POST", "/v1/ops/relays/\(tunnel.relay.id)/drain", key: fleet.secrets.operatorKey, expect: 200
            )
            try eventually("the tunnel is elsewhere, with its agent's links") {
                let place = try fleet.place(of: tunnel.hostname)
                guard let owner = place["relay_id"]?.stringValue,
                    let second = place["standby_relay_id"]?.stringValue,
                    ![owner, second].contains(tunnel.relay.id), place["state"]?.stringValue == "online"
                else { return false }
                return try fleet.placements(of: fleet.relay(owner), "owner_linked") == 1
                    && fleet.placements(of: fleet.relay(second), "standby_linked") == 1
            }
            for relay in fleet.relays where relay.id != tunnel.relay.id {
                try Player.join(port: relay.port, tunnel.hostname).echo()
            }
            try player.echo(100_000)
            try #require(!agent.events.contains { $0["event"]?.stringValue == "reconnecting" })
        }
    }
}

extension Fleet {
    /// One of the counts that operators see beside a relay.
    fileprivate func placements(of relay: Relay, _ count: String) throws -> Int64 {
        try operatorsView(of: relay)["placements"]?[count]?.integerValue ?? -1
    }

    /// A tunnel as operators see it.
    fileprivate func place(of hostname: String) throws -> JSON {
        let list = try call(
            "GET", "/v1/ops/tunnels?hostname=\(hostname)", key: secrets.operatorKey, expect: 200)
        return list["data"]?.arrayValue?.first ?? .null
    }
}
