import Core
import Wire

/// One player's stay.
public struct Visit: Sendable, Hashable {
    public var id: Int
    public var player: PlayerAddress
    /// What the client calls itself; nobody has checked it here.
    public var name: String?

    public init(id: Int, player: PlayerAddress, name: String?) {
        self.id = id
        self.player = player
        self.name = name
    }
}
