import HTTP
import Testing

@testable import API

@Suite struct ReturnURLTests {
    private let urls: ReturnURLs

    init() throws {
        urls = ReturnURLs([
            try #require(HTTPURL("https://mine.example/")),
            try #require(HTTPURL("https://app.mine.example:8443/x")),
            try #require(HTTPURL("http://localhost:8080/")), try #require(HTTPURL("http://plain.example/")),
        ])
    }

    @Test(arguments: [
        "https://mine.example/billing", "https://mine.example/billing?session={CHECKOUT_SESSION_ID}",
        "https://mine.example:443/", "https://MINE.example", "https://app.mine.example:8443/a/b?c=d",
        "http://localhost:8080/done",
    ])
    func ownPagesAreFine(_ text: String) { #expect(urls.problem(text) == nil) }

    @Test(arguments: [
        "https://evil.example/", "https://mine.example.evil.example/", "https://mine.example@evil.example/",
        "https://mine.example:444/", "https://evil.example/?https://mine.example/", "//mine.example/",
        "/billing",
        "http://mine.example/", "http://plain.example/", "http://localhost:9090/", "javascript:alert(1)",
        "https://mine.example\\@evil.example/", "https://mine.example\t.evil.example/", "https:mine.example/",
        "https:///mine.example", "ftp://mine.example/", "https://evil.example#https://mine.example/", "",
        "https://mine.example/#evil", "https://{CHECKOUT_SESSION_ID}.evil.example/", " https://mine.example/",
    ])
    func everyOtherIsRefused(_ text: String) { #expect(urls.problem(text) != nil) }
}
