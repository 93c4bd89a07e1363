import Core

/// Parameters in the form that Stripe reads: `application/x-www-form-urlencoded`, with brackets for what is inside,
/// `line_items[0][price]=price_1`.
public enum StripeForm {
    /// Null becomes an empty value, which unsets a parameter.
    public static func encode(_ parameters: JSONObject) -> String {
        var pairs: [String] = []
        for member in parameters.members { add(member.value, under: member.name, to: &pairs) }
        return pairs.joined(separator: "&")
    }

    private static func add(_ value: JSON, under name: String, to pairs: inout [String]) {
        switch value {
        case .object(let object):
            for member in object.members { add(member.value, under: "\(name)[\(member.name)]", to: &pairs) }
        case .array(let items):
            for (index, item) in items.enumerated() { add(item, under: "\(name)[\(index)]", to: &pairs) }
        case .null: pairs.append(escaped(name) + "=")
        case .string(let text): pairs.append(escaped(name) + "=" + escaped(text))
        case .bool, .integer, .number: pairs.append(escaped(name) + "=" + escaped(value.text))
        }
    }

    /// Percent-encoded; what RFC 3986 calls unreserved stays.
    static func escaped(_ text: String) -> String {
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: bytes.append(byte)
            default: bytes += ("%" + Hex.encode([byte]).uppercased()).utf8
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
