import Core
import Foundation
import Testing

@Suite struct SettingsTests {
    /// A file with this text, removed at the end of `body`.
    func withFile(_ text: [UInt8], _ body: (String) throws -> Void) throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "minecart-\(UUID().uuidString)")
        try Data(text).write(to: url)
        defer { try? FileManager.default.removeItem(at: url) }
        try body(url.path)
    }

    @Test func allProblemsAreToldAtOnce() {
        var settings = Settings(environment: ["PORT": "http", "WORKERS": "0", "A_FILE": "/nowhere/secret"])
        _ = settings.required("DATABASE_URL", "where Postgres is")
        _ = settings.integer("PORT", default: 80, in: 1...65535)
        _ = settings.integer("WORKERS", default: 1, in: 1...64)
        _ = settings.secret("A")
        _ = settings.requiredSecret("B", "the key of this relay")
        settings.reject("REGION and RELAY_ID do not fit")
        let error = #expect(throws: SettingsError.self) { try settings.finish() }
        #expect(
            error?.problems == [
                "DATABASE_URL is not set: where Postgres is",
                "PORT is \"http\": it must be a whole number from 1 to 65535",
                "WORKERS is \"0\": it must be a whole number from 1 to 64",
                "A_FILE names /nowhere/secret, which cannot be read",
                "B (or B_FILE) is not set: the key of this relay", "REGION and RELAY_ID do not fit",
            ])
        #expect(error?.description.split(separator: "\n").count == 6)
    }

    @Test func goodSettingsHaveNoProblems() throws {
        var settings = Settings(environment: ["PORT": "8080", "NAME": "eu", "EMPTY": "", "KEY": "s3cret"])
        #expect(settings.integer("PORT", default: 80, in: 1...65535) == 8080)
        #expect(settings.integer("OTHER", default: 80, in: 1...65535) == 80)
        #expect(settings.string("NAME", default: "us") == "eu")
        #expect(settings.string("EMPTY", default: "us") == "us")
        #expect(settings.optional("EMPTY") == nil)
        #expect(settings.secret("KEY") == "s3cret")
        #expect(settings.secret("NO_KEY") == nil)
        try settings.finish()
    }

    @Test func aSecretIsTheFirstLineOfItsFile() throws {
        try withFile(Array("s3cret\nsecond line\n".utf8)) { path in
            var settings = Settings(environment: ["KEY_FILE": path])
            #expect(settings.secret("KEY") == "s3cret")
            #expect(settings.requiredSecret("KEY", "") == "s3cret")
            try settings.finish()
        }
    }

    @Test func aSecretInTwoPlacesIsAProblem() throws {
        try withFile(Array("a".utf8)) { path in
            var settings = Settings(environment: ["KEY_FILE": path, "KEY": "hunter2"])
            #expect(settings.secret("KEY") == nil)
            #expect(settings.problems == ["KEY and KEY_FILE are both set: set one of them"])
        }
    }

    @Test func anUnusableSecretFileIsAProblemThatNamesThePath() throws {
        for text in [[], Array("\n".utf8), [0xFF, 0xFE], [UInt8](repeating: 0x61, count: 70_000)] as [[UInt8]]
        {
            try withFile(text) { path in
                var settings = Settings(environment: ["KEY_FILE": path])
                #expect(settings.requiredSecret("KEY", "a key") == "")
                #expect(settings.problems.count == 1)
                #expect(settings.problems.first?.contains(path) == true)
            }
        }
    }

    @Test func theProcessEnvironmentIsRead() {
        #expect(Settings.ofProcess().optional("PATH") == ProcessInfo.processInfo.environment["PATH"])
    }
}
