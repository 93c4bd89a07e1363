import API
import Core
import HTTP
import Testing

@testable import App

@Suite struct StripeConfigurationTests {
    private let complete = [
        "DATABASE_URL": "postgres://u:p@db/minecart", "REDIS_URL": "redis://cache", "BASE_DOMAIN": "dvv.one",
        "SIGNING_KEY": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    ]

    private func read(_ changes: [String: String]) throws -> Configuration {
        var settings = Settings(environment: complete.merging(changes) { $1 })
        return try Configuration(&settings)
    }

    @Test func withoutAKeyNothingIsSold() throws {
        let configuration = try read([:])
        #expect(configuration.stripe == nil)
        #expect(configuration.api.stripeWebhookSecrets == [])
        #expect(configuration.billingGrace_s == 7 * 24 * 3600)
    }

    @Test func aKeySecretsAndAnotherAddressAreTaken() throws {
        let configuration = try read([
            "STRIPE_SECRET_KEY": "sk_test_1", "STRIPE_API_BASE": "http://127.0.0.1:12111",
            "STRIPE_WEBHOOK_SECRET": "whsec_old,whsec_new", "BILLING_GRACE_HOURS": "0",
        ])
        #expect(configuration.stripe?.key == "sk_test_1")
        #expect(configuration.stripe?.base.description.hasPrefix("http://127.0.0.1:12111") == true)
        #expect(configuration.api.stripeWebhookSecrets == ["whsec_old", "whsec_new"])
        #expect(configuration.billingGrace_s == 0)
    }

    @Test(arguments: [("STRIPE_API_BASE", "stripe"), ("BILLING_GRACE_HOURS", "-1")])
    func aWrongValueIsNamed(_ name: String, _ value: String) {
        do {
            _ = try read(["STRIPE_SECRET_KEY": "sk_test_1", name: value])
            Issue.record("taken")
        } catch {
            let problems = (error as? SettingsError)?.problems ?? []
            #expect(problems.contains { $0.hasPrefix(name) })
        }
    }
}
