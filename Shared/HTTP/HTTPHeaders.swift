/// The fields of a message in their order; names compare without regard to case. Kept as the bytes that were
/// read, so that a request whose fields nobody asks for costs no strings.
public struct HTTPHeaders: Sendable {
    struct Field: Sendable {
        var nameStart: UInt32
        var nameEnd: UInt32
        var valueStart: UInt32
        var valueEnd: UInt32

        init(name: Range<Int>, value: Range<Int>) {
            nameStart = UInt32(truncatingIfNeeded: name.lowerBound)
            nameEnd = UInt32(truncatingIfNeeded: name.upperBound)
            valueStart = UInt32(truncatingIfNeeded: value.lowerBound)
            valueEnd = UInt32(truncatingIfNeeded: value.upperBound)
        }

        var name: Range<Int> { Int(nameStart)..<Int(nameEnd) }
        var value: Range<Int> { Int(valueStart)..<Int(valueEnd) }
    }

    /// What the fields' ranges point into; it may hold other bytes too.
    private(set) var block: [UInt8]
    private(set) var fields: [Field]

    public init() {
        block = []
        fields = []
    }

    init(block: [UInt8], fields: [Field]) {
        self.block = block
        self.fields = fields
    }

    public var count: Int { fields.count }
    public var isEmpty: Bool { fields.isEmpty }

    /// The first value of that name. Setting replaces all of them; nil removes them.
    public subscript(name: String) -> String? {
        get {
            for field in fields where matches(field, name) { return text(field.value) }
            return nil
        }
        set {
            fields = fields.filter { !matches($0, name) }
            if let newValue { add(name, newValue) }
        }
    }

    public func values(_ name: String) -> [String] {
        fields.filter { matches($0, name) }.map { text($0.value) }
    }

    public func contains(_ name: String) -> Bool { fields.contains { matches($0, name) } }

    /// Every field as it was written.
    public var all: [(name: String, value: String)] {
        fields.map { (text($0.name), text($0.value)) }
    }

    /// Adds a field. Bytes that would end the line become spaces (RFC 9110 section 5.5), so that no value
    /// starts a field of its own; a name that is no token is not added.
    public mutating func add(_ name: String, _ value: String) {
        guard !name.isEmpty, name.utf8.allSatisfy(CharacterSet.token.contains) else { return }
        let nameStart = block.count
        block.append(contentsOf: name.utf8)
        let valueStart = block.count
        for byte in value.utf8 { block.append(Ascii.isFieldContent(byte) ? byte : Ascii.space) }
        fields.append(
            Field(name: nameStart..<valueStart, value: block.span.trimmed(valueStart..<block.count)))
    }

    private func text(_ range: Range<Int>) -> String { block.span.text(range) }

    private func matches(_ field: Field, _ name: String) -> Bool {
        let name = name.utf8
        guard name.count == field.name.count else { return false }
        var index = field.name.lowerBound
        for byte in name {
            guard Ascii.lowered(byte) == Ascii.lowered(block[index]) else { return false }
            index += 1
        }
        return true
    }

    /// Whether a list-valued field, over all its lines, has this member (given in lower case).
    func lists(_ member: StaticString, in name: StaticString) -> Bool {
        let bytes = block.span
        for field in fields where bytes.spells(name, field.name) {
            var start = field.value.lowerBound
            while start <= field.value.upperBound {
                let comma = bytes.index(of: UInt8(ascii: ","), from: start) ?? field.value.upperBound
                let end = min(comma, field.value.upperBound)
                if bytes.spells(member, bytes.trimmed(start..<end)) { return true }
                start = end + 1
            }
        }
        return false
    }
}

extension HTTPHeaders: ExpressibleByDictionaryLiteral {
    public init(dictionaryLiteral elements: (String, String)...) {
        self.init()
        for (name, value) in elements { add(name, value) }
    }
}

extension HTTPHeaders: Equatable {
    public static func == (left: HTTPHeaders, right: HTTPHeaders) -> Bool {
        left.count == right.count
            && zip(left.all, right.all).allSatisfy {
                $0.value == $1.value && $0.name.lowercased() == $1.name.lowercased()
            }
    }
}
