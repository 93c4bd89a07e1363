import Testing

@testable import Core

@Suite struct LogTests {
    @Test func levelsHaveNamesAndAnOrder() {
        #expect(Log.Level(name: "debug") == .debug)
        #expect(Log.Level(name: "info") == .info)
        #expect(Log.Level(name: "warning") == .warning)
        #expect(Log.Level(name: "error") == .error)
        #expect(Log.Level(name: "verbose") == nil && Log.Level(name: "") == nil)
        #expect(Log.Level.debug < .info && Log.Level.info < .warning && Log.Level.warning < .error)
    }

    @Test func aMessageBelowTheThresholdIsNotEvenMade() {
        var made = false
        func message() -> String {
            made = true
            return "expensive"
        }
        Log("test").debug(message())
        #expect(!made)
    }

    @Test func aStrangersTextCannotForgeALineOrColourATerminal() {
        #expect(Log.printable("name\n2026 error") == "name?2026 error")
        #expect(Log.printable("\u{1B}[31mred\u{7F}") == "?[31mred?")
        #expect(Log.printable("\u{9B}31m\u{85}\u{2028}\u{202E}\u{2066}") == "?31m????")
        #expect(Log.printable("süßer Höhlenbär 😀") == "süßer Höhlenbär 😀")
    }
}
