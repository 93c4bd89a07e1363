import Core
import Testing

@testable import AgentCore

struct CommandLineTests {
    private func parse(_ line: String, _ environment: [String: String] = [:]) throws -> AgentCommand {
        try AgentCommand.parse(
            ["minecart"] + line.split(separator: " ").map { String($0) }, environment: environment)
    }

    private func up(_ line: String, _ environment: [String: String] = [:]) throws -> UpOptions {
        guard case .up(let options) = try parse("up " + line, environment) else {
            throw UsageError("not up")
        }
        return options
    }

    private func complaint(_ line: String, _ environment: [String: String] = [:]) -> String {
        do {
            _ = try parse(line, environment)
            return ""
        } catch {
            return "\(error)"
        }
    }

    @Test func everyOptionOfUpIsRead() throws {
        let options = try up(
            "--local 10.0.0.5:25566 --name Sleepy-Creeper --region EU --control https://control.example:8443/ --key mca_x --proxy-protocol v2 --json"
        )
        #expect(options.local == Endpoint(host: "10.0.0.5", port: 25566))
        #expect(options.label == "sleepy-creeper")
        #expect(options.region == "eu")
        #expect(options.control.description == "https://control.example:8443")
        #expect(options.key == .text("mca_x"))
        #expect(options.proxyProtocol == .v2)
        #expect(options.json)
    }

    @Test func equalsSignsServeAsWell() throws {
        let options = try up("--local=[::1]:25565 --key=a=b --region=auto")
        #expect(options.local == Endpoint(host: "::1", port: 25565))
        #expect(options.key == .text("a=b"))
        #expect(options.region == nil)
    }

    @Test func whatIsNotGivenHasASensibleValue() throws {
        let options = try up("", ["MINECART_KEY": "mca_env"])
        #expect(options.local == Endpoint(host: "127.0.0.1", port: 25565))
        #expect(options.key == .text("mca_env"))
        #expect(options.control.description == ControlURL.standard)
        #expect(options.proxyProtocol == .off)
    }

    @Test func aPortAloneIsThisMachine() throws {
        #expect(try up("--local 25570 --key k").local == Endpoint(host: "127.0.0.1", port: 25570))
    }

    @Test func theCommandLineWinsOverTheEnvironment() throws {
        let environment = ["MINECART_KEY": "mca_env", "CONTROL_URL": "https://env.example"]
        let options = try up("--key-file /k --control https://line.example", environment)
        #expect(options.key == .file("/k"))
        #expect(options.control.description == "https://line.example")
        #expect(try up("", environment).control.description == "https://env.example")
        #expect(try up("", ["MINECART_KEY_FILE": "/f"]).key == .file("/f"))
    }

    @Test(arguments: [
        ("fly", "up, regions, version and help"),
        ("--json", "a command comes first"),
        ("up --fly --key k", "--fly"),
        ("up", "there is no agent key"),
        ("up --key", "--key needs a value"),
        ("up --key --json", "--key needs a value"),
        ("up --key=", "--key needs a value"),
        ("up --key a --key-file b", "give one of them"),
        ("up --key k --local nowhere", "HOST:PORT"),
        ("up --key k --local 127.0.0.1:0", "HOST:PORT"),
        ("up --key k --local 127.0.0.1:99999", "HOST:PORT"),
        ("up --key k --name -x", "first part of an address"),
        ("up --key k --name a.b", "first part of an address"),
        ("up --key k --region e.u", "minecart regions"),
        ("up --key k --proxy-protocol v3", "off, v1 or v2"),
        ("up --key k --json=yes", "takes no value"),
        ("up --key k --control ftp://x", "https://"),
        ("up --key k --control https://", "https://HOST"),
        ("up --key k --control https://a/b", "https://HOST"),
        ("up --key k --control https://u@a", "https://HOST"),
        ("version now", "takes no options"),
        ("regions --name n", "--name"),
        ("regions", "there is no agent key"),
    ])
    func aMistakeIsAnsweredWithWhatToDo(_ line: String, _ hint: String) {
        #expect(complaint(line).contains(hint), "\(complaint(line))")
    }

    @Test func aStrayKeyIsNotRepeated() {
        #expect(!complaint("up mca_secret").contains("mca_secret"))
        #expect(!complaint("up --kay=mca_secret").contains("mca_secret"))
    }

    @Test func bothVariablesAtOnceAreAMistake() {
        #expect(complaint("up", ["MINECART_KEY": "a", "MINECART_KEY_FILE": "b"]).contains("set one of them"))
    }

    @Test(arguments: [
        "http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080", "http://127.1.2.3",
        "http://localhost",
    ])
    func plainHTTPGoesToThisMachine(_ text: String) throws {
        #expect(try ControlURL(text).description == text)
    }

    @Test(arguments: [
        "http://control.example", "http://10.0.0.1:8080", "http://127.0.0.1.example:80",
        "http://127.evil.example:80",
        "http://[::2]:80", "http://localhost.example",
    ])
    func plainHTTPGoesNowhereElse(_ text: String) {
        #expect(throws: UsageError.self) { try ControlURL(text) }
    }

    @Test func helpAndVersionAreCommands() throws {
        #expect(try parse("version") == .version)
        #expect(try parse("--version") == .version)
        #expect(try parse("") == .help(nil))
        #expect(try parse("help up") == .help("up"))
        #expect(try parse("up --help") == .help("up"))
        #expect(UsageText.help(on: "up").contains("--proxy-protocol"))
        #expect(UsageText.help(on: nil).contains("minecart regions"))
    }
}
