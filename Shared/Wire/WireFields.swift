/// Writes the fields of a message: integers are big-endian, texts carry their length before them.
struct WireWriter {
    private(set) var bytes: [UInt8] = []

    mutating func u8(_ value: UInt8) { bytes.append(value) }

    mutating func u16(_ value: Int) { integer(UInt64(clamping: value), width: 2) }

    mutating func u24(_ value: Int) { integer(UInt64(clamping: value), width: 3) }

    mutating func u32(_ value: Int) { integer(UInt64(clamping: value), width: 4) }

    mutating func u64(_ value: UInt64) { integer(value, width: 8) }

    /// A value that the width cannot hold becomes the largest that it can.
    private mutating func integer(_ value: UInt64, width: Int) {
        let largest = UInt64.max >> UInt64(64 - 8 * width)
        let held = min(value, largest)
        for shift in stride(from: 8 * (width - 1), through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: held >> UInt64(shift)))
        }
    }

    mutating func raw(_ more: some Sequence<UInt8>) { bytes += more }

    /// u8 length, then UTF-8. What is over `limit` is cut, so that the frame stays readable.
    mutating func shortText(_ text: String, limit: Int) {
        let content = Array(text.utf8.prefix(min(limit, 255)))
        u8(UInt8(content.count))
        bytes += content
    }

    /// u16 length, then UTF-8.
    mutating func text(_ text: String, limit: Int) {
        let content = Array(text.utf8.prefix(min(limit, 65535)))
        u16(content.count)
        bytes += content
    }
}

/// Reads the fields of one message. Bytes after the last field are left alone: newer versions append there.
struct WireReader {
    private let bytes: [UInt8]
    private var offset = 0
    private let what: String

    init(_ bytes: [UInt8], of what: String) {
        self.bytes = bytes
        self.what = what
    }

    private mutating func take(_ count: Int) throws(WireError) -> ArraySlice<UInt8> {
        guard bytes.count - offset >= count else { throw .cutShort(what: what) }
        defer { offset += count }
        return bytes[offset..<offset + count]
    }

    private mutating func integer(width: Int) throws(WireError) -> UInt64 {
        try take(width).reduce(0) { $0 << 8 | UInt64($1) }
    }

    mutating func u8() throws(WireError) -> UInt8 { UInt8(truncatingIfNeeded: try integer(width: 1)) }

    mutating func u16() throws(WireError) -> Int { Int(try integer(width: 2)) }

    mutating func u32() throws(WireError) -> Int { Int(try integer(width: 4)) }

    mutating func u64() throws(WireError) -> UInt64 { try integer(width: 8) }

    mutating func raw(_ count: Int) throws(WireError) -> [UInt8] { Array(try take(count)) }

    mutating func shortText(limit: Int) throws(WireError) -> String {
        try content(Int(try u8()), limit: limit)
    }

    mutating func text(limit: Int) throws(WireError) -> String { try content(try u16(), limit: limit) }

    private mutating func content(_ count: Int, limit: Int) throws(WireError) -> String {
        guard count <= limit else { throw .tooLarge(what: "a text of \(what)", bytes: count, limit: limit) }
        guard let text = String(validating: try take(count), as: UTF8.self) else {
            throw .notText(what: "a text of \(what)")
        }
        return text
    }
}

extension Span<UInt8> {
    /// A copy of a part. The caller has checked that it is there.
    func copy(from start: Int, count: Int) -> [UInt8] {
        extracting(start..<start + count).withUnsafeBufferPointer { Array($0) }
    }

    func bigEndian(at start: Int, width: Int) -> Int {
        var value = 0
        for index in start..<start + width { value = value << 8 | Int(self[index]) }
        return value
    }
}
