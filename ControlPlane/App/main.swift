import CLinux
import Core
import IO
import Postgres

let usage = """
    usage: minecart-control [serve|migrate|openapi]
      serve     run the control plane (the default)
      migrate   bring the database's tables up to date and end
      openapi   print the description of the HTTP API and end
    Configuration comes from environment variables: see README.md.

    """

func fail(_ message: String) -> Never {
    let text = "minecart-control: " + message + "\n"
    _ = Array(text.utf8).withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    exit(1)
}

func show(_ text: String) { _ = Array(text.utf8).withUnsafeBytes { write(1, $0.baseAddress, $0.count) } }

Signals.block([SIGTERM, SIGINT])
var settings = Settings.ofProcess()

do {
    switch CommandLine.arguments.dropFirst().first ?? "serve" {
    case "serve": try await ControlPlane.serve(Configuration(&settings))
    case "migrate":
        let configuration = try MigrateConfiguration(&settings)
        let applied = try await Migrator(url: configuration.databaseURL).run(
            Migration.load(directory: configuration.directory))
        show(applied.isEmpty ? "nothing to apply\n" : applied.map { "applied \($0)\n" }.joined())
    case "openapi": show(ControlPlane.openAPI + "\n")
    case "help", "-h", "--help": show(usage)
    case let word: fail("there is no command \"\(word)\"\n" + usage)
    }
} catch let error as SettingsError {
    fail("the configuration is not complete:\n\(error)")
} catch {
    fail("\(error)")
}
