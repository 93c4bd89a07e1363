import API
import Core
import Testing

@testable import App

@Suite struct BillingPageTests {
    private func read(_ page: String?) throws(SettingsError) -> Configuration {
        var environment = [
            "DATABASE_URL": "postgres://u:p@db/minecart", "REDIS_URL": "redis://cache",
            "BASE_DOMAIN": "dvv.one", "SIGNING_KEY": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "PUBLIC_URL": "https://api.dvv.one",
        ]
        environment["BILLING_PAGE"] = page
        var settings = Settings(environment: environment)
        return try Configuration(&settings)
    }

    @Test func peopleComeBackToThePageThatIsSet() throws {
        #expect(try read("https://dvv.one/bill").api.billingPage == "https://dvv.one/bill")
        #expect(try read(nil).api.billingPage == "https://api.dvv.one/v1/pages/billing")
    }

    @Test(arguments: ["dvv.one/bill", "http://dvv.one/bill", "https://dvv.one/#bill"])
    func anythingElseIsRefused(_ page: String) {
        #expect(throws: SettingsError.self) { try read(page) }
    }
}
