import CLinux
import Core
import IO
import Support
import Testing
import Wire

@testable import Relay
@testable import RelayCore

/// The copy of the region that a relay keeps on disk.
@Suite(.timeLimit(.minutes(2)))
struct RegionKeeperTests {
    private static func snapshot(rev: Int, epoch: Int = 1, owner: String = "r1") -> RegionSnapshot {
        RegionSnapshot(
            epoch: epoch, region: "eu", rev: rev,
            assignments: [
                Assignment(
                    tunnel: "t", account: "a", hostnames: ["t.eu.example.org"], owner: owner, generation: rev,
                    state: .online)
            ], relays: [])
    }

    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = try Files.temporaryFolder("keeper")
        defer { try? ChildProcess.run("/bin/rm", ["-rf", folder], log: "/dev/null") }
        try body(folder)
    }

    /// Runs a keeper on a loop of its own while `body` changes the routes.
    private func withKeeper(_ routes: Routes, _ folder: String, _ body: () throws -> Void) throws {
        let thread = try LoopThread.start(name: "keeper")
        let began = Gathering<Void>(expecting: 1)
        thread.mailbox.post { loop in
            let keeper = RegionKeeper(loop: loop, routes: routes, directory: folder)
            keeper.start()
            // It lives as long as the loop.
            loop.schedule(after: .minutes(60)) { withExtendedLifetime(keeper) {} }
            began.add(())
        }
        _ = began.wait()
        defer {
            thread.stop()
            thread.join()
        }
        try body()
    }

    private func waitUntil(_ isTrue: () -> Bool) throws {
        let end = Instant.now() + .seconds(Peer.deadline_s)
        while !isTrue() {
            guard Instant.now() < end else { throw TestFailure("it did not happen") }
            usleep(10_000)
        }
    }

    @Test func aChangedRegionIsKeptAndOnlyItsOwnerReadsIt() throws {
        try withFolder { folder in
            let routes = Routes()
            try withKeeper(routes, folder) {
                #expect(RegionKeeper.load(directory: folder, region: "eu") == nil)
                _ = routes.apply(.snapshot(Self.snapshot(rev: 7)), fromControlPlane: true)
                try waitUntil { RegionKeeper.load(directory: folder, region: "eu") == Self.snapshot(rev: 7) }
            }
            var status = stat()
            #expect(stat(RegionKeeper.path(in: folder), &status) == 0)
            #expect(status.st_mode & 0o777 == 0o600)
            #expect(RegionKeeper.load(directory: folder, region: "us") == nil)
            #expect(RegionKeeper.load(directory: nil, region: "eu") == nil)
        }
    }

    @Test func aFullDiskLeavesTheOldFileAndNoHalfOne() throws {
        try withFolder { folder in
            let path = folder + "/file"
            try StateFile.write("old", to: path)
            // What is written to it fails as on a full disk.
            #expect(symlink("/dev/full", path + ".new") == 0)
            #expect(throws: StateError.self) { try StateFile.write("new", to: path) }
            #expect(Settings.read(path) == "old")
            #expect(access(path + ".new", F_OK) != 0)
            try StateFile.write("new", to: path)
            #expect(Settings.read(path) == "new")
            #expect(throws: StateError.self) { try StateFile.write("x", to: folder + "/none/file") }
        }
    }

    @Test func aBrokenFileIsAsGoodAsNone() throws {
        try withFolder { folder in
            let path = RegionKeeper.path(in: folder)
            try StateFile.replace(path) { add throws(StateError) in
                try RegionFile.write(Self.snapshot(rev: 7), to: add)
            }
            let whole = try #require(try StateFile.read(path, maxBytes: 1 << 20))
            #expect(RegionKeeper.load(directory: folder, region: "eu") != nil)
            #expect(truncate(path, off_t(whole.count - 1)) == 0)
            #expect(RegionKeeper.load(directory: folder, region: "eu") == nil)
            try StateFile.write("garbage", to: path)
            #expect(RegionKeeper.load(directory: folder, region: "eu") == nil)
            #expect(unlink(path) == 0)
            #expect(mkdir(path, 0o700) == 0)
            #expect(RegionKeeper.load(directory: folder, region: "eu") == nil)
        }
    }

    @Test func anOlderSnapshotInRedisDoesNotReplaceTheFile() {
        let routes = Routes()
        routes.restore(Self.snapshot(rev: 7, epoch: 2))
        #expect(routes.assignment(of: "t")?.generation == 7)
        #expect(routes.apply(.snapshot(Self.snapshot(rev: 6, epoch: 2)), fromControlPlane: false) == .stale)
        #expect(routes.apply(.snapshot(Self.snapshot(rev: 9, epoch: 1)), fromControlPlane: false) == .stale)
        #expect(routes.assignment(of: "t")?.generation == 7)
        #expect(
            routes.apply(.snapshot(Self.snapshot(rev: 8, epoch: 2)), fromControlPlane: false)
                == .applied(tunnels: ["t"]))
    }

    @Test func aNewerDeltaContinuesTheFile() {
        let routes = Routes()
        routes.restore(Self.snapshot(rev: 7))
        let next = RegionDelta(epoch: 1, region: "eu", prevRev: 7, rev: 8, deletes: ["t"])
        #expect(routes.apply(.delta(next), fromControlPlane: false) == .applied(tunnels: ["t"]))
        let later = RegionDelta(epoch: 1, region: "eu", prevRev: 9, rev: 10)
        #expect(routes.apply(.delta(later), fromControlPlane: false) == .gap)
    }

    @Test func theControlPlanesFirstWordCountsWhateverTheFileSays() {
        let routes = Routes()
        routes.restore(Self.snapshot(rev: 700, epoch: 9))
        // A restored database: lower epochs, lower revisions.
        var restored = Self.snapshot(rev: 5, epoch: 2)
        restored.assignments[0].tunnel = "u"
        #expect(routes.apply(.snapshot(restored), fromControlPlane: true) == .applied(tunnels: ["t", "u"]))
        #expect(routes.position?.rev == 5)
        // From then on the ordinary rules count.
        #expect(routes.apply(.snapshot(Self.snapshot(rev: 4, epoch: 2)), fromControlPlane: true) == .stale)
        #expect(routes.apply(.snapshot(Self.snapshot(rev: 9, epoch: 1)), fromControlPlane: true) == .stale)
    }

    @Test func onceConfirmedTheFileIsNoExcuseAnyMore() throws {
        let routes = Routes()
        routes.restore(Self.snapshot(rev: 7, epoch: 2))
        let beacon = try #require(routes.position)
        #expect(routes.apply(.beacon(beacon), fromControlPlane: false) == .current)
        #expect(routes.apply(.snapshot(Self.snapshot(rev: 5, epoch: 1)), fromControlPlane: true) == .stale)
    }
}
