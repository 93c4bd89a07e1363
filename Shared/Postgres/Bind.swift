import Core

/// A parameter as it goes to the server. Text travels in text format, bytes in binary format.
public enum Bind: Sendable, Hashable {
    case null
    case text(String)
    case bytes([UInt8])
}

/// What may stand in a query's list of binds.
public protocol Bindable: Sendable {
    var bind: Bind { get }
}

extension String: Bindable { public var bind: Bind { .text(self) } }
extension Int: Bindable { public var bind: Bind { .text(String(self)) } }
extension Int64: Bindable { public var bind: Bind { .text(String(self)) } }
extension Bool: Bindable { public var bind: Bind { .text(self ? "t" : "f") } }
extension Double: Bindable { public var bind: Bind { .text("\(self)") } }
extension JSON: Bindable { public var bind: Bind { .text(text) } }
extension Identifier: Bindable { public var bind: Bind { .text(text) } }
extension Array: Bindable where Element == UInt8 { public var bind: Bind { .bytes(self) } }

/// Seconds since 1970; SQL turns it into a time with `to_timestamp($1)`.
extension WallTime: Bindable { public var bind: Bind { .text(String(seconds)) } }

extension Optional: Bindable where Wrapped: Bindable {
    public var bind: Bind { self?.bind ?? .null }
}

/// A `text[]`.
public struct TextArray: Bindable {
    public let values: [String]

    public init(_ values: [String]) { self.values = values }
    public init<Kind>(_ values: [Identifier<Kind>]) { self.values = values.map(\.text) }

    public var bind: Bind {
        .text("{" + values.map(Self.quoted).joined(separator: ",") + "}")
    }

    private static func quoted(_ value: String) -> String {
        var text = "\""
        for character in value.unicodeScalars {
            if character == "\"" || character == "\\" { text += "\\" }
            text.unicodeScalars.append(character)
        }
        return text + "\""
    }
}
