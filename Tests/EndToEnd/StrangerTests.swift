import Core
import Crypto
import Testing

extension Whole {
    @Test func anUnknownCallerLearnsNothing() async throws {
        try await withFleet { fleet in
            let home = try HomeServer()
            let (owner, _, tunnel) = try fleet.newTunnel(home: home)
            let id = try owner.tunnel(fleet, tunnel.hostname)
            let stranger = try fleet.signUp()

            // Another account's tunnel and one that does not exist look alike.
            let nobodys = "tun_" + Fleet.password().prefix(22)
            let session: JSON = ["session": .string("ses_" + Fleet.password().prefix(22))]
            for (method, suffix, key, body) in [
                ("GET", "", stranger.key, nil), ("DELETE", "", stranger.key, nil),
                ("GET", "", stranger.agentKey, nil),
                ("POST", "/placements", stranger.agentKey, session),
            ] as [(String, String, String, JSON?)] {
                let real = try fleet.ask(method, "/v1/tunnels/\(id)\(suffix)", key: key, body)
                let none = try fleet.ask(method, "/v1/tunnels/\(nobodys)\(suffix)", key: key, body)
                try #require(real.status == 404)
                try #require(real.saidOfNobody == none.saidOfNobody, "\(method) \(suffix)")
            }
            let others = try fleet.ask("DELETE", "/v1/agent-keys/\(owner.agentKeyID)", key: stranger.key)
            let none = try fleet.ask(
                "DELETE", "/v1/agent-keys/agk_\(Fleet.password().prefix(22))", key: stranger.key)
            try #require(others.status == 404 && others.saidOfNobody == none.saidOfNobody)
            let list = try fleet.call("GET", "/v1/tunnels", key: stranger.key, expect: 200)
            try #require(list["data"]?.arrayValue?.isEmpty == true)

            // Every credential that is not good gets the same answer.
            let bad = [
                nil, "nonsense", TypedKey.generate(prefix: .agent).text,
                TypedKey.generate(prefix: .account).text,
                TypedKey.generate(prefix: .operator).text, String(owner.agentKey.dropLast()),
                String(owner.key.dropLast(2)), String(repeating: "a", count: 4000),
            ]
            var answers: Set<String> = []
            for key in bad {
                let answer = try fleet.ask("GET", "/v1/tunnels", key: key)
                try #require(answer.status == 401)
                answers.insert(answer.saidOfNobody)
            }
            try #require(answers.count == 1)
            // A good key of the wrong kind opens nothing.
            for key in [owner.key, owner.agentKey, fleet.relays[0].key] {
                let answer = try fleet.ask("GET", "/v1/ops/tunnels", key: key)
                try #require([401, 403, 404].contains(answer.status))
                try #require(!answer.text.contains(tunnel.hostname))
            }
            try #require(home.logins.isEmpty)
        }
    }

    @Test func nobodyLearnsWhoHasAnAccount() async throws {
        try await withFleet { fleet in
            let account = try fleet.signUp()
            let unknown = "\(Fleet.password().lowercased())@example.com"
            let password = Fleet.password()
            func ask(_ path: String, _ email: String) throws -> WebAnswer {
                try fleet.ask(
                    "POST", path, key: nil, ["email": .string(email), "password": .string(password)])
            }
            let known = try ask("/v1/sessions", account.email)
            let other = try ask("/v1/sessions", unknown)
            try #require(known.status == 401 && known.saidOfNobody == other.saidOfNobody)
            let again = try ask("/v1/users", account.email)
            let first = try ask("/v1/users", unknown)
            try #require(again.status == 202 && again.saidOfNobody == first.saidOfNobody)
            // Signing up again has not changed the password.
            try #require(try ask("/v1/sessions", account.email).status == 401)
        }
    }

    @Test func aNameThatNobodyHasGetsAReadableAnswer() async throws {
        try await withFleet { fleet in
            let port = fleet.relays[0].port
            for name in [
                "nobody-here.eu.\(Fleet.baseDomain)", "example.com", "nobody-here.us.\(Fleet.baseDomain)",
            ] {
                let status = try Player.ping(port: port, name)
                try #require(try JSON.parse(status)["description"] != nil)
                try #require(status.contains("No server is called"))
                try #require(try Player.kick(port: port, name).contains("No server is called"))
            }
        }
    }

    /// From loopback without a proxy in between anybody may look; what came through a proxy may not.
    @Test func metricsAreNotForStrangers() async throws {
        try await withFleet { fleet in
            for port in [fleet.controlPort] + fleet.relays.map(\.httpPort) {
                try #require(try WebAnswer.ask(port: port, "GET", "/metrics").status == 200)
                let connection = try Connection(to: port)
                try connection.send(
                    Array(
                        "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 127.0.0.1\r\nConnection: close\r\n\r\n"
                            .utf8))
                let answer = String(decoding: try connection.receiveToEnd(), as: UTF8.self)
                try #require(!answer.hasPrefix("HTTP/1.1 2"))
                try #require(!answer.contains("minecart_"))
            }
        }
    }
}

extension WebAnswer {
    /// The answer without what differs from call to call for everybody.
    fileprivate var saidOfNobody: String {
        guard var object = json.objectValue else { return "\(status) \(text)" }
        object["instance"] = nil
        object["request_id"] = nil
        return "\(status) \(JSON.object(object).text)"
    }
}
