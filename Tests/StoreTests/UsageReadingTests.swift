import Core
import Crypto
import Domain
import Postgres
import Testing
import Wire

@testable import Store

/// What can be read of the ledger.
@Suite struct UsageReadingTests {
    /// 2026-10-31 22:00:00
    private static let start = WallTime(seconds: 1_793_484_000)
    private static let span = UsageSpan(from: start, to: start + 4 * 3600)

    /// One byte up, two down and three seconds in each of four hours, times `factor`.
    private func use(_ fixture: Fixture, _ tunnel: TunnelView, _ factor: Int = 1) async throws {
        for hour in 0..<4 as Range<Int64> {
            let from = Self.start + hour * 3600
            try await fixture.store.addUsage(
                UsageReport(
                    relay: "r1", id: TunnelID.random().text, from: from, to: from + 10,
                    rows: [
                        .init(
                            tunnel: tunnel.id.text, bytes_up: factor, bytes_down: 2 * factor,
                            player_s: 3 * factor)
                    ]), now: from + 20)
        }
    }

    private func read(
        _ fixture: Fixture, _ grouping: UsageGrouping, _ span: UsageSpan = span, account: AccountID? = nil,
        _ page: Page = Page()
    ) async throws -> Listing<UsageView> {
        try #require(
            try await fixture.store.usage(
                of: account ?? fixture.account, in: span, by: grouping, page))
    }

    private func told(_ listing: Listing<UsageView>) -> [String] {
        listing.items.map {
            "\($0.span.from.rfc3339) \($0.span.to.rfc3339) \($0.bytes_up) \($0.bytes_down) \($0.player_s)"
        }
    }

    @Test func hoursDaysAndMonthsAreThoseOfUTCAndCutToTheSpan() async throws {
        let fixture = try await Fixture()
        try await use(fixture, try await fixture.tunnel())
        try await use(fixture, try await fixture.tunnel(), 10)
        try await use(fixture, try await fixture.tunnel(of: fixture.account(plan: "free")), 1000)
        let days = [
            "2026-10-31T22:00:00Z 2026-11-01T00:00:00Z 22 44 66",
            "2026-11-01T00:00:00Z 2026-11-01T02:00:00Z 22 44 66",
        ]
        #expect(told(try await read(fixture, .day)) == days)
        #expect(told(try await read(fixture, .month)) == days)
        #expect(
            told(try await read(fixture, .hour)) == [
                "2026-10-31T22:00:00Z 2026-10-31T23:00:00Z 11 22 33",
                "2026-10-31T23:00:00Z 2026-11-01T00:00:00Z 11 22 33",
                "2026-11-01T00:00:00Z 2026-11-01T01:00:00Z 11 22 33",
                "2026-11-01T01:00:00Z 2026-11-01T02:00:00Z 11 22 33",
            ])
        #expect(
            told(try await read(fixture, .total)) == [
                "2026-10-31T22:00:00Z 2026-11-01T02:00:00Z 44 88 132"
            ])
        let inner = UsageSpan(from: Self.start + 3600, to: Self.start + 2 * 3600)
        #expect(
            told(try await read(fixture, .month, inner)) == [
                "2026-10-31T23:00:00Z 2026-11-01T00:00:00Z 11 22 33"
            ])
        let before = UsageSpan(from: Self.start + -7200, to: Self.start)
        #expect(try await read(fixture, .day, before).items == [])
        #expect(
            told(try await read(fixture, .total, before)) == [
                "2026-10-31T20:00:00Z 2026-10-31T22:00:00Z 0 0 0"
            ])
    }

    @Test func tunnelsComeInTheOrderOfCreationAndDeletedOnesStillCount() async throws {
        let fixture = try await Fixture()
        var tunnels: [TunnelView] = []
        for factor in [1, 10, 100] {
            tunnels.append(try await fixture.tunnel())
            try await use(fixture, tunnels[tunnels.count - 1], factor)
        }
        _ = try await fixture.store.deleteTunnel(tunnels[1].id, account: fixture.account, actor: "test")
        let listing = try await read(fixture, .tunnel)
        #expect(
            listing.items.map(\.tunnel)
                == tunnels.map {
                    UsageView.Tunnel(
                        id: $0.id, hostname: $0.hostname, isDeleted: $0.id == tunnels[1].id)
                })
        #expect(listing.items.map(\.bytes_up) == [4, 40, 400])
        #expect(try await read(fixture, .total).items.map(\.bytes_down) == [888])
        for tunnel in tunnels {
            let own = try await fixture.store.usage(
                of: tunnel.id, account: fixture.account, in: Self.span, by: .total, Page())
            #expect(own?.items.map(\.tunnel?.id) == [tunnel.id])
            #expect(own?.items == listing.items.filter { $0.tunnel?.id == tunnel.id })
        }
    }

    @Test func pagesFollowEachOtherWithoutGapOrRepetition() async throws {
        let fixture = try await Fixture()
        for factor in 1...4 { try await use(fixture, try await fixture.tunnel(), factor) }
        for grouping in [UsageGrouping.hour, .tunnel] {
            let whole = try await read(fixture, grouping).items
            #expect(whole.count == 4)
            var pieces: [UsageView] = []
            var cursor: String?
            for number in 0..<2 {
                let page = try #require(cursor.map { Page(limit: 2, cursor: $0) } ?? Page(limit: 2))
                let listing = try await read(fixture, grouping, Self.span, page)
                pieces += listing.items
                cursor = listing.nextCursor
                #expect((cursor == nil) == (number == 1))
            }
            #expect(pieces == whole)
            #expect(try await read(fixture, grouping, Self.span, Page(limit: 2, after: .max)).items == [])
        }
    }

    @Test func nobodyReadsWhatIsAnothers() async throws {
        let fixture = try await Fixture()
        let other = try await fixture.account(plan: "free")
        let tunnel = try await fixture.tunnel()
        try await use(fixture, tunnel)
        #expect(
            try await fixture.store.usage(
                of: tunnel.id, account: other, in: Self.span, by: .total, Page()) == nil)
        #expect(try await read(fixture, .tunnel, account: other).items == [])
        let unknown = AccountID(entropy: [9])
        #expect(try await fixture.store.usage(of: unknown, in: Self.span, by: .day, Page()) == nil)
    }
}
