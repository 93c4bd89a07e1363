import Core
import RelayCore
import Testing
import Wire

@Suite struct RegionFileTests {
    private static let snapshot = RegionSnapshot(
        epoch: 3, region: "eu", rev: 17,
        assignments: [
            Assignment(
                tunnel: "tun_1", account: "acc_1", hostnames: ["a.eu.example.org", "play.example.com"],
                owner: "r1", standby: "r2", previousOwner: "r3", generation: 4, session: "ses_1",
                limits: Limits(players: 20, bytes_per_s: 1_000_000, idle_timeout_s: 60), state: .online,
                revokedKeys: ["agk_9"]),
            Assignment(
                tunnel: "tun_2", account: "acc_1", hostnames: [], generation: 1, limits: .none,
                state: .suspended),
        ],
        relays: [
            RelayInfo(
                id: "r1", region: "eu", endpoint: "r1.example:7000", meshAddress: "10.0.0.1:7001",
                fingerprint: "f", state: .draining, sharedEntry: true)
        ])

    private static func file(_ snapshot: RegionSnapshot = snapshot) -> [UInt8] {
        var bytes: [UInt8] = []
        RegionFile.write(snapshot) { bytes += $0 }
        return bytes
    }

    @Test func whatWasWrittenIsRead() throws {
        #expect(try RegionFile.read(Self.file(), region: "eu") == Self.snapshot)
        let empty = RegionSnapshot(epoch: 0, region: "us", rev: 0, assignments: [], relays: [])
        #expect(try RegionFile.read(Self.file(empty), region: "us") == empty)
    }

    @Test func aLargeRegionComesInPieces() throws {
        var large = Self.snapshot
        large.assignments = (0..<2000).map { number in
            Assignment(
                tunnel: "tun_\(number)", account: "acc", hostnames: ["n\(number).eu.example.org"],
                generation: 1,
                state: .offline)
        }
        var pieces: [Int] = []
        var bytes: [UInt8] = []
        RegionFile.write(large) { piece in
            pieces.append(piece.count)
            bytes += piece
        }
        #expect(pieces.count > 3)
        #expect(pieces.allSatisfy { $0 < 80_000 })
        #expect(try RegionFile.read(bytes, region: "eu") == large)
    }

    @Test func whatIsCutShortIsRefusedWhereverItEnds() {
        let whole = Self.file()
        for count in 0..<whole.count {
            #expect(throws: RegionFileError.self) {
                try RegionFile.read(Array(whole[..<count]), region: "eu")
            }
        }
    }

    @Test func whatIsDamagedIsRefusedWhereverItIs() {
        let whole = Self.file()
        for index in whole.indices {
            var damaged = whole
            damaged[index] ^= 1
            #expect(throws: RegionFileError.self) { try RegionFile.read(damaged, region: "eu") }
        }
    }

    @Test func linesThatAreMissingSwappedOrAddedAreNoticed() {
        let lines = Self.file().split(separator: 0x0A).map { Array($0) + [0x0A] }
        var swapped = lines
        swapped.swapAt(2, 3)
        #expect(throws: RegionFileError.damaged) { try RegionFile.read(swapped.flatMap { $0 }, region: "eu") }
        let added = lines + [lines[0]]
        #expect(throws: RegionFileError.damaged) { try RegionFile.read(added.flatMap { $0 }, region: "eu") }
        var missing = lines
        missing.remove(at: 3)
        #expect(throws: RegionFileError.self) { try RegionFile.read(missing.flatMap { $0 }, region: "eu") }
    }

    @Test func aFileOfAnotherRegionIsRefused() {
        #expect(throws: RegionFileError.otherRegion("eu")) {
            try RegionFile.read(Self.file(), region: "us")
        }
    }
}

@Suite struct RegionFileClockTests {
    private func at(_ milliseconds: Int) -> Instant {
        Instant(nanoseconds: 1 << 40) + Milliseconds(milliseconds)
    }

    private func position(_ rev: Int, epoch: Int = 1) -> RegionBeacon {
        RegionBeacon(epoch: epoch, region: "eu", rev: rev, digest: "d\(rev)")
    }

    @Test func itIsWrittenWhenItChanged() {
        var clock = RegionFileClock(kept: nil)
        let nothing = clock.isDue(nil, now: at(0))
        let first = clock.isDue(position(1), now: at(0))
        let meanwhile = clock.isDue(position(2), now: at(10_000))
        _ = clock.written(position(1), took: Milliseconds(5), now: at(10_000))
        let same = clock.isDue(position(1), now: at(20_000))
        let changed = clock.isDue(position(2), now: at(20_000))
        #expect([nothing, first, meanwhile, same, changed] == [false, true, false, false, true])
    }

    @Test func whatAnEarlierRunKeptIsNotWrittenAgain() {
        var clock = RegionFileClock(kept: position(7))
        let same = clock.isDue(position(7), now: at(0))
        let newEpoch = clock.isDue(position(7, epoch: 2), now: at(0))
        #expect([same, newEpoch] == [false, true])
    }

    @Test func changesThatFollowEachOtherAreWrittenNowAndThen() {
        var clock = RegionFileClock(kept: nil)
        var writes = 0
        for step in 0..<600 where clock.isDue(position(step + 1), now: at(step * 100)) {
            writes += 1
            _ = clock.written(position(step + 1), took: Milliseconds(1), now: at(step * 100))
        }
        #expect(writes == 20)
    }

    @Test func aRegionThatTakesLongIsWrittenSeldom() {
        var clock = RegionFileClock(kept: nil)
        _ = clock.isDue(position(1), now: at(0))
        _ = clock.written(position(1), took: .seconds(2), now: at(2000))
        let early = clock.isDue(position(2), now: at(21_000))
        let late = clock.isDue(position(2), now: at(22_000))
        #expect([early, late] == [false, true])
    }

    @Test func troubleIsToldOnceUntilItIsOver() {
        var clock = RegionFileClock(kept: nil)
        var told: [Bool] = []
        for (step, works) in [false, false, true, true, false, false, true].enumerated() {
            let now = at(60_000 * (step + 1))
            let isDue = clock.isDue(position(step + 1), now: now)
            #expect(isDue)
            told.append(
                works
                    ? clock.written(position(step + 1), took: Milliseconds(1), now: now)
                    : clock.failed(now: now))
        }
        #expect(told == [true, false, true, false, true, false, true])
    }

    @Test func aFullDiskIsNotTriedAllTheTime() {
        var clock = RegionFileClock(kept: nil)
        _ = clock.isDue(position(1), now: at(0))
        _ = clock.failed(now: at(0))
        let early = clock.isDue(position(1), now: at(29_999))
        let late = clock.isDue(position(1), now: at(30_000))
        #expect([early, late] == [false, true])
    }
}
