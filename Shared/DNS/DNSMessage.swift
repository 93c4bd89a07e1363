/// Why bytes are no DNS answer.
public enum DNSFormatError: Error, Sendable, Hashable {
    /// It ends in the middle of something.
    case short
    /// A pointer that does not lead backwards, or a name beyond the limits.
    case badName
    /// No answer, or not with exactly one question.
    case notAnAnswer
}

/// What a server says of a question (RFC 1035, section 4.1.1). Others are kept by number.
public enum DNSResponseCode: Sendable, Hashable {
    case noError, formatError, serverFailure, nameError, notImplemented, refused
    case other(UInt8)

    init(_ code: UInt8) {
        self =
            switch code {
            case 0: .noError
            case 1: .formatError
            case 2: .serverFailure
            case 3: .nameError
            case 4: .notImplemented
            case 5: .refused
            default: .other(code)
            }
    }
}

/// The types of records that we ask for or follow.
enum DNSType {
    static let cname: UInt16 = 5
    static let txt: UInt16 = 16
    static let internet: UInt16 = 1
}

/// One question for the TXT records of a name, recursion wanted.
enum DNSQuery {
    static func txt(_ name: DNSName, id: UInt16) -> [UInt8] {
        let recursionDesired: UInt16 = 0x0100
        let header: [UInt16] = [id, recursionDesired, 1, 0, 0, 0]
        return header.flatMap(bytes) + name.bytes + bytes(DNSType.txt) + bytes(DNSType.internet)
    }

    private static func bytes(_ value: UInt16) -> [UInt8] {
        [UInt8(value >> 8), UInt8(truncatingIfNeeded: value)]
    }
}

/// A server's answer as far as TXT records go. Whatever a packet claims, reading it takes time and memory in
/// proportion to its bytes.
public struct DNSAnswer: Sendable, Hashable {
    public enum Data: Sendable, Hashable {
        case cname(DNSName)
        /// A record's strings, joined.
        case txt([UInt8])
    }

    public struct Record: Sendable, Hashable {
        public let owner: DNSName
        public let data: Data
    }

    public let id: UInt16
    /// More did not fit: ask again by TCP.
    public let isTruncated: Bool
    public let code: DNSResponseCode
    public let question: DNSName
    public let questionIsTXT: Bool
    /// TXT and CNAME records of the answer section, in order; other types are skipped.
    public let records: [Record]

    public init(_ packet: [UInt8]) throws(DNSFormatError) {
        var reader = DNSReader(packet)
        id = try reader.uint16()
        let flags = try reader.uint16()
        let questions = try reader.uint16()
        let answers = Int(try reader.uint16())
        _ = try reader.uint16()
        _ = try reader.uint16()
        guard flags & 0x8000 != 0, questions == 1 else { throw .notAnAnswer }
        isTruncated = flags & 0x0200 != 0
        code = DNSResponseCode(UInt8(flags & 0xF))
        question = try reader.name()
        let type = try reader.uint16()
        questionIsTXT = try reader.uint16() == DNSType.internet && type == DNSType.txt
        var records: [Record] = []
        for _ in 0..<answers {
            do throws(DNSFormatError) {
                if let record = try Self.record(&reader) { records.append(record) }
            } catch .short where isTruncated {
                // Cut in the middle of a record: the whole comes by TCP.
                break
            }
        }
        self.records = records
    }

    /// nil for a type that is not ours.
    private static func record(_ reader: inout DNSReader) throws(DNSFormatError) -> Record? {
        let owner = try reader.name()
        let type = try reader.uint16()
        let zone = try reader.uint16()
        _ = try reader.uint16()
        _ = try reader.uint16()
        let end = reader.position + Int(try reader.uint16()) + 2
        guard end <= reader.count else { throw .short }
        defer { reader.position = end }
        guard zone == DNSType.internet else { return nil }
        switch type {
        case DNSType.cname:
            let target = try reader.name()
            guard reader.position == end else { throw .badName }
            return Record(owner: owner, data: .cname(target))
        case DNSType.txt:
            var text: [UInt8] = []
            while reader.position < end {
                let length = Int(try reader.uint8())
                guard reader.position + length <= end else { throw .short }
                text += try reader.bytes(length)
            }
            return Record(owner: owner, data: .txt(text))
        default: return nil
        }
    }
}

/// Reads a packet from front to back; names may point backwards.
private struct DNSReader {
    private let packet: [UInt8]
    var position = 0

    init(_ packet: [UInt8]) { self.packet = packet }

    var count: Int { packet.count }

    mutating func uint8() throws(DNSFormatError) -> UInt8 {
        guard position < packet.count else { throw .short }
        defer { position += 1 }
        return packet[position]
    }

    mutating func uint16() throws(DNSFormatError) -> UInt16 {
        let high = try uint8()
        return UInt16(high) << 8 | UInt16(try uint8())
    }

    mutating func bytes(_ length: Int) throws(DNSFormatError) -> ArraySlice<UInt8> {
        guard packet.count - position >= length else { throw .short }
        defer { position += length }
        return packet[position..<position + length]
    }

    /// Each pointer must lead to before the part it ends, so that following them comes to an end.
    mutating func name() throws(DNSFormatError) -> DNSName {
        var labels: [[UInt8]] = []
        var total = 1
        var at = position
        var partStart = position
        var end: Int?
        while true {
            guard at < packet.count else { throw .short }
            let length = Int(packet[at])
            switch length {
            case 0:
                position = end ?? at + 1
                guard let name = DNSName(labels: labels) else { throw .badName }
                return name
            case 1...DNSName.maxLabelBytes:
                total += length + 1
                guard total <= DNSName.maxBytes else { throw .badName }
                guard at + 1 + length <= packet.count else { throw .short }
                labels.append(Array(packet[at + 1..<at + 1 + length]))
                at += 1 + length
            case 0xC0...0xFF:
                guard at + 1 < packet.count else { throw .short }
                let target = (length & 0x3F) << 8 | Int(packet[at + 1])
                guard target < partStart else { throw .badName }
                if end == nil { end = at + 2 }
                at = target
                partStart = target
            default: throw .badName
            }
        }
    }
}
