/// Things and beings, for made-up names.
enum Nouns { static let text = "creeper" }
