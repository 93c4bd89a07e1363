import Core
import Crypto
import Wire

/// A relay's copy of its region in the form of a file: what it serves by right after a start while nobody answers.
///
/// Lines of JSON, so that a region of any size is written and read piece by piece:
///
///     {"form":1,"region":"eu","epoch":3,"rev":17,"relays":2,"assignments":1}
///     two relays, one a line, as in a message about assignments
///     one assignment
///     {"seal":"…"}      SHA-256 in hex, line by line: of the value so far and the line
///
/// The seal finds what was cut short or damaged. It fends nobody off: who can write there has the relay's keys, too.
public enum RegionFile {
    /// More is no region of ours.
    public static let maxBytes = 256 << 20
    private static let form = 1
    private static let pieceBytes = 64 * 1024
    private static let newline: UInt8 = 0x0A

    /// Hands the file out in pieces of about 64 KiB.
    public static func write<Failure: Error>(
        _ snapshot: RegionSnapshot, to sink: (_ piece: [UInt8]) throws(Failure) -> Void
    ) throws(Failure) {
        var seal: [UInt8] = []
        var piece: [UInt8] = []
        func add(_ line: JSON) throws(Failure) {
            let bytes = line.bytes
            seal = SHA256.hash(seal + bytes)
            piece += bytes
            piece.append(newline)
            guard piece.count >= pieceBytes else { return }
            try sink(piece)
            piece.removeAll(keepingCapacity: true)
        }
        try add([
            "form": .integer(Int64(form)), "region": .string(snapshot.region),
            "epoch": .integer(Int64(snapshot.epoch)), "rev": .integer(Int64(snapshot.rev)),
            "relays": .integer(Int64(snapshot.relays.count)),
            "assignments": .integer(Int64(snapshot.assignments.count)),
        ])
        for relay in snapshot.relays { try add(relay.json) }
        for assignment in snapshot.assignments { try add(assignment.json) }
        try add(["seal": .string(Hex.encode(seal))])
        if !piece.isEmpty { try sink(piece) }
    }

    public static func read(_ bytes: [UInt8], region: String) throws(RegionFileError) -> RegionSnapshot {
        var lines = Lines(bytes)
        let head = try lines.next()
        guard head["form"]?.integerValue == Int64(form) else { throw .damaged }
        guard let written = head["region"]?.stringValue else { throw .damaged }
        guard written == region else { throw .otherRegion(written) }
        guard let epoch = count(head["epoch"]), let rev = count(head["rev"]),
            let relayCount = count(head["relays"]), let assignmentCount = count(head["assignments"])
        else { throw .damaged }
        var snapshot = RegionSnapshot(epoch: epoch, region: region, rev: rev, assignments: [], relays: [])
        do {
            for _ in 0..<relayCount { snapshot.relays.append(try RelayInfo(json: lines.next())) }
            for _ in 0..<assignmentCount { snapshot.assignments.append(try Assignment(json: lines.next())) }
        } catch {
            throw (error as? RegionFileError) ?? .damaged
        }
        let seal = Hex.encode(lines.seal)
        guard try lines.next()["seal"]?.stringValue == seal, lines.isAtEnd else { throw .damaged }
        return snapshot
    }

    private static func count(_ json: JSON?) -> Int? {
        json?.integerValue.flatMap { $0 >= 0 ? Int($0) : nil }
    }

    private struct Lines {
        private let bytes: [UInt8]
        private var offset = 0
        private(set) var seal: [UInt8] = []

        init(_ bytes: [UInt8]) { self.bytes = bytes }

        var isAtEnd: Bool { offset == bytes.count }

        mutating func next() throws(RegionFileError) -> JSON {
            guard let end = bytes[offset...].firstIndex(of: newline) else { throw .cutShort }
            let line = Array(bytes[offset..<end])
            offset = end + 1
            seal = SHA256.hash(seal + line)
            do { return try JSON.parse(line) } catch { throw .damaged }
        }
    }
}

/// Why a kept copy of a region is of no use.
public enum RegionFileError: Error, Sendable, Hashable, CustomStringConvertible {
    case cutShort
    case damaged
    case otherRegion(String)

    public var description: String {
        switch self {
        case .cutShort: "it is cut short"
        case .damaged: "it is damaged"
        case .otherRegion(let region): "it is of region \(region)"
        }
    }
}

/// When the copy of the region is written to its file: when it changed, not while it is being written, and with pauses
/// that keep writing a small part of the time, however large the region.
public struct RegionFileClock: Sendable {
    private var kept: RegionBeacon?
    private var isWriting = false
    private var notBefore: Instant?
    private var isFailing = false
    public static let pause = Milliseconds.seconds(3)
    /// Writing takes at most this part of the time.
    private static let share = 10
    /// A disk that is full stays full for a while.
    public static let pauseAfterFailure = Milliseconds.seconds(30)

    /// `kept` is where the copy in the file stands.
    public init(kept: RegionBeacon?) { self.kept = kept }

    /// Whether to write the copy now, which stands at `position`. `written` or `failed` has to follow.
    public mutating func isDue(_ position: RegionBeacon?, now: Instant) -> Bool {
        guard let position, position != kept, !isWriting, notBefore.map({ $0 <= now }) ?? true else {
            return false
        }
        isWriting = true
        return true
    }

    /// Whether to tell that it works again.
    public mutating func written(_ position: RegionBeacon, took time: Milliseconds, now: Instant) -> Bool {
        kept = position
        isWriting = false
        notBefore = now + max(Self.pause, Milliseconds(time.count * Self.share))
        defer { isFailing = false }
        return isFailing
    }

    /// Whether to tell of it: the same trouble is told once until it is over.
    public mutating func failed(now: Instant) -> Bool {
        isWriting = false
        notBefore = now + Self.pauseAfterFailure
        defer { isFailing = true }
        return !isFailing
    }
}
