/// Makes up friendly names: `sleepy-creeper`.
public enum NameGenerator {
    static let adjectives = words(Adjectives.text)
    static let nouns = words(Nouns.text)

    /// How many names there are.
    public static var count: Int { adjectives.count * nouns.count }

    /// `below` gives a number from 0 up to, not including, its argument.
    public static func name(_ below: (Int) -> Int) -> String {
        adjectives[below(adjectives.count)] + "-" + nouns[below(nouns.count)]
    }

    private static func words(_ text: String) -> [String] {
        text.split(whereSeparator: \.isWhitespace).map(String.init)
    }
}
