import API
import Core
import Reconcilers
import Testing

@testable import App

@Suite struct MailConfigurationTests {
    private func read(_ mail: [String: String]) throws(SettingsError) -> Configuration {
        var settings = Settings(
            environment: mail.merging([
                "DATABASE_URL": "postgres://u:p@db/minecart", "REDIS_URL": "redis://cache",
                "BASE_DOMAIN": "dvv.one", "SIGNING_KEY": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            ]) { $1 })
        return try Configuration(&settings)
    }

    private static let postmark = [
        "MAIL_PROVIDER": "postmark", "MAIL_TOKEN": "t", "MAIL_FROM": "Minecart <m@dvv.one>",
    ]

    @Test func withoutAWordAboutMailsTheyWait() throws {
        let configuration = try read([:])
        guard case .none = configuration.mail else {
            Issue.record("mails go somewhere")
            return
        }
        #expect(configuration.api.publicURL == "http://localhost:8080")
    }

    @Test func aMailLogIsForDevelopment() throws {
        let configuration = try read(["MAIL_LOG": "/tmp/mail.log"])
        guard case .log = configuration.mail else {
            Issue.record("mails go elsewhere")
            return
        }
    }

    @Test(arguments: ["postmark", "resend"])
    func aProviderSends(_ provider: String) throws {
        let configuration = try read(Self.postmark.merging(["MAIL_PROVIDER": provider]) { $1 })
        guard case .service = configuration.mail else {
            Issue.record("no provider")
            return
        }
    }

    @Test(arguments: [
        ("MAIL_PROVIDER", "pigeon"), ("MAIL_TOKEN", ""), ("MAIL_FROM", ""), ("MAIL_API_BASE", "mail.example"),
        ("PUBLIC_URL", "dvv.one"), ("MAIL_PROVIDER", "log"),
    ])
    func aWrongValueIsNamed(_ name: String, _ value: String) {
        do throws(SettingsError) {
            _ = try read(Self.postmark.merging([name: value]) { $1 })
            Issue.record("taken")
        } catch {
            #expect(error.problems.count == 1)
            #expect(error.problems.allSatisfy { $0.hasPrefix(name) })
        }
    }
}
