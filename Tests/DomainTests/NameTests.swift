import Testing

@testable import Domain

@Suite struct LabelTests {
    @Test(arguments: ["abc", "sleepy-creeper", "a1b", "123", "a-b-c", String(repeating: "a", count: 40)])
    func aPlainNameIsTaken(_ text: String) throws { #expect(try Label(text).text == text) }

    @Test func capitalsBecomeSmall() throws { #expect(try Label("My-Server").text == "my-server") }

    @Test(arguments: [
        ("ab", Label.Problem.length), (String(repeating: "a", count: 41), .length), ("a_b", .characters),
        ("a.b", .characters), ("bär", .characters), ("a b", .characters), ("-abc", .hyphens),
        ("abc-", .hyphens),
        ("xn--abc", .hyphens), ("www", .reserved), ("API", .reserved), ("relay", .reserved),
    ])
    func everyOtherNameIsRefusedWithItsReason(_ text: String, _ problem: Label.Problem) {
        #expect(throws: problem) { try Label(text) }
    }
}

@Suite struct NameGeneratorTests {
    @Test func thereAreAMillionNamesWithoutRepeats() {
        #expect(NameGenerator.adjectives.count >= 1000)
        #expect(NameGenerator.nouns.count >= 1000)
        #expect(Set(NameGenerator.adjectives).count == NameGenerator.adjectives.count)
        #expect(Set(NameGenerator.nouns).count == NameGenerator.nouns.count)
        #expect(NameGenerator.count >= 1_000_000)
    }

    @Test func everyNameIsAGoodLabel() throws {
        let longest = NameGenerator.adjectives.map(\.count).max() ?? 0
        #expect(longest + 1 + (NameGenerator.nouns.map(\.count).max() ?? 0) <= Label.length.upperBound)
        for adjective in NameGenerator.adjectives { _ = try Label(adjective + "-creeper") }
        for noun in NameGenerator.nouns { _ = try Label("sleepy-" + noun) }
    }

    @Test func theSameNumbersGiveTheSameName() {
        let first = NameGenerator.adjectives[0] + "-" + NameGenerator.nouns[0]
        #expect(NameGenerator.name { _ in 0 } == first)
    }

    /// Fragments that must not hide in a word, but for words that everybody knows.
    @Test func noWordIsRude() {
        let rude = [
            "fuck", "shit", "cunt", "dick", "cock", "puss", "tits", "boob", "arse", "slut", "whore", "rape",
            "nazi",
            "kill", "sex", "porn", "piss", "cum", "anal", "anus", "fag", "wank", "crap", "damn", "hell",
            "slave",
            "bitch", "poop", "turd", "suck",
        ]
        let harmless: Set = [
            "cockatoo", "cucumber", "grape", "grapefruit", "peacock", "scrappy", "seashell", "shell",
            "skilled", "skillful", "sturdy",
        ]
        for word in NameGenerator.adjectives + NameGenerator.nouns where !harmless.contains(word) {
            for fragment in rude { #expect(!word.contains(fragment), "\(word)") }
        }
    }
}
