import Foundation
import Testing

/// What `swift build -c release --static-swift-stdlib` made; `infra/test` builds it before these tests.
@Suite("The released programs stay small", .enabled(if: ReleasedProgram.agent.exists, "built by infra/test"))
struct BinaryTests {
    @Test(
        "the agent and the relay link no Foundation and bring their Swift runtime along",
        arguments: [
            ReleasedProgram.agent, .relay,
        ])
    func linkedLibraries(of program: ReleasedProgram) throws {
        let libraries = try program.run("readelf", "-d", program.path).split(separator: "\n")
            .filter { $0.contains("(NEEDED)") }
        #expect(!libraries.isEmpty)
        #expect(libraries.filter { $0.contains("Foundation") || $0.contains("libswift") } == [])
        let symbols = try program.run("nm", "-C", program.path)
        #expect(symbols.contains(" _CFRuntime") == false && symbols.contains("FoundationEssentials") == false)
    }

    @Test("the agent has at most 8 MB when stripped")
    func size() throws {
        let stripped = FileManager.default.temporaryDirectory.appending(path: "minecart-\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: stripped) }
        _ = try ReleasedProgram.agent.run("strip", "-o", stripped, ReleasedProgram.agent.path)
        let attributes = try FileManager.default.attributesOfItem(atPath: stripped)
        let bytes = try #require(attributes[.size] as? Int)
        #expect(bytes <= 8_000_000)
    }
}

enum ReleasedProgram: String, Sendable {
    case agent = "minecart"
    case relay = "minecart-relay"

    var path: String { Tree.root.appending(path: ".build/release/\(rawValue)").path }
    var exists: Bool { FileManager.default.isExecutableFile(atPath: path) }

    /// The standard output of a tool from binutils.
    func run(_ tool: String, _ arguments: String...) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [tool] + arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "\(tool) failed")
        return String(decoding: text, as: UTF8.self)
    }
}
