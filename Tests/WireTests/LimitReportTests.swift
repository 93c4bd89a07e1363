import Testing

@testable import Wire

/// The reports with which limits hold across relays, as bytes.
struct LimitReportTests {
    private let presence = PresenceReport(
        answersHeard: 77,
        rows: [
            .init(tunnel: "tun_1", players: 3, bytes_per_s: 125_000),
            .init(tunnel: "tun_2", players: 0, bytes_per_s: 0),
        ])
    private let shares = ShareReport(rows: [
        .init(tunnel: "tun_1", bytes_per_s: 125_000), .init(tunnel: "tun_2", bytes_per_s: 1 << 40),
    ])

    private func bytes(_ report: PresenceReport) -> [UInt8] {
        var writer = WireWriter()
        report.write(to: &writer)
        return writer.bytes
    }

    private func bytes(_ report: ShareReport) -> [UInt8] {
        var writer = WireWriter()
        report.write(to: &writer)
        return writer.bytes
    }

    @Test func reportsReadAsTheyWereWritten() throws {
        var reader = WireReader(bytes(presence) + [9], of: "PRESENCE")
        #expect(try PresenceReport(from: &reader) == presence)
        reader = WireReader(bytes(shares) + [9], of: "SHARES")
        #expect(try ShareReport(from: &reader) == shares)
    }

    @Test func whatIsCutShortIsRefused() {
        for count in 0..<bytes(presence).count {
            var reader = WireReader(Array(bytes(presence).prefix(count)), of: "PRESENCE")
            #expect(throws: WireError.self) { try PresenceReport(from: &reader) }
        }
        for count in 0..<bytes(shares).count {
            var reader = WireReader(Array(bytes(shares).prefix(count)), of: "SHARES")
            #expect(throws: WireError.self) { try ShareReport(from: &reader) }
        }
    }

    @Test func moreRowsThanAFrameHoldsAreNeitherWrittenNorRead() throws {
        let rows = (0..<1000).map {
            PresenceReport.Row(
                tunnel: String(repeating: "x", count: 60) + "\($0)", players: .max, bytes_per_s: .max)
        }
        let written = bytes(PresenceReport(answersHeard: -1, rows: rows))
        #expect(written.count < 16 * 1024)
        var reader = WireReader(written, of: "PRESENCE")
        let read = try PresenceReport(from: &reader)
        #expect(read.rows.count == PresenceReport.maxRows)
        #expect(read.rows.allSatisfy { $0.players == Int(UInt32.max) && $0.bytes_per_s == .max })
        reader = WireReader([0, 0, 0, 0, 0xFF, 0xFF] + [UInt8](repeating: 0, count: 1 << 20), of: "PRESENCE")
        #expect(throws: WireError.self) { try PresenceReport(from: &reader) }
        reader = WireReader([0xFF, 0xFF] + [UInt8](repeating: 0, count: 1 << 20), of: "SHARES")
        #expect(throws: WireError.self) { try ShareReport(from: &reader) }
    }
}
