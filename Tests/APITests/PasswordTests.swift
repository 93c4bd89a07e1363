import Core
import Domain
import Store
import Testing

@testable import API

@Suite struct PasswordTests {
    @Test func aResetSetsAPasswordOnceAndEndsEverySignIn() async throws {
        let people = try await People()
        try await people.signUp()
        let session = try await people.signIn()
        let bearer = try session.text("access_token")
        #expect(try await people.askForReset().status == 202)
        #expect(try await people.askForReset().status == 202)
        let mails = try await people.mails("reset-password")
        let tokens = try mails.map { try People.token(in: $0, page: "reset") }
        #expect(tokens.count == 2)
        #expect(try await people.reset(tokens[0], to: "short").pointers == ["/password"])
        #expect(try await people.reset(tokens[0], to: People.other).status == 200)
        // Neither it nor the other one opens anything any more.
        for token in tokens { #expect(try await people.reset(token, to: Fixture.password).status == 404) }

        #expect(try await people.call("GET", "/v1/user", as: bearer).status == 401)
        let refresh = try await people.call(
            "POST", "/v1/sessions/refresh", ["refresh_token": .string(try session.text("refresh_token"))])
        #expect(refresh.status == 401)
        #expect(try await people.signIn().status == 401)
        #expect(try await people.signIn(People.anna, People.other).status == 201)
        #expect(try await people.mails("password-changed").map(\.to) == [People.anna])
        #expect(try await people.audited().contains("user.password_reset"))
    }

    @Test func askingForAResetIsTheSameWorkAndTheSameAnswerWhoeverHasTheAddress() async throws {
        let people = try await People()
        try await people.signUp()
        var answers: Set<String> = []
        for email in [People.anna, "nobody@mail.example", "ANNA@mail.example"] {
            let before = people.hashes
            let answer = try await people.askForReset(email)
            #expect(people.hashes == before + 1)
            answers.insert("\(answer.status) \(answer.text)")
        }
        #expect(answers.count == 1)
        #expect(try await people.mails("reset-password", to: "nobody@mail.example").isEmpty)
    }

    @Test func aResetsLinkIsGoodForAnHour() async throws {
        let people = try await People()
        try await people.signUp()
        _ = try await people.askForReset()
        let token = try await people.token("reset-password", page: "reset")
        try await people.age(links_h: 1)
        #expect(try await people.reset(token, to: People.other).code == "bad-link")
    }

    @Test func aChangeNeedsThePasswordAndEndsOtherSignIns() async throws {
        let people = try await People()
        try await people.signUp()
        let here = try await people.bearer()
        let elsewhere = try await people.bearer()
        _ = try await people.askForReset()
        let link = try await people.token("reset-password", page: "reset")
        func change(_ old: String, _ new: String) async throws -> Fixture.Answer {
            try await people.call(
                "PUT", "/v1/user/password", ["password": .string(old), "new_password": .string(new)],
                as: here)
        }
        #expect(try await change(People.other, People.other).code == "wrong-password")
        #expect(try await change(Fixture.password, "short").pointers == ["/new_password"])
        #expect(try await change(Fixture.password, People.anna + ".").status == 204)
        #expect(try await change(People.anna + ".", People.other).status == 204)
        #expect(try await people.call("GET", "/v1/user", as: here).status == 200)
        #expect(try await people.call("GET", "/v1/user", as: elsewhere).status == 401)
        #expect(try await people.reset(link, to: "a third long password").status == 404)
        #expect(try await people.signIn().status == 401)
        #expect(try await people.signIn(People.anna, People.other).status == 201)
        #expect(try await people.mails("password-changed").count == 2)
    }

    @Test func guessingThePasswordOfOneWhoIsSignedInGetsSlow() async throws {
        let people = try await People()
        try await people.signUp()
        let bearer = try await people.bearer()
        var statuses: [Int] = []
        for _ in 0..<6 {
            let answer = try await people.call(
                "PUT", "/v1/user/password",
                ["password": .string(People.other), "new_password": "a third long password"], as: bearer)
            statuses.append(answer.status)
        }
        #expect(statuses == [403, 403, 403, 403, 403, 429])
    }

    @Test func aSignInThatWasCheckedAgainstTheOldPasswordDoesNotOpen() async throws {
        let people = try await People()
        try await people.signUp()
        let store = people.fixture.store
        let user = try #require(try await store.credentials(email: People.anna))
        let bearer = try await people.bearer()
        let change = try await people.call(
            "PUT", "/v1/user/password",
            ["password": .string(Fixture.password), "new_password": .string(People.other)], as: bearer)
        #expect(change.status == 204)
        let isOpen = try await store.openSession(
            SignInID.new(), user: user, refreshKey: [1], lifetime_s: 600)
        #expect(!isOpen)
    }
}

@Suite struct EmailChangeTests {
    private static let new = "anna@new.example"

    private func ask(_ people: People, _ email: String = new, as bearer: String) async throws
        -> Fixture.Answer
    {
        try await people.call(
            "POST", "/v1/email-changes",
            ["email": .string(email), "password": .string(Fixture.password)], as: bearer)
    }

    @Test func aNewAddressIsConfirmedThereAndToldToTheOldOne() async throws {
        let people = try await People()
        try await people.signUp()
        let bearer = try await people.bearer()
        #expect(try await ask(people, as: bearer).status == 202)
        #expect(try await people.signIn(Self.new).status == 401)
        let notice = try #require(try await people.mails("change-email-asked").first)
        #expect(notice.to == People.anna && notice.text.contains("/v1/pages/forgot"))

        let token = try await people.token("change-email", page: "change-email", to: Self.new)
        #expect(try await people.confirmEmail(token).status == 200)
        #expect(try await people.confirmEmail(token).code == "bad-link")
        #expect(try await people.signIn().status == 401)
        #expect(try await people.signIn(Self.new).status == 201)
        #expect(try await people.mails("email-changed").map(\.to) == [People.anna])
        #expect(try await people.call("GET", "/v1/user", as: bearer)["email"] == .string(Self.new))
    }

    @Test func itTakesThePasswordAndAnotherAddress() async throws {
        let people = try await People()
        try await people.signUp()
        let bearer = try await people.bearer()
        #expect(try await ask(people, "ANNA@mail.example", as: bearer).pointers == ["/email"])
        let wrong = try await people.call(
            "POST", "/v1/email-changes", ["email": .string(Self.new), "password": .string(People.other)],
            as: bearer)
        #expect(wrong.code == "wrong-password")
        #expect(try await people.mails(to: Self.new).isEmpty)
    }

    @Test func itDoesNotTellWhetherTheNewAddressIsKnown() async throws {
        let people = try await People()
        try await people.signUp()
        try await people.signUp(Self.new)
        let bearer = try await people.bearer()
        let known = try await ask(people, as: bearer)
        let unknown = try await ask(people, "nobody@mail.example", as: bearer)
        #expect(known.status == 202 && known.text == unknown.text)
        #expect(try await people.mails("change-email-known").map(\.to) == [Self.new])
        #expect(try await people.mails("change-email", to: Self.new).isEmpty)
        #expect(try await people.mails("change-email-asked").count == 2)
    }

    @Test func aNewPasswordStopsTheChange() async throws {
        let people = try await People()
        try await people.signUp()
        let bearer = try await people.bearer()
        _ = try await ask(people, as: bearer)
        let token = try await people.token("change-email", page: "change-email")
        _ = try await people.askForReset()
        let reset = try await people.token("reset-password", page: "reset")
        #expect(try await people.reset(reset, to: People.other).status == 200)
        #expect(try await people.confirmEmail(token).code == "bad-link")
    }

    @Test func anAddressThatWasTakenMeanwhileIsRefused() async throws {
        let people = try await People()
        try await people.signUp()
        _ = try await ask(people, as: try await people.bearer())
        let token = try await people.token("change-email", page: "change-email")
        try await people.signUp(Self.new)
        #expect(try await people.confirmEmail(token).code == "email-taken")
        #expect(try await people.signIn().status == 201)
    }
}
