import Foundation
import Testing

/// The README's session is run as it stands by Tests/Infra; here, every script, file and variable it names exists.
@Suite("The README is true")
struct ReadmeTests {
    private static func readme() throws -> String { try Tree.text("README.md") }

    /// The lines of all shell blocks.
    private static func commands() throws -> [Substring] {
        let blocks = try readme().matches(of: /```sh\n(?s)(.*?)```/)
        return blocks.flatMap { $0.output.1.split(separator: "\n") }
    }

    @Test("every script it calls exists and knows the options it is given")
    func scripts() throws {
        let commands = try Self.commands()
        #expect(!commands.isEmpty)
        for command in commands {
            guard let match = command.firstMatch(of: /(?:^|\s)(infra\/[\w\/.-]+)(.*)/) else { continue }
            let path = String(match.output.1)
            #expect(
                FileManager.default.isExecutableFile(atPath: Tree.root.appending(path: path).path),
                "\(command)")
            let script = try Tree.text(path)
            for option in match.output.2.matches(of: /\s(--[a-z-]+)/) {
                #expect(script.contains(option.output.1), "\(path) does not know \(option.output.1)")
            }
        }
    }

    @Test("every file and folder it names in the tree exists")
    func files() throws {
        let names = try Self.readme().matches(
            of: /`((?:ControlPlane|DataPlane|Shared|Tests|infra|migrations)\/[\w\/.-]*)`/)
        #expect(!names.isEmpty)
        for name in names {
            let path = String(name.output.1)
            #expect(FileManager.default.fileExists(atPath: Tree.root.appending(path: path).path), "\(path)")
        }
    }

    @Test("its configuration table names each variable that a program reads, and no other")
    func configuration() throws {
        let rows = try Self.readme().matches(of: /(?m)^\| `([A-Z0-9_]+)` \|/).map { String($0.output.1) }
        let call =
            /(?:(?:optional|string|required|requiredSecret|integer|secret|boolean)\(|environment\[)\s*"([A-Z][A-Z0-9_]+)"/
        var read: Set<String> = []
        for path in Tree.files("swift", below: Tree.product) {
            for match in try Tree.text(path).matches(of: call) { read.insert(String(match.output.1)) }
        }
        #expect(Set(rows) == read)
        #expect(rows.count == Set(rows).count, "a variable has two rows")
    }
}
