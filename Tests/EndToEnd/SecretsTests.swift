import Core
import Crypto
import Support
import Testing

extension Broken {
    @Test func noSecretInALogOrProcessList() async throws {
        try await withFleet(relays: ["eu", "eu"]) { fleet in
            let home = try HomeServer()
            let account = try fleet.signUp()
            // The three ways to give an agent its key.
            let byArgument = try fleet.startAgent(
                ["--local", "127.0.0.1:\(home.port)", "--region", "eu", "--key", account.agentKey],
                environment: [:])
            _ = try byArgument.waitForTunnel()
            try #require(!byArgument.part.visible.contains(account.agentKey))
            let byAttachedArgument = try fleet.startAgent(
                ["--local=127.0.0.1:\(home.port)", "--region=eu", "--key=\(account.agentKey)"],
                environment: [:])
            _ = try byAttachedArgument.waitForTunnel()
            try #require(!byAttachedArgument.part.visible.contains(account.agentKey))
            let byEnvironment = try fleet.startAgent(account, home: home.port)
            let tunnel = try byEnvironment.waitForTunnel()

            // A link of a mail: its page, then its click.
            let link = try fleet.mailedLink(to: account.email)
            let token = String(try #require(link.split(separator: "=").last))
            try #require(link == "http://localhost:\(fleet.controlPort)/v1/pages/verify#token=\(token)")
            try #require(try fleet.ask("GET", "/v1/pages/verify", key: nil).status == 200)
            _ = try fleet.call("POST", "/v1/users/verify", key: nil, ["token": .string(token)], expect: 200)

            // What fails talks most.
            let player = try Player.join(port: tunnel.port, tunnel.hostname)
            try player.echo()
            _ = try fleet.ask("GET", "/v1/tunnels", key: String(account.agentKey.dropLast()))
            _ = try fleet.ask(
                "POST", "/v1/sessions", key: nil, ["email": "a@b.example", "password": "wrong-one"])
            _ = try fleet.ask("POST", "/v1/tunnels", key: account.key, ["secret": .string(account.password)])
            fleet.redis.halt()
            try eventually("a relay misses Redis") {
                fleet.relays.contains { $0.part.log.contains("Redis is away") }
            }
            try fleet.redis.resume()
            try fleet.stopControl()
            try eventually("a relay misses the control plane", within: patience) {
                fleet.relays.contains { $0.part.log.contains("from the control plane") }
            }
            try fleet.startControl()
            let refresh = try fleet.call(
                "POST", "/v1/sessions/refresh", key: nil, ["refresh_token": .string(account.refreshToken)],
                expect: 200)

            let secrets = fleet.secrets
            var all = [
                "mail's token": token, "agent key": account.agentKey, "password": account.password,
                "access token": account.key,
                "refresh token": account.refreshToken, "signing key": secrets.signingKey,
                "operator key": secrets.operatorKey, "database password": secrets.databasePassword,
                "control plane's Redis password": secrets.controlRedisPassword,
                "relays' Redis password": secrets.relayRedisPassword,
                "new refresh token": try #require(refresh["refresh_token"]?.stringValue),
                // Every JWT begins so, tickets and signed assignments among them.
                "some token": "eyJ",
            ]
            for relay in fleet.relays { all["key of \(relay.id)"] = relay.key }
            for part in fleet.parts {
                try #require(part.end != nil || !part.visible.isEmpty)
                for (place, text) in [
                    ("log", part.log), ("output", part.output), ("process list", part.visible),
                ] {
                    for (name, secret) in all {
                        let isHidden = !text.contains(secret)
                        try #require(isHidden, "\(name) stands in \(part.name)'s \(place)")
                    }
                }
            }
        }
    }
}
