/// A JSON value (RFC 8259). Objects keep the order of their members, so that what we sign and print is stable.
public enum JSON: Sendable, Hashable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSON])
    case object(JSONObject)
}

/// The members of a JSON object in order; no name occurs twice.
public struct JSONObject: Sendable, Hashable, ExpressibleByDictionaryLiteral {
    public private(set) var members: [(name: String, value: JSON)] = []
    /// Position by name, kept only for objects too large to scan.
    private var positions: [String: Int] = [:]
    private static let scannedMembers = 16

    public init() {}

    public init(dictionaryLiteral elements: (String, JSON)...) {
        for (name, value) in elements { self[name] = value }
    }

    public var count: Int { members.count }

    public subscript(name: String) -> JSON? {
        get { position(name).map { members[$0].value } }
        set {
            switch (position(name), newValue) {
            case (let index?, let value?): members[index].value = value
            case (let index?, nil):
                members.remove(at: index)
                reindex()
            case (nil, let value?):
                members.append((name, value))
                if members.count == Self.scannedMembers + 1 {
                    reindex()
                } else if members.count > Self.scannedMembers {
                    positions[name] = members.count - 1
                }
            case (nil, nil): break
            }
        }
    }

    private func position(_ name: String) -> Int? {
        members.count > Self.scannedMembers ? positions[name] : members.firstIndex { $0.name == name }
    }

    private mutating func reindex() {
        positions = [:]
        guard members.count > Self.scannedMembers else { return }
        for (index, member) in members.enumerated() { positions[member.name] = index }
    }

    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.count == right.count && left.members.allSatisfy { right[$0.name] == $0.value }
    }

    public func hash(into hasher: inout Hasher) {
        // Equal objects may differ in order, so only what order cannot change is hashed.
        hasher.combine(members.count)
    }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }
    public init(nilLiteral: ()) { self = .null }
    public init(dictionaryLiteral elements: (String, JSON)...) {
        var object = JSONObject()
        for (name, value) in elements { object[name] = value }
        self = .object(object)
    }

    public var stringValue: String? { if case .string(let value) = self { value } else { nil } }
    public var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }
    /// A whole number, `1.0` too: JSON knows one kind of number only.
    public var integerValue: Int64? {
        switch self {
        case .integer(let value): value
        case .number(let value): Int64(exactly: value)
        default: nil
        }
    }
    public var arrayValue: [JSON]? { if case .array(let value) = self { value } else { nil } }
    public var objectValue: JSONObject? { if case .object(let value) = self { value } else { nil } }
    public var isNull: Bool { self == .null }

    /// A member of an object; nil for anything that is not an object.
    public subscript(name: String) -> JSON? { objectValue?[name] }
}
