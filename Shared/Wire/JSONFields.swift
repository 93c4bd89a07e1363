import Core

/// Reads the members of a JSON object that another program of ours wrote. Members it does not know are left alone,
/// so that a newer writer may add some.
struct JSONFields {
    private let object: JSONObject
    private let what: String

    init(_ json: JSON?, of what: String) throws(WireError) {
        guard let object = json?.objectValue else { throw .badValue(what: what) }
        self.init(object, of: what)
    }

    init(_ object: JSONObject, of what: String) {
        self.object = object
        self.what = what
    }

    private func wrong(_ name: String) -> WireError { .badValue(what: "\(what).\(name)") }

    func text(_ name: String) throws(WireError) -> String {
        guard let value = object[name]?.stringValue else { throw wrong(name) }
        return value
    }

    /// nil for null and for a missing member.
    func optionalText(_ name: String) throws(WireError) -> String? {
        guard let value = object[name], !value.isNull else { return nil }
        guard let text = value.stringValue else { throw wrong(name) }
        return text
    }

    func texts(_ name: String) throws(WireError) -> [String] {
        guard let values = object[name]?.arrayValue else { throw wrong(name) }
        var texts: [String] = []
        for value in values {
            guard let text = value.stringValue else { throw wrong(name) }
            texts.append(text)
        }
        return texts
    }

    /// Empty for null and for a missing member.
    func optionalTexts(_ name: String) throws(WireError) -> [String] {
        guard let value = object[name], !value.isNull else { return [] }
        return try texts(name)
    }

    /// A whole number that is not negative.
    func integer(_ name: String) throws(WireError) -> Int {
        guard let value = try optionalInteger(name) else { throw wrong(name) }
        return value
    }

    func optionalInteger(_ name: String) throws(WireError) -> Int? {
        guard let value = object[name], !value.isNull else { return nil }
        guard let integer = value.integerValue, integer >= 0 else { throw wrong(name) }
        return Int(integer)
    }

    func bool(_ name: String) throws(WireError) -> Bool {
        guard let value = object[name]?.boolValue else { throw wrong(name) }
        return value
    }

    func object(_ name: String) throws(WireError) -> JSONFields {
        try JSONFields(object[name], of: "\(what).\(name)")
    }

    func list<Item>(_ name: String, _ item: (JSON) throws(WireError) -> Item) throws(WireError) -> [Item] {
        guard let values = object[name]?.arrayValue else { throw wrong(name) }
        var items: [Item] = []
        items.reserveCapacity(values.count)
        for value in values { items.append(try item(value)) }
        return items
    }
}

extension JSON {
    static func text(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }

    static func number(_ value: Int?) -> JSON { value.map { .integer(Int64($0)) } ?? .null }

    static func texts(_ values: [String]) -> JSON { .array(values.map { .string($0) }) }
}
