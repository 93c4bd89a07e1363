import Core
import Testing
import Wire

@testable import RelayCore

@Suite struct ForwardDeskTests {
    private func at(_ milliseconds: Int) -> Instant {
        Instant(nanoseconds: 1 << 40) + Milliseconds(milliseconds)
    }

    private func token(_ number: Int) throws -> ForwardToken {
        try #require(ForwardToken((0..<16).map { UInt8(truncatingIfNeeded: number >> (8 * min($0, 7))) }))
    }

    @Test func whatWasAnnouncedIsLetInOnce() throws {
        var desk = ForwardDesk<String>()
        let token = try token(1)
        let nobody = desk.announced(token, now: at(0))
        let first = desk.arrived(token, "a", now: at(1000))
        let second = desk.arrived(token, "b", now: at(1000))
        #expect(nobody == nil)
        #expect(first == .letIn)
        #expect(second == .wait)
    }

    @Test func whoComesFirstWaitsForTheAnnouncement() throws {
        var desk = ForwardDesk<String>()
        let token = try token(1)
        let first = desk.arrived(token, "a", now: at(0))
        let again = desk.arrived(token, "b", now: at(0))
        let waiter = desk.announced(token, now: at(1900))
        #expect([first, again] == [.wait, .refuse])
        #expect(waiter == "a")
        #expect(desk.count == 0)
    }

    @Test func anAnnouncementDoesNotLast() throws {
        var desk = ForwardDesk<String>()
        _ = desk.announced(try token(1), now: at(0))
        let late = desk.arrived(try token(1), "a", now: at(2000))
        #expect(late == .refuse)
        #expect(desk.count == 0)
    }

    @Test func whoGaveUpIsForgotten() throws {
        var desk = ForwardDesk<String>()
        _ = desk.arrived(try token(1), "a", now: at(0))
        desk.gaveUp(try token(1))
        let waiter = desk.announced(try token(1), now: at(10))
        #expect(waiter == nil)
    }

    @Test func moreThanAFleetWouldSendIsNotKept() throws {
        var desk = ForwardDesk<String>()
        for number in 0..<5000 {
            _ = desk.announced(try token(number), now: at(0))
            _ = desk.arrived(try token(1_000_000 + number), "a", now: at(0))
        }
        #expect(desk.count == 4096 + 1024)
        // Announcements that are over make room.
        _ = desk.announced(try token(9_000_000), now: at(5000))
        let letIn = desk.arrived(try token(9_000_000), "b", now: at(5001))
        #expect(letIn == .letIn)
    }
}
