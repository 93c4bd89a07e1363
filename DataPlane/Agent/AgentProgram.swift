import AgentCore
import CLinux
import Core
import IO

/// `minecart`: reads the command line, hides what is secret in it, and does what it says.
@main
enum AgentProgram {
    static let version = "0.1.0"

    static func main() {
        let arguments = CommandLine.arguments
        let environment = ProcessSecrets.takeEnvironment(["CONTROL_URL", "MINECART_KEY", "MINECART_KEY_FILE"])
        ProcessSecrets.wipe(option: "--key")
        Signals.block([SIGINT, SIGTERM])
        exit(run(arguments, environment))
    }

    private static func run(_ arguments: [String], _ environment: [String: String]) -> Int32 {
        do throws(UsageError) {
            switch try AgentCommand.parse(arguments, environment: environment) {
            case .up(let options): return UpCommand.run(options)
            case .regions(let options): return RegionsCommand.run(options)
            case .version: Terminal.print("minecart \(version)\n")
            case .help(let topic): Terminal.print(UsageText.help(on: topic))
            }
            return 0
        } catch {
            Terminal.complain("minecart: \(error.description)\nTry \"minecart help\".\n")
            return 2
        }
    }
}
