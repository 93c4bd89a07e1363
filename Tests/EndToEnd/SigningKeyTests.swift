import Core
import Testing

extension Broken {
    /// The keys change while everything runs; afterwards a relay that restarts in an outage believes the new ones.
    @Test func keysRotateAndAreKnownAfterARestartInAnOutage() async throws {
        try await withFleet(keysInDatabase: true) { fleet in
            let home = try HomeServer()
            let (_, _, first) = try fleet.newTunnel(home: home)
            let player = try Player.join(port: first.port, first.hostname)
            let operators = fleet.secrets.operatorKey
            func keys() throws -> [String: String] {
                let list = try fleet.call("GET", "/v1/ops/signing-keys", key: operators, expect: 200)
                return (list["data"]?.arrayValue ?? []).reduce(into: [:]) { states, key in
                    states[key["kid"]?.stringValue ?? ""] = key["state"]?.stringValue
                }
            }
            let made = try fleet.call("POST", "/v1/ops/signing-keys", key: operators, expect: 201)
            let kid = try #require(made["kid"]?.stringValue)
            try eventually("the new key signs") { try keys()[kid] == "signing" }
            try #require(try keys().count == 2)

            // Tokens, tickets and assignments of the new key are good everywhere; who plays plays on.
            let (_, agent, second) = try fleet.newTunnel(home: home)
            try Player.join(port: second.port, second.hostname).echo()
            try player.echo()

            try fleet.stopControl()
            let told = agent.events.count
            _ = try fleet.restart(second.relay)
            let again = try agent.waitForTunnel(after: told)
            try Player.join(port: again.port, again.hostname).echo()
        }
    }
}
