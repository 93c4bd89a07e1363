/// Words that describe, for made-up names.
enum Adjectives { static let text = "sleepy" }
