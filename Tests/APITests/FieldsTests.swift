import Core
import Testing

@testable import API

private func errors(_ body: String, _ read: (inout Fields) -> Void) throws -> [Problem.FieldError] {
    var fields = try Fields(body: Array(body.utf8))
    read(&fields)
    do {
        try fields.finish()
        return []
    } catch {
        #expect(error.status == 422)
        return error.errors
    }
}

@Suite struct FieldsTests {
    @Test func everythingThatIsWrongIsToldAtOnce() throws {
        let found = try errors(#"{"a":1,"b":"","extra/one":true}"#) { fields in
            _ = fields.text("a")
            _ = fields.text("b")
            _ = fields.text("c")
        }
        #expect(found.map(\.pointer) == ["/a", "/b", "/c", "/extra~1one"])
    }

    @Test func nullCountsAsAbsent() throws {
        var taken: String? = "x"
        #expect(try errors(#"{"a":null}"#) { taken = $0.optionalText("a") } == [])
        #expect(taken == nil)
        #expect(try errors(#"{"a":null}"#) { _ = $0.text("a") } == [.init("/a", "is required")])
    }

    @Test(arguments: ["{", "[]", "1", "\"a\"", "{\"a\":1,\"a\":2}", "{} {}"])
    func whatIsNoJSONObjectIsMalformed(_ text: String) {
        #expect(throws: Problem.self) { try Fields(body: Array(text.utf8)) }
    }

    @Test func anEmptyBodyIsAnEmptyObject() throws {
        #expect(try errors("") { _ = $0.optionalText("a") } == [])
    }

    @Test func controlCharactersAreRefused() throws {
        #expect(try errors(#"{"a":"x\u0000y"}"#) { _ = $0.text("a") }.count == 1)
    }

    @Test(arguments: ["a@b.example", "A.b+c@sub.example.com"])
    func plainAddressesAreTaken(_ address: String) throws {
        var taken = ""
        #expect(try errors(#"{"email":"\#(address)"}"#) { taken = $0.email("email") } == [])
        #expect(taken == address)
    }

    @Test(arguments: ["a", "a@b", "@b.c", "a@@b.c", "a b@c.d", "a@-b.c", "a@b..c", "a@b.c,d@e.f"])
    func whatIsNoAddressIsRefused(_ address: String) throws {
        #expect(try errors(#"{"email":"\#(address)"}"#) { _ = $0.email("email") }.count == 1)
    }

    @Test func queryNumbersAreRangeChecked() throws {
        var fields = try Fields(query: [("limit", "0"), ("limit", "5"), ("who", "x")])
        _ = fields.optionalInteger("limit", in: 1...100)
        do {
            try fields.finish()
            Issue.record("taken")
        } catch {
            #expect(error.errors.map(\.pointer) == ["?limit", "?who"])
        }
    }
}
