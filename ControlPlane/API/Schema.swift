import Core

/// What a JSON value may look like: written into the documents as JSON Schema, and what tests check answers by.
/// Every schema knows an example of itself.
public struct Schema: Sendable {
    indirect enum Shape: Sendable {
        /// `length` in Unicode scalars; `pattern` in the common part of ECMA 262 and Python.
        case text(length: ClosedRange<Int>, pattern: String?, format: String?)
        case words([String])
        case integer(ClosedRange<Int64>)
        case bool
        case list(Schema, max: Int?)
        case object([Member], others: Others)
        /// Exactly one of these fits.
        case choice([Schema])
    }

    struct Member: Sendable {
        let name: String
        let schema: Schema
        let isRequired: Bool
    }

    /// Members of an object that its schema does not name.
    enum Others: Sendable {
        case none
        case anything
        case each(Schema)
    }

    let shape: Shape
    public let example: JSON
    /// null is a value too.
    var isNullable = false
    /// Under this name among the components of the document.
    private(set) var name: String?
    private(set) var about: String?

    private init(_ shape: Shape, _ example: JSON) {
        self.shape = shape
        self.example = example
    }

    /// Without control characters, as `Fields` takes texts.
    private static let plainText = "^[^\\x00-\\x1F\\x7F]*$"

    static func text(
        _ example: String, _ length: ClosedRange<Int> = 1...256, pattern: String? = nil, format: String? = nil
    ) -> Schema {
        let isFree = pattern == nil && format == nil
        return Schema(
            .text(length: length, pattern: isFree ? plainText : pattern, format: format), .string(example))
    }

    /// With whatever the request held, control characters too.
    static func echo(_ example: String, _ length: ClosedRange<Int>) -> Schema {
        Schema(.text(length: length, pattern: nil, format: nil), .string(example))
    }

    /// One of ours, such as `.id(TunnelID.self)`. The pattern leaves out what 22 digits say beyond 128 bits.
    static func id<Kind: IdentifierKind>(_ kind: Identifier<Kind>.Type) -> Schema {
        let digit = "[0-9A-Za-z]"
        let length = Kind.prefix.utf8.count + 1 + Identifier<Kind>.digits
        return Schema(
            .text(
                length: length...length,
                pattern:
                    "^\(Kind.prefix)_(?:(?:[0-6]\(digit)|7[0-9A-Za-m])\(digit)|7n[0-3])\(digit){19}$",
                format: nil),
            .string(Identifier<Kind>(entropy: (1...UInt8(Identifier<Kind>.entropyBytes)).map { $0 }).text))
    }

    /// RFC 3339 in UTC.
    static let time = Schema(
        .text(length: 20...35, pattern: nil, format: "date-time"), "2026-11-21T12:00:00Z")

    static func integer(_ range: ClosedRange<Int64>, _ example: Int64) -> Schema {
        Schema(.integer(range), .integer(example))
    }

    /// A number of things, of bytes, of seconds.
    static func count(_ example: Int64) -> Schema { integer(0...Int64.max, example) }

    static func bool(_ example: Bool) -> Schema { Schema(.bool, .bool(example)) }

    /// One of these words; the first is the example.
    static func words(_ words: String...) -> Schema { Schema(.words(words), .string(words.first ?? "")) }

    /// The words of an enumeration.
    static func words<Word: CaseIterable & RawRepresentable<String>>(_ type: Word.Type) -> Schema {
        let words = type.allCases.map(\.rawValue)
        return Schema(.words(words), .string(words.first ?? ""))
    }

    static func list(of item: Schema, max: Int? = nil) -> Schema {
        Schema(.list(item, max: max), .array([item.example]))
    }

    /// Nothing but these members.
    static func object(
        _ required: KeyValuePairs<String, Schema>, optional: KeyValuePairs<String, Schema> = [:],
        others: Others = .none
    ) -> Schema {
        let members =
            required.map { Member(name: $0.key, schema: $0.value, isRequired: true) }
            + optional.map { Member(name: $0.key, schema: $0.value, isRequired: false) }
        return Schema(.object(members, others: others), example(of: members))
    }

    /// A request's body: members that may be missing may as well be null, as `Fields` takes them.
    static func body(
        _ required: KeyValuePairs<String, Schema>, optional: KeyValuePairs<String, Schema> = [:]
    ) -> Schema {
        let empty = object(required)
        guard case .object(let members, let others) = empty.shape else { return empty }
        let all = members + optional.map { Member(name: $0.key, schema: $0.value.orNull, isRequired: false) }
        return Schema(.object(all, others: others), example(of: all))
    }

    private static func example(of members: [Member]) -> JSON {
        var example = JSONObject()
        for member in members { example[member.name] = member.schema.example }
        return .object(example)
    }

    /// An object of which only the form of its values is known; the names are data.
    static func map(to value: Schema, named name: String) -> Schema {
        Schema(.object([], others: .each(value)), [name: value.example])
    }

    /// An object of any members.
    static func anyObject(_ example: JSON = [:]) -> Schema { Schema(.object([], others: .anything), example) }

    /// An object that has these members, and any others.
    static func anyObject(with members: KeyValuePairs<String, Schema>) -> Schema {
        let all = members.map { Member(name: $0.key, schema: $0.value, isRequired: true) }
        return Schema(.object(all, others: .anything), Self.example(of: all))
    }

    /// Exactly one of these; the first gives the example.
    static func choice(_ schemas: Schema...) -> Schema {
        Schema(.choice(schemas), schemas.first?.example ?? .null)
    }

    /// An object with more members.
    func with(optional more: KeyValuePairs<String, Schema>) -> Schema {
        guard case .object(let members, let others) = shape else { return self }
        let all = members + more.map { Member(name: $0.key, schema: $0.value, isRequired: false) }
        return Schema(.object(all, others: others), Self.example(of: all))
    }

    /// An object with more members that are always there.
    func with(required more: KeyValuePairs<String, Schema>) -> Schema {
        guard case .object(let members, let others) = shape else { return self }
        let all = members + more.map { Member(name: $0.key, schema: $0.value, isRequired: true) }
        return Schema(.object(all, others: others), Self.example(of: all))
    }

    var orNull: Schema {
        var copy = self
        copy.isNullable = true
        return copy
    }

    /// A component of the document: schemas that appear in more than one place have a name.
    func named(_ name: String) -> Schema {
        var copy = self
        copy.name = name
        return copy
    }

    func about(_ text: String) -> Schema {
        var copy = self
        copy.about = text
        return copy
    }

    /// The same with another example.
    func like(_ example: JSON) -> Schema {
        var copy = Schema(shape, example)
        copy.isNullable = isNullable
        copy.about = about
        return copy
    }

    /// An object's members; none for anything else.
    var members: [Member] { if case .object(let members, _) = shape { members } else { [] } }

    /// An object's example with nothing but what must be there.
    var smallestExample: JSON {
        guard case .object(let members, _) = shape else { return example }
        var object = JSONObject()
        for member in members where member.isRequired { object[member.name] = member.schema.example }
        return .object(object)
    }
}

/// What a route answers when all went well.
public struct Success: Sendable {
    enum Body: Sendable {
        case none
        case json(Schema)
        case text(String, contentType: String)
    }

    let status: Int
    let body: Body
    let headers: [String]

    static func ok(_ schema: Schema, headers: [String] = []) -> Success {
        Success(status: 200, body: .json(schema), headers: headers)
    }
    static func created(_ schema: Schema, headers: [String] = []) -> Success {
        Success(status: 201, body: .json(schema), headers: headers)
    }
    static func accepted(_ schema: Schema) -> Success {
        Success(status: 202, body: .json(schema), headers: [])
    }
    /// A list in the form that all lists have.
    static func list(of item: Schema) -> Success {
        .ok(
            .object([
                "data": .list(of: item),
                "next_cursor": .text("Mg", 1...64).orNull.about(
                    "Send it as cursor for the next page; null at the end."),
            ]))
    }
    static let nothing = Success(status: 204, body: .none, headers: [])
    static func text(_ example: String, contentType: String = "text/plain; charset=utf-8") -> Success {
        Success(status: 200, body: .text(example, contentType: contentType), headers: [])
    }
}
