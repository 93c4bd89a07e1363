import Core
import Crypto
import Testing

extension Whole {
    @Test func theAgentSaysWhatToDoWhenTheLocalServerIsDown() async throws {
        try await withFleet { fleet in
            let account = try fleet.signUp()
            let port = try SilentPort()
            let agent = try fleet.startAgent(account, home: port.number, ["--region", "eu"])
            let word = try agent.event("error")
            let sentence = "nothing answers at 127.0.0.1:\(port.number): is the Minecraft server running?"
            try #require(word["message"]?.stringValue == sentence)
            try #require(word["fatal"]?.boolValue == false)
            // The tunnel is up all the same, and players read what is wrong.
            let ready = try agent.event("ready")
            let hostname = try #require(ready["address"]?.stringValue)
            let relay = try fleet.relay(try #require(ready["relay"]?.stringValue))
            try eventually("players are told", within: .seconds(5)) {
                try Player.kick(port: relay.port, hostname).contains("its Minecraft server is not running")
            }
            try #require(
                try Player.ping(port: relay.port, hostname).contains("its Minecraft server is not running"))
            try #require(agent.part.end == nil)
        }
    }

    @Test func theAgentSaysWhatToDoWhenTheKeyIsWrong() async throws {
        try await withFleet { fleet in
            let home = try HomeServer()
            let arguments = ["--local", "127.0.0.1:\(home.port)", "--region", "eu"]
            let unknown = TypedKey.generate(prefix: .agent).text
            for (key, code, hint) in [
                (unknown, "bad_key", "Make a new one"),
                (String(unknown.dropLast()), "bad_key", "Copy it again"),
            ] {
                let agent = try fleet.startAgent(arguments, environment: ["MINECART_KEY": key])
                try #require(try agent.part.waitForEnd() == .code(1))
                let word = try agent.event("error")
                try #require(word["code"]?.stringValue == code)
                try #require(word["message"]?.stringValue?.contains(hint) == true)
                try #require(!agent.part.output.contains(key))
            }
            let agent = try fleet.startAgent(arguments, environment: [:])
            try #require(try agent.part.waitForEnd() == .code(2))
            try #require(agent.part.log.contains("--key-file"))
        }
    }

    @Test func theAgentSendsNoKeyInTheClearToAnotherMachine() async throws {
        try await withFleet { fleet in
            let agent = try fleet.startAgent(
                ["--control", "http://api.example.com"],
                environment: ["MINECART_KEY": TypedKey.generate(prefix: .agent).text])
            try #require(try agent.part.waitForEnd() == .code(2))
            try #require(agent.part.log.contains("use https://"))
        }
    }

    @Test func theAgentSaysWhatToDoWhenTheRegionOrNameIsNoneOfTheAccounts() async throws {
        try await withFleet { fleet in
            let account = try fleet.signUp()
            let home = try HomeServer()
            let agent = try fleet.startAgent(account, home: home.port, ["--region", "mars"])
            try #require(try agent.part.waitForEnd() == .code(1))
            let word = try agent.event("error")
            try #require(word["code"]?.stringValue == "unknown_region")
            try #require(word["message"]?.stringValue?.contains("eu, us") == true)
            // A chosen name needs a plan that has them.
            let named = try fleet.startAgent(
                account, home: home.port, ["--region", "eu", "--name", "my-castle"])
            try #require(try named.part.waitForEnd() == .code(1))
            try #require(try named.event("error")["code"]?.stringValue == "not_allowed")
        }
    }

    @Test func theAgentSaysThatTheControlPlaneIsAwayAndKeepsTrying() async throws {
        try await withFleet { fleet in
            let account = try fleet.signUp()
            let port = try SilentPort()
            let agent = try fleet.startAgent(
                account, home: 25565, ["--control", "http://127.0.0.1:\(port.number)"])
            let first = try agent.event("reconnecting")
            try #require(first["reason"]?.stringValue?.contains("control plane cannot be reached") == true)
            try agent.event("reconnecting", after: agent.events.count)
            try #require(try agent.part.stop() == .code(0))
        }
    }
}
