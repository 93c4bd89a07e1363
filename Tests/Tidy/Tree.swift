import Foundation

/// The repository's files as the tests of this suite read them.
enum Tree {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// Paths below the root, such as `Shared/Core/JSON.swift`, of files with one of these endings.
    static func files(_ endings: String..., below folders: [String]) -> [String] {
        folders.flatMap { folder -> [String] in
            let base = root.appending(path: folder)
            let found = FileManager.default.enumerator(atPath: base.path)?.compactMap { $0 as? String } ?? []
            return found.filter { path in endings.contains { path.hasSuffix("." + $0) } }.map {
                "\(folder)/\($0)"
            }
        }.sorted()
    }

    static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    /// `path:line` of each line for which `isBad` holds; it is given the line and the one above it.
    static func lines(
        in paths: [String], where isBad: (_ line: Substring, _ above: Substring) -> Bool
    ) throws -> [String] {
        try paths.flatMap { path -> [String] in
            let lines = try text(path).split(separator: "\n", omittingEmptySubsequences: false)
            return lines.indices.compactMap { index in
                isBad(lines[index], index > 0 ? lines[index - 1] : "") ? "\(path):\(index + 1)" : nil
            }
        }
    }

    static let product = ["ControlPlane", "DataPlane", "Shared"]
    static let everything = product + ["Tests", "infra", "migrations"]
}
