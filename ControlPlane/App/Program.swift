import API
import CLinux
import Core
import IO
import Postgres

/// What the command line asks for.
enum Program {
    private static let usage = """
        usage: minecart-control [serve|migrate|openapi]
          serve     run the control plane (the default)
          migrate   bring the database's tables up to date and end
          openapi   print the description of the HTTP API and end
        Configuration comes from environment variables: see README.md.

        """

    /// The exit code: 0, 1 for a failure, 2 for a command that does not exist.
    static func run(_ arguments: [String]) async -> Int32 {
        var settings = Settings.ofProcess()
        do {
            switch arguments.first ?? "serve" {
            case "serve":
                ProcessLimits.raiseDescriptors()
                try await ControlPlane.serve(Configuration(&settings))
            case "migrate": try await migrate(MigrateConfiguration(&settings))
            case "openapi": say(OpenAPI.text + "\n")
            case "help", "-h", "--help": say(usage)
            case let word:
                complain("there is no command \"\(word)\"\n" + usage)
                return 2
            }
            return 0
        } catch let error as SettingsError {
            complain("the configuration is not complete:\n\(error)\n")
        } catch {
            complain("\(error)\n")
        }
        return 1
    }

    private static func migrate(_ configuration: MigrateConfiguration) async throws {
        let applied = try await Migrator(url: configuration.databaseURL).run(
            Migration.load(directory: configuration.directory))
        say(applied.isEmpty ? "nothing to apply\n" : applied.map { "applied \($0)\n" }.joined())
    }

    private static func say(_ text: String) { put(text, to: 1) }
    private static func complain(_ text: String) { put("minecart-control: " + text, to: 2) }

    private static func put(_ text: String, to descriptor: Int32) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
