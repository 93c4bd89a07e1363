import Core

/// Which part of a list is wanted: up to `limit` items after the one that a cursor points at.
public struct Page: Sendable, Hashable {
    public static let limits = 1...100
    public static let standardLimit = 50

    public var limit: Int
    /// The last item's place in the order of creation.
    public var after: Int?

    public init(limit: Int = standardLimit, after: Int? = nil) {
        self.limit = min(max(limit, Self.limits.lowerBound), Self.limits.upperBound)
        self.after = after
    }

    /// nil for a cursor that we did not give out.
    public init?(limit: Int, cursor: String) {
        guard let bytes = Base64URL.decode(cursor),
            let place = Int(String(decoding: bytes, as: UTF8.self)), place > 0
        else { return nil }
        self.init(limit: limit, after: place)
    }

    static func cursor(_ place: Int) -> String { Base64URL.encode(Array(String(place).utf8)) }
}

/// One page and where the next begins; `nextCursor` is nil at the end.
public struct Listing<Item: Sendable>: Sendable {
    public var items: [Item]
    public var nextCursor: String?

    public init(items: [Item], nextCursor: String?) {
        self.items = items
        self.nextCursor = nextCursor
    }

    /// From one item more than the page holds, each with its place.
    init(_ found: [(place: Int, item: Item)], _ page: Page) {
        items = found.prefix(page.limit).map(\.item)
        nextCursor =
            found.count > page.limit ? found.prefix(page.limit).last.map { Page.cursor($0.place) } : nil
    }
}
