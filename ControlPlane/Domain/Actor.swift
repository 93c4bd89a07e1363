/// Who changes something, for the audit log.
public struct Actor: Sendable, Hashable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// The identifier of a user or key, `operator`, or the name of a part of ours.
    public var text: String
    /// Where a request came from; nil for what the control plane does by itself.
    public var address: String?

    public init(_ text: String, address: String? = nil) {
        self.text = text
        self.address = address
    }

    public init(stringLiteral text: String) { self.init(text) }

    /// A part of the control plane that acts without being asked, such as `stripe`.
    public static func system(_ name: String) -> Actor { Actor("system:\(name)") }

    public var description: String { text }
}
