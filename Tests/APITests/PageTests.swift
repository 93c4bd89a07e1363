import Crypto
import Core
import HTTP
import Testing

@testable import API

@Suite struct PageTests {
    @Test(arguments: ["verify", "forgot", "reset", "change-email"])
    func aPageRunsNothingButItsOwn(_ name: String) async throws {
        let fixture = try await Fixture()
        let page = try await fixture.call("GET", "/v1/pages/\(name)")
        #expect(page.status == 200)
        #expect(page.headers["content-type"] == "text/html; charset=utf-8")
        #expect(page.headers["referrer-policy"] == "no-referrer")
        #expect(page.headers["cache-control"] == "no-store")
        let policy = try #require(page.headers["content-security-policy"])
        #expect(policy.hasPrefix("default-src 'none'"))
        #expect(!policy.contains("unsafe"))
        for tag in ["style", "script"] {
            let body = try #require(
                page.text.split(separator: "<\(tag)>").last?.split(separator: "</\(tag)>").first)
            let digest = Base64URL.encode(SHA256.hash(Array(body.utf8)))
                .replacing("-", with: "+").replacing("_", with: "/")
            #expect(policy.contains("\(tag)-src 'sha256-\(digest)='"))
        }
        // Nothing in the page runs that the policy forbids, and nothing comes from elsewhere.
        for mark in [" onclick=", " onsubmit=", " style=", "src=", "http://", "https://", "<link"] {
            #expect(!page.text.contains(mark), "\(mark)")
        }
    }
}
