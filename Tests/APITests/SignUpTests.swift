import Core
import Domain
import HTTP
import Testing

@testable import API

@Suite struct SignUpTests {
    @Test func anAccountBeginsWithTheLinkOfItsMail() async throws {
        let people = try await People(signUp: .verified)
        #expect(try await people.signUp().status == 202)
        let early = try await people.signIn()
        #expect(early.status == 403 && early.code == "email-unverified")
        #expect(try await people.signIn(People.anna, "not the password").status == 401)
        #expect(try await people.count("users") == 0)

        let token = try await people.token("verify-email", page: "verify", to: People.anna)
        #expect(try await people.verify(token).status == 200)
        #expect(try await people.verify(token).code == "bad-link")
        let person = try await people.call("GET", "/v1/user", as: try await people.bearer())
        #expect(person["email"] == .string(People.anna))
        #expect(person["role"] == "owner")
        #expect(person["verified_at"]?.stringValue != nil)
        #expect(try await people.audited() == ["user.sign_up", "user.sign_in"])
    }

    @Test func aLinkThatIsTooOldOrNoneOfOursIsRefused() async throws {
        let people = try await People(signUp: .verified)
        try await people.signUp()
        let token = try await people.token("verify-email", page: "verify")
        #expect(try await people.verify(String(token.reversed())).code == "bad-link")
        // A link opens what it was made for, and nothing else.
        #expect(try await people.reset(token, to: People.other).code == "bad-link")
        #expect(try await people.confirmEmail(token).code == "bad-link")
        try await people.age(links_h: 24)
        #expect(try await people.verify(token).code == "bad-link")
        #expect(try await people.signIn().status == 401)
    }

    @Test(arguments: SignUpMode.allCases)
    func signUpIsTheSameWorkAndTheSameAnswerWhoeverHasTheAddress(_ mode: SignUpMode) async throws {
        let people = try await People(signUp: mode)
        var answers: Set<String> = []
        func ask(_ email: String) async throws {
            let before = people.hashes
            let answer = try await people.signUp(email, People.other)
            #expect(people.hashes == before + 1)
            answers.insert("\(answer.status) \(answer.headers.count) \(answer.text)")
        }
        try await ask(People.anna)
        try await ask(People.anna)
        if mode == .verified {
            _ = try await people.verify(try await people.token("verify-email", page: "verify"))
        }
        // The last ones get no mail any more.
        for _ in 0..<6 { try await ask("ANNA@mail.example") }
        try await ask("nobody@mail.example")
        #expect(answers.count == 1)
        #expect(answers.first?.hasPrefix("202") == true)
    }

    @Test func everySignInHashesOnce() async throws {
        let people = try await People(signUp: .verified)
        try await people.signUp()
        _ = try await people.verify(try await people.token("verify-email", page: "verify"))
        try await people.signUp("waiting@mail.example")
        for (email, password, status) in [
            (People.anna, Fixture.password, 201), (People.anna, People.other, 401),
            ("waiting@mail.example", Fixture.password, 403), ("waiting@mail.example", People.other, 401),
            ("nobody@mail.example", Fixture.password, 401),
        ] {
            let before = people.hashes
            #expect(try await people.signIn(email, password).status == status)
            #expect(people.hashes == before + 1)
        }
    }

    @Test func theOwnerOfAKnownAddressIsToldOfTheTryAndHowToReset() async throws {
        let people = try await People(signUp: .verified)
        try await people.signUp()
        _ = try await people.verify(try await people.token("verify-email", page: "verify"))
        try await people.signUp("Anna@Mail.example", People.other)
        #expect(try await people.signIn(People.anna, People.other).status == 401)
        #expect(try await people.signIn().status == 201)
        let token = try await people.token("sign-up-known", page: "reset")
        #expect(try await people.reset(token, to: "a third long password").status == 200)
        #expect(try await people.signIn(People.anna, "a third long password").status == 201)
    }

    @Test func nobodyTakesAnAddressBeforeItsOwner() async throws {
        let people = try await People(signUp: .verified)
        try await people.signUp(People.anna, "password of a thief")
        let thiefs = try await people.token("verify-email", page: "verify")
        try await people.signUp()
        let owners = try await people.token("verify-email", page: "verify")
        #expect(try await people.verify(owners).status == 200)
        #expect(try await people.verify(thiefs).status == 404)
        #expect(try await people.signIn(People.anna, "password of a thief").status == 401)
        #expect(try await people.signIn().status == 201)
    }

    @Test func strangersCauseAtMostFiveMailsAnHourToOneAddress() async throws {
        let people = try await People()
        try await people.signUp()
        await withDiscardingTaskGroup { group in
            for number in 0..<10 {
                group.addTask {
                    _ =
                        number % 2 == 0
                        ? try? await people.askForReset("ANNA@mail.example") : try? await people.signUp()
                }
            }
        }
        #expect(try await people.mails().count == 5)
        // A link for each mail, and none that nobody has.
        #expect(try await people.count("mail_tokens") == 5)
        try await people.signUp("bob@mail.example")
        #expect(try await people.mails().count == 6)
        try await people.age(mails_h: 1)
        #expect(try await people.askForReset().status == 202)
        #expect(try await people.mails().count == 7)
    }

    @Test func whereSignUpIsOpenAnAccountBeginsAtOnceAndItsLinkConfirmsTheAddress() async throws {
        let people = try await People()
        try await people.signUp()
        let bearer = try await people.bearer()
        #expect(try await people.call("GET", "/v1/user", as: bearer)["verified_at"] == .null)
        let token = try await people.token("verify-email", page: "verify")
        #expect(try await people.verify(token).status == 200)
        let person = try await people.call("GET", "/v1/user", as: bearer)
        #expect(person["verified_at"]?.stringValue != nil)
    }

    @Test func whereNoMailIsSentNoneIsWritten() async throws {
        let people = try await People(sendsMail: false)
        try await people.signUp()
        try await people.signUp()
        let answer = try await people.askForReset()
        #expect(answer.status == 202)
        let unknown = try await people.askForReset("nobody@mail.example")
        #expect(unknown.text == answer.text)
        let change = try await people.call(
            "POST", "/v1/email-changes",
            ["email": "new@mail.example", "password": .string(Fixture.password)],
            as: try await people.bearer())
        #expect(change.code == "no-mail")
        #expect(try await people.mails().isEmpty)
        #expect(try await people.count("mail_tokens") == 0)
    }

    @Test func passwordsAreLongEnough() async throws {
        let people = try await People()
        for (length, status) in [(14, 422), (15, 202), (256, 202), (257, 422)] {
            let password = String(repeating: "x", count: length)
            #expect(try await people.signUp("x\(length)@mail.example", password).status == status)
        }
        let longest = String(repeating: "x", count: 256)
        #expect(try await people.signIn("x256@mail.example", longest).status == 201)
    }
}
