import API
import Core
import Crypto
import IO
import Testing

@testable import App

@Suite struct ConfigurationTests {
    private let complete = [
        "DATABASE_URL": "postgres://u:p@db/minecart", "REDIS_URL": "redis://cache", "BASE_DOMAIN": "DVV.one",
        "SIGNING_KEY": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    ]

    private func read(_ environment: [String: String]) throws -> Configuration {
        var settings = Settings(environment: environment)
        return try Configuration(&settings)
    }

    private func problems(_ changes: [String: String]) -> [String] {
        do {
            _ = try read(complete.merging(changes) { $1 })
            return []
        } catch {
            return (error as? SettingsError)?.problems ?? ["\(error)"]
        }
    }

    @Test func fourVariablesAreEnough() throws {
        let configuration = try read(complete)
        #expect(configuration.api.baseDomain == "dvv.one")
        #expect(configuration.listenAddress.port == 8080)
        #expect(configuration.unpooledDatabaseURL == configuration.databaseURL)
        #expect(configuration.regions.map(\.id) == ["eu", "us"])
        #expect(configuration.api.operatorKeyHash == nil)
    }

    @Test func everyProblemIsToldAtOnce() {
        var settings = Settings(environment: ["PORT": "x", "LOG_LEVEL": "loud", "REGIONS": "Eu=Europe"])
        do throws(SettingsError) {
            _ = try Configuration(&settings)
            Issue.record("taken")
        } catch {
            for name in [
                "DATABASE_URL", "REDIS_URL", "BASE_DOMAIN", "SIGNING_KEY", "PORT", "LOG_LEVEL", "REGIONS",
            ] {
                #expect(error.problems.contains { $0.hasPrefix(name) }, "\(name)")
            }
        }
    }

    @Test(arguments: [
        ("DATABASE_URL", "mysql://x"), ("REDIS_URL", "http://x"), ("BASE_DOMAIN", "-x"),
        ("BASE_DOMAIN", "a..b"),
        ("SIGNING_KEY", "short"), ("OPERATOR_KEY", "short"), ("METRICS_TOKEN", "short"),
        ("TRUSTED_PROXIES", "all"),
        ("HTTP_HOST", "localhost"), ("REGIONS", "eu=Europe,eu=Twice"), ("DATABASE_UNPOOLED_URL", "x"),
    ])
    func aWrongValueIsNamed(_ name: String, _ value: String) {
        let found = problems([name: value])
        #expect(found.count == 1)
        #expect(found.first?.hasPrefix(name) == true)
    }

    @Test func secretsStayOutOfProblems() {
        let found = problems(["SIGNING_KEY": "my-secret-value", "OPERATOR_KEY": "my-secret"])
        #expect(!found.joined().contains("my-secret"))
    }

    @Test func regionsHaveNames() throws {
        let configuration = try read(complete.merging(["REGIONS": "ap=Asia Pacific,sa"]) { $1 })
        #expect(configuration.regions.map(\.name) == ["Asia Pacific", "sa"])
    }

    @Test func migratingNeedsOnlyTheDatabase() throws {
        var settings = Settings(environment: [
            "DATABASE_URL": "postgres://pooled", "DATABASE_UNPOOLED_URL": "postgres://direct",
            "MIGRATIONS_DIR": "/m",
        ])
        let configuration = try MigrateConfiguration(&settings)
        #expect(configuration.databaseURL == "postgres://direct")
        #expect(configuration.directory == "/m")
    }
}
