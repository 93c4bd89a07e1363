import Core
import IO
import Testing

@testable import App

@Suite struct NameServerConfigurationTests {
    private func read(_ servers: String?) throws(SettingsError) -> Configuration {
        var environment = [
            "DATABASE_URL": "postgres://u:p@db/minecart", "REDIS_URL": "redis://cache",
            "BASE_DOMAIN": "dvv.one", "SIGNING_KEY": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        ]
        environment["DNS_SERVERS"] = servers
        var settings = Settings(environment: environment)
        return try Configuration(&settings)
    }

    @Test func nameServersAreThoseThatAreListedOrThoseOfTheMachine() throws {
        let listed = try read("9.9.9.9, [2620:fe::fe]:5353").nameServers
        #expect(listed.map(\.host) == ["9.9.9.9", "2620:fe::fe"])
        #expect(listed.map(\.port) == [53, 5353])
        #expect(try !read(nil).nameServers.isEmpty)
    }

    @Test(arguments: ["dns.example", "9.9.9.9,", "127.0.0.1:0"])
    func whatIsNoAddressIsNamed(_ text: String) {
        do throws(SettingsError) {
            _ = try read(text)
            Issue.record("taken")
        } catch {
            #expect(error.problems.count == 1)
            #expect(error.problems.filter { !$0.hasPrefix("DNS_SERVERS") }.isEmpty)
        }
    }
}
