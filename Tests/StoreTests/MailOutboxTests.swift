import Core
import Domain
import Postgres
import Testing

@testable import Store

@Suite struct MailOutboxTests {
    private func mail(_ number: Int = 1) -> Mail {
        Mail(to: "anna@example.test", subject: "Hello \(number)", text: "secret-\(number)", kind: "test")
    }

    /// Everything in the outbox, as text.
    private func contents(_ store: Store) async throws -> [String] {
        try await store.transaction { tx in
            try tx.query(
                "SELECT concat_ws('|', state, body, problem) AS line FROM mail_outbox ORDER BY created_at, id"
            ).map { try $0["line"] as String }
        }
    }

    @Test func aMailOfATransactionThatFailedIsNeverSent() async throws {
        let store = try await Fixture().store
        await #expect(throws: StoreError.suspended) {
            try await store.transaction { tx in
                try tx.post(mail())
                throw StoreError.suspended
            }
        }
        #expect(try await store.claimMails(limit: 10, lease_s: 60).isEmpty)
    }

    @Test func twoSendersNeverTakeTheSameMail() async throws {
        let store = try await Fixture().store
        for number in 0..<40 { try await store.post(mail(number)) }
        let taken = try await withThrowingTaskGroup(of: [MailID].self) { group in
            for _ in 0..<8 {
                group.addTask { try await store.claimMails(limit: 7, lease_s: 60).map(\.id) }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(taken.count == 40)
        #expect(Set(taken).count == 40)
    }

    @Test func aSentMailIsNotClaimedAgainAndItsTextIsForgotten() async throws {
        let store = try await Fixture().store
        try await store.post(mail())
        let claim = try #require(try await store.claimMails(limit: 10, lease_s: 0).first)
        #expect(claim.mail == mail())
        #expect(claim.attempt == 1)
        #expect(try await store.finishMail(claim))
        #expect(try await store.claimMails(limit: 10, lease_s: 0).isEmpty)
        #expect(try await contents(store) == ["sent|"])
    }

    @Test func aClaimThatIsOverGoesToTheNextAndTheFirstChangesNothingAnyMore() async throws {
        let store = try await Fixture().store
        try await store.post(mail())
        let first = try #require(try await store.claimMails(limit: 10, lease_s: 0).first)
        let second = try #require(try await store.claimMails(limit: 10, lease_s: 60).first)
        #expect(second.id == first.id)
        #expect(second.attempt == 2)
        #expect(try await !store.finishMail(first))
        try await store.failMail(first, pause_s: nil, problem: "late")
        #expect(try await contents(store) == ["waiting|secret-1"])
        #expect(try await store.finishMail(second))
    }

    @Test func aFailedMailWaitsAndOneGivenUpIsForgottenButItsProblemStays() async throws {
        let store = try await Fixture().store
        try await store.post(mail())
        let first = try #require(try await store.claimMails(limit: 10, lease_s: 60).first)
        try await store.failMail(first, pause_s: 3600, problem: "it answered 500")
        #expect(try await store.claimMails(limit: 10, lease_s: 60).isEmpty)
        try await store.failMail(first, pause_s: 0, problem: "it answered 500")
        let second = try #require(try await store.claimMails(limit: 10, lease_s: 60).first)
        try await store.failMail(second, pause_s: nil, problem: "it answered 422")
        #expect(try await contents(store) == ["given_up||it answered 422"])
        let backlog = try await store.mailBacklog()
        #expect(backlog.waiting == 0 && backlog.givenUp == 1)
    }

    @Test func theOwnersOfAnAccountAreFound() async throws {
        let fixture = try await Fixture()
        let owners = try await fixture.store.transaction { tx in try tx.owners(of: fixture.account) }
        #expect(owners == ["anna@example.test"])
    }
}
