import CLinux
import Core
import Support
import Testing

extension Broken {
    /// From the claim to the player, with a name server that is gone for part of it.
    @Test func aPlayerJoinsByTheCustomersOwnName() async throws {
        let zone = "customer.example"
        let names = try PrivateNameServer(zones: [zone: ""])
        try await withFleet(nameServer: names) { fleet in
            let home = try HomeServer()
            let (account, _, tunnel) = try fleet.newTunnel(home: home)
            let list = try fleet.call("GET", "/v1/tunnels", key: account.key, expect: 200)
            guard let id = list["data"]?.arrayValue?.first?["id"]?.stringValue else {
                throw Trouble("there is no tunnel: \(list.text)")
            }
            let operators = fleet.secrets.operatorKey
            let rows = try fleet.call("GET", "/v1/ops/tunnels", key: operators, expect: 200)
            guard let owner = rows["data"]?.arrayValue?.first?["account_id"]?.stringValue else {
                throw Trouble("there is no account: \(rows.text)")
            }
            func move(to plan: JSON) throws {
                _ = try fleet.call(
                    "PUT", "/v1/ops/accounts/\(owner)/plan", key: operators, ["plan": plan], expect: 200)
            }
            let name = "play.\(zone)"
            let domains = "/v1/tunnels/\(id)/domains"
            try #require(
                try fleet.ask("POST", domains, key: account.key, ["hostname": .string(name)]).status == 403)
            try move(to: "plus")
            let made = try fleet.call(
                "POST", domains, key: account.key, ["hostname": .string(name)], expect: 201)
            guard let domain = made["id"]?.stringValue,
                let value = made["records"]?["proof"]?["value"]?.stringValue
            else { throw Trouble("the records are missing: \(made.text)") }
            try #require(try Player.kick(port: tunnel.port, name).contains(name))

            // The control plane looks by itself, but somebody who waits need not.
            try eventually("the name is proven") {
                try names.replace(zone, "_minecart.play TXT \"\(value)\"")
                let shown = try fleet.call("GET", "\(domains)/\(domain)", key: account.key, expect: 200)
                if shown["served"] == true { return true }
                usleep(2_000_000)
                return try fleet.call(
                    "POST", "\(domains)/\(domain)/check", key: account.key, expect: 200)["result"] == "proven"
            }
            func expectJoins(_ what: String) throws {
                try eventuallyWorks("a player joins by the own name \(what)") {
                    for spelling in [name, name.uppercased() + ".", "\(name):25565\0FML2\0"] {
                        let player = try Player.join(port: tunnel.port, spelling)
                        try player.echo()
                        try player.leave()
                    }
                }
            }
            func expectUnknown(_ what: String) throws {
                try eventually("the name leads nowhere \(what)") {
                    do {
                        try Player.join(port: tunnel.port, name).leave()
                        return false
                    } catch {
                        return "\(error)".contains("kicked")
                    }
                }
                // Its other name is not concerned.
                let status = try Player.ping(port: tunnel.port, tunnel.hostname)
                guard status == home.status else { throw Trouble("the status is \(status)") }
            }
            try expectJoins("after its proof")
            let playing = try Player.join(port: tunnel.port, name)
            names.end()
            let check = try fleet.call(
                "POST", "\(domains)/\(domain)/check", key: account.key, expect: 200)
            try #require(check["result"] == "unavailable")
            try #require(check["domain"]?["served"] == true)
            try expectJoins("while the name server is gone")

            try move(to: "free")
            try expectUnknown("on a plan without own domains")
            try playing.echo()
            try move(to: "plus")
            try expectJoins("after the upgrade")
            try #require(
                try fleet.ask("DELETE", "\(domains)/\(domain)", key: account.key).status == 204)
            try expectUnknown("after its detachment")
            try playing.echo()
            try playing.leave()
        }
    }
}
