import Core

/// Schemas as JSON Schema 2020-12, the dialect of OpenAPI 3.1.
extension Schema {
    /// A reference where the schema has a name; `components` gets what is referred to.
    func json(_ components: inout JSONObject) -> JSON {
        guard let name else { return inline(&components) }
        let reference: JSON = ["$ref": .string("#/components/schemas/\(name)")]
        if components[name] == nil {
            // Before its parts, so that components stand in the order of their use.
            components[name] = .null
            var plain = self
            plain.isNullable = false
            components[name] = plain.inline(&components)
        }
        return isNullable ? ["anyOf": [reference, ["type": "null"]]] : reference
    }

    private func inline(_ components: inout JSONObject) -> JSON {
        var object = JSONObject()
        if let about { object["description"] = .string(about) }
        switch shape {
        case .text(let length, let pattern, let format):
            object["type"] = type("string")
            if length.lowerBound > 0 { object["minLength"] = .integer(Int64(length.lowerBound)) }
            object["maxLength"] = .integer(Int64(length.upperBound))
            if let pattern { object["pattern"] = .string(pattern) }
            if let format { object["format"] = .string(format) }
        case .words(let words):
            object["type"] = type("string")
            object["enum"] = .array(words.map { .string($0) } + (isNullable ? [.null] : []))
        case .integer(let range):
            object["type"] = type("integer")
            object["minimum"] = .integer(range.lowerBound)
            object["maximum"] = .integer(range.upperBound)
        case .bool: object["type"] = type("boolean")
        case .list(let item, let max):
            object["type"] = type("array")
            object["items"] = item.json(&components)
            if let max { object["maxItems"] = .integer(Int64(max)) }
        case .object(let members, let others):
            object["type"] = type("object")
            write(members, others, into: &object, &components)
        case .choice(let schemas):
            object["oneOf"] = .array(
                schemas.map { $0.json(&components) } + (isNullable ? [["type": "null"]] : []))
        }
        object["examples"] = [example]
        return .object(object)
    }

    private func write(
        _ members: [Member], _ others: Others, into object: inout JSONObject, _ components: inout JSONObject
    ) {
        if !members.isEmpty {
            var properties = JSONObject()
            for member in members { properties[member.name] = member.schema.json(&components) }
            object["properties"] = .object(properties)
        }
        let required = members.filter(\.isRequired).map { JSON.string($0.name) }
        if !required.isEmpty { object["required"] = .array(required) }
        switch others {
        case .none: object["additionalProperties"] = false
        case .anything: break
        case .each(let schema): object["additionalProperties"] = schema.json(&components)
        }
    }

    private func type(_ name: String) -> JSON { isNullable ? [.string(name), "null"] : .string(name) }
}
