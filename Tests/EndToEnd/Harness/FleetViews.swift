import Core
import Crypto

/// What the failure gates look at and do besides playing.
extension Fleet {
    /// Waits until every relay has told the same revision and digest of the region.
    func waitUntilRelaysAgree() throws {
        try eventually("all relays have the same copy of the region", within: .minutes(1)) {
            let copies = try relays.filter { $0.part.end == nil }.map { relay in
                let load = try operatorsView(of: relay)["load"]
                return "\(load?["rev"]?.text ?? "") \(load?["digest"]?.text ?? relay.id)"
            }
            return Set(copies).count == 1
        }
    }

    /// 1 while the control plane at this port leads.
    func leads(port: Int) throws -> Bool {
        let text = try WebAnswer.ask(port: port, "GET", "/metrics", within: .seconds(5)).text
        return text.split(separator: "\n").contains { $0.hasPrefix("minecart_leader ") && $0.hasSuffix(" 1") }
    }

    /// An account whose plan has no limits, made by an operator, with tunnels that nobody serves.
    func newPlaces(_ count: Int) throws -> (agentKey: String, tunnels: [String]) {
        let made = try call(
            "POST", "/v1/ops/accounts", key: secrets.operatorKey,
            [
                "email": .string("\(Self.password().lowercased())@example.com"),
                "password": .string(Self.password()), "plan": "unlimited",
            ], expect: 201)
        guard let key = made["api_key"]?.stringValue, let agentKey = made["agent_key"]?.stringValue else {
            throw Trouble("the operator got no keys")
        }
        let tunnels = try (0..<count).map { _ in
            let tunnel = try call("POST", "/v1/tunnels", key: key, ["region": "eu"], expect: 201)
            return tunnel["id"]?.stringValue ?? ""
        }
        return (agentKey, tunnels)
    }

    /// A placement for a session that nobody has had.
    @discardableResult
    func place(_ tunnel: String, _ agentKey: String, port: Int? = nil) throws -> JSON {
        let answer = try WebAnswer.ask(
            port: port ?? controlPort, "POST", "/v1/tunnels/\(tunnel)/placements", key: agentKey,
            ["session": .string("ses_" + Self.password())])
        guard answer.status == 201 else { throw Trouble("no placement: \(answer.status) \(answer.text)") }
        return answer.json
    }

    /// Delivers a Stripe event as Stripe does; the status of the answer.
    func deliver(event id: String) throws -> Int {
        let event: JSON = [
            "id": .string(id), "object": "event", "type": "customer.updated",
            "data": ["object": ["id": "cus_1", "object": "customer"]],
        ]
        let now = WallTime.now().seconds
        let tag = HMACSHA256.authenticate(
            Array("\(now).".utf8) + event.bytes, key: Array(secrets.stripeWebhookSecret.utf8))
        return try WebAnswer.ask(
            port: controlPort, "POST", "/v1/webhooks/stripe", event,
            headers: ["Stripe-Signature": "t=\(now),v1=\(Hex.encode(tag))"]
        ).status
    }
}
