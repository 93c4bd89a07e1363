import API
import Core
import Domain
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
        #expect(configuration.api.signUp == .open)
        #expect(!configuration.api.sendsMail)
    }

    @Test func accountsBeginByMailWhereMailsAreSentToPeople() throws {
        #expect(try read(Self.postmark).api.signUp == .verified)
        #expect(try read(Self.postmark.merging(["SIGN_UP": "open"]) { $1 }).api.signUp == .open)
        let log = try read(["MAIL_LOG": "/tmp/mail.log"]).api
        #expect(log.signUp == .open && log.sendsMail)
        #expect(try read(["MAIL_LOG": "/tmp/mail.log", "SIGN_UP": "verified"]).api.signUp == .verified)
        #expect(throws: SettingsError.self) { try read(["SIGN_UP": "verified"]) }
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
        ("PUBLIC_URL", "dvv.one"), ("MAIL_PROVIDER", "log"), ("SIGN_UP", "perhaps"),
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
