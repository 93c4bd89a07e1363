import Foundation
import Testing

@Suite("The tree stays as it was agreed")
struct SourceTests {
    @Test("the top level holds the agreed names and no others")
    func topLevel() throws {
        let found = try FileManager.default.contentsOfDirectory(atPath: Tree.root.path).filter {
            !$0.hasPrefix(".")
        }
        let agreed = [
            "ControlPlane", "DataPlane", "Package.swift", "README.md", "Shared", "Tests", "infra",
            "migrations",
        ]
        #expect(Set(found).subtracting(["LICENSE"]) == Set(agreed))
    }

    @Test("no Swift package is used")
    func noPackages() throws {
        #expect(try Tree.text("Package.swift").contains(".package(") == false)
    }

    @Test("only tests import Foundation")
    func noFoundation() throws {
        let found = try Tree.lines(in: Tree.files("swift", below: Tree.product + ["infra"])) { line, _ in
            line.contains("Foundation")
                && line.contains(
                    /^\s*(@\w+(\(\w+\))?\s+)*(public |internal |package )?import (\w+ )?Foundation/)
        }
        #expect(found == [])
    }

    @Test("nothing is left for later in a comment")
    func noLeftovers() throws {
        let marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X:", "HA" + "CK:"]
        let paths = Tree.files("swift", "py", "sh", "sql", "h", below: Tree.everything)
        #expect(try Tree.lines(in: paths) { line, _ in marks.contains { line.contains($0) } } == [])
    }

    @Test("what the compiler cannot check about threads has its reason beside it")
    func reasonsForUnchecked() throws {
        let found = try Tree.lines(in: Tree.files("swift", below: Tree.everything)) { line, above in
            let code = line.split(separator: "//", omittingEmptySubsequences: false).first ?? ""
            guard code.contains("@unchecked " + "Sendable") || code.contains("nonisolated(" + "unsafe)")
            else {
                return false
            }
            return !line.contains("//") && !above.contains("//")
        }
        #expect(found == [])
    }

    /// Shared/Postgres holds what every database needs: transactions, LISTEN and the record of migrations.
    @Test("SQL stands in the Store and the migrations only")
    func sqlInStore() throws {
        let paths = Tree.files("swift", below: Tree.product + ["infra"])
            .filter { !$0.hasPrefix("ControlPlane/Store/") && !$0.hasPrefix("Shared/Postgres/") }
        let statement =
            /(?:INSERT INTO|DELETE FROM|CREATE TABLE|SELECT [\w*(]|UPDATE \w+ SET)|"select .+ from\s/
        #expect(try Tree.lines(in: paths) { line, _ in line.contains(statement) } == [])
    }

    @Test("a peer's bytes never meet a forced try")
    func noForcedTry() throws {
        let found = try Tree.lines(in: Tree.files("swift", below: Tree.product)) { line, _ in
            line.contains("try!") && !line.contains(/^\s*\/\//)
        }
        #expect(found == [])
    }

    @Test("shell scripts stop at the first error and can be run")
    func shellScripts() throws {
        let folders = ["infra", ".ci"]
        for folder in folders {
            let base = Tree.root.appending(path: folder)
            for case let path as String in FileManager.default.enumerator(atPath: base.path) ?? .init() {
                let file = base.appending(path: path).path
                guard let text = try? String(contentsOfFile: file, encoding: .utf8), text.hasPrefix("#!")
                else {
                    continue
                }
                #expect(FileManager.default.isExecutableFile(atPath: file), "\(folder)/\(path) cannot be run")
                if text.prefix(40).contains("bash") {
                    #expect(text.contains("\nset -euo pipefail\n"), "\(folder)/\(path)")
                }
            }
        }
    }
}
