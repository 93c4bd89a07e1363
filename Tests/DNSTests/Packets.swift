import Core

@testable import DNS

/// Answers as a server would write them.
enum Packets {
    static func uint16(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }

    static func name(_ text: String) -> [UInt8] { DNSName(text)?.bytes ?? [0] }

    /// The question's bytes, from the question itself.
    static func question(of query: [UInt8]) -> [UInt8] { Array(query.dropFirst(12)) }

    static func answer(
        to query: [UInt8], flags: Int = 0x8180, records: [[UInt8]] = [], id: [UInt8]? = nil,
        question: [UInt8]? = nil
    ) -> [UInt8] {
        (id ?? Array(query.prefix(2))) + uint16(flags) + uint16(1) + uint16(records.count) + uint16(0)
            + uint16(0) + (question ?? Self.question(of: query)) + records.flatMap { $0 }
    }

    static func record(_ owner: [UInt8], type: Int, _ data: [UInt8]) -> [UInt8] {
        owner + uint16(type) + uint16(1) + [0, 0, 0, 60] + uint16(data.count) + data
    }

    static func txt(_ owner: String, _ strings: String...) -> [UInt8] {
        record(name(owner), type: 16, strings.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) })
    }

    static func cname(_ owner: String, _ target: String) -> [UInt8] {
        record(name(owner), type: 5, name(target))
    }
}

struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64 = 1

    /// SplitMix64.
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
