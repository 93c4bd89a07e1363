import Core
import Testing

@testable import API

@Suite struct SessionTests {
    private func list(_ people: People, as bearer: String) async throws -> [JSON] {
        try await people.call("GET", "/v1/sessions", as: bearer)["data"]?.arrayValue ?? []
    }

    @Test func peopleSeeWhereTheyAreSignedIn() async throws {
        let people = try await People()
        try await people.signUp()
        try await people.signUp("bob@mail.example")
        _ = try await people.bearer("bob@mail.example")
        _ = try await people.bearer()
        let here = try await people.bearer()
        let found = try await list(people, as: here)
        #expect(found.map { $0["current"] } == [false, true])
        for signIn in found {
            #expect(signIn["address"] == "203.0.113.7")
            #expect(signIn["user_agent"] == "tests/1")
        }
        let first = try await people.call("GET", "/v1/sessions?limit=1", as: here)
        let cursor = try first.text("next_cursor")
        let second = try await people.call("GET", "/v1/sessions?limit=1&cursor=\(cursor)", as: here)
        #expect(second["data"]?.arrayValue?.first?["id"] == found[1]["id"])
    }

    @Test func anEndedSignInOpensNothingFromThenOn() async throws {
        let people = try await People()
        try await people.signUp()
        try await people.signUp("bob@mail.example")
        let bob = try await people.bearer("bob@mail.example")
        let lost = try await people.signIn()
        let here = try await people.bearer()
        let id = try #require(try await list(people, as: here).first?["id"]?.stringValue)
        #expect(try await people.call("DELETE", "/v1/sessions/\(id)", as: bob).status == 404)
        #expect(try await people.call("DELETE", "/v1/sessions/\(id)", as: here).status == 204)
        #expect(try await people.call("DELETE", "/v1/sessions/\(id)", as: here).status == 404)
        #expect(try await people.call("GET", "/v1/user", as: lost.text("access_token")).status == 401)
        let refresh = try await people.call(
            "POST", "/v1/sessions/refresh", ["refresh_token": .string(try lost.text("refresh_token"))])
        #expect(refresh.status == 401)
        #expect(try await people.call("GET", "/v1/user", as: here).status == 200)
    }

    @Test func allOthersAreEndedOrAll() async throws {
        let people = try await People()
        try await people.signUp()
        let others = [try await people.bearer(), try await people.bearer()]
        let here = try await people.bearer()
        #expect(try await people.call("DELETE", "/v1/sessions?keep=both", as: here).pointers == ["?keep"])
        #expect(try await people.call("DELETE", "/v1/sessions?keep=current", as: here).status == 204)
        for other in others { #expect(try await people.call("GET", "/v1/user", as: other).status == 401) }
        #expect(try await list(people, as: here).count == 1)
        #expect(try await people.call("DELETE", "/v1/sessions", as: here).status == 204)
        #expect(try await people.call("GET", "/v1/user", as: here).status == 401)
        #expect(try await people.audited().filter { $0 == "user.sign_out" }.count == 3)
    }

    @Test func twoRenewalsWithOneTokenGetTheSameNextOne() async throws {
        let people = try await People()
        try await people.signUp()
        let token = try await people.signIn().text("refresh_token")
        let next = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    try await people.call(
                        "POST", "/v1/sessions/refresh", ["refresh_token": .string(token)]
                    ).text("refresh_token")
                }
            }
            return try await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        #expect(next.count == 1)
        #expect(!next.contains(token))
    }

    @Test func aTokenFarBehindEndsTheSignInForBothWhoHoldIt() async throws {
        let people = try await People()
        try await people.signUp()
        let stolen = try await people.signIn()
        let first = try stolen.text("refresh_token")
        var newest = first
        var bearer = ""
        for _ in 0..<2 {
            let answer = try await people.call(
                "POST", "/v1/sessions/refresh", ["refresh_token": .string(newest)])
            newest = try answer.text("refresh_token")
            bearer = try answer.text("access_token")
        }
        #expect(try await people.call("GET", "/v1/user", as: bearer).status == 200)
        let reuse = try await people.call(
            "POST", "/v1/sessions/refresh", ["refresh_token": .string(first)])
        #expect(reuse.status == 401 && reuse.code == "invalid-refresh-token")
        #expect(try await people.call("GET", "/v1/user", as: bearer).status == 401)
        #expect(try await people.audited().contains("user.refresh_reuse"))
    }
}
