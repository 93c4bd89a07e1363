/// Why a key or certificate was not taken or could not be made. Never holds the secret itself.
public struct CryptoError: Error, Sendable, Hashable, CustomStringConvertible {
    public let reason: String

    public init(_ reason: String) { self.reason = reason }

    public var description: String { reason }
}
