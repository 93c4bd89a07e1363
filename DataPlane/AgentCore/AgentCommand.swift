import Core

/// What the person asked for, read from arguments and environment.
public enum AgentCommand: Sendable, Hashable {
    case up(UpOptions)
    case regions(RegionsOptions)
    case version
    /// nil: the overview.
    case help(String?)

    /// The first argument is the program's name and is skipped.
    public static func parse(
        _ arguments: [String], environment: [String: String]
    ) throws(UsageError) -> AgentCommand {
        var rest = ArgumentReader(arguments.dropFirst())
        guard let word = rest.next() else { return .help(nil) }
        switch word {
        case "up": return try parseUp(&rest, environment)
        case "regions": return try parseRegions(&rest, environment)
        case "version", "--version", "-V": return try alone(.version, word, &rest)
        case "help", "--help", "-h": return .help(rest.next())
        default:
            let hint = word.hasPrefix("-") ? "a command comes first" : "there is no command \"\(word)\""
            throw UsageError("\(hint); the commands are up, regions, version and help")
        }
    }

    private static func alone(
        _ command: AgentCommand, _ word: String, _ rest: inout ArgumentReader
    ) throws(UsageError) -> AgentCommand {
        if let extra = rest.next() { throw UsageError("\"\(extra)\" is too much: \(word) takes no options") }
        return command
    }

    private static func parseUp(
        _ rest: inout ArgumentReader, _ environment: [String: String]
    ) throws(UsageError) -> AgentCommand {
        var options = UpOptions(
            control: try ControlURL(environment["CONTROL_URL"].orStandard(ControlURL.standard)))
        var key: String?
        var keyFile: String?
        while let word = rest.next() {
            switch try rest.name(word) {
            case "--local": options.local = try local(try rest.value(of: "--local"))
            case "--name": options.label = try label(try rest.value(of: "--name"))
            case "--region": options.region = try region(try rest.value(of: "--region"))
            case "--control": options.control = try ControlURL(try rest.value(of: "--control"))
            case "--key": key = try rest.value(of: "--key")
            case "--key-file": keyFile = try rest.value(of: "--key-file")
            case "--proxy-protocol": options.proxyProtocol = try proxy(try rest.value(of: "--proxy-protocol"))
            case "--json": options.json = try rest.flag("--json")
            case "--help", "-h": return .help("up")
            default: throw unknown(word, of: "up")
            }
        }
        options.key = try keySource(key, keyFile, environment)
        return .up(options)
    }

    private static func parseRegions(
        _ rest: inout ArgumentReader, _ environment: [String: String]
    ) throws(UsageError) -> AgentCommand {
        var options = RegionsOptions(
            control: try ControlURL(environment["CONTROL_URL"].orStandard(ControlURL.standard)))
        var key: String?
        var keyFile: String?
        while let word = rest.next() {
            switch try rest.name(word) {
            case "--control": options.control = try ControlURL(try rest.value(of: "--control"))
            case "--key": key = try rest.value(of: "--key")
            case "--key-file": keyFile = try rest.value(of: "--key-file")
            case "--json": options.json = try rest.flag("--json")
            case "--help", "-h": return .help("regions")
            default: throw unknown(word, of: "regions")
            }
        }
        options.key = try keySource(key, keyFile, environment)
        return .regions(options)
    }

    private static func unknown(_ word: String, of command: String) -> UsageError {
        // Not the word itself when it may be a key that lost its option.
        let shown = word.hasPrefix("-") ? String(word.prefix { $0 != "=" }) : "an argument without an option"
        return UsageError("\(command) does not know \(shown); \"minecart help \(command)\" lists its options")
    }

    private static func keySource(
        _ key: String?, _ file: String?, _ environment: [String: String]
    ) throws(UsageError) -> KeySource {
        switch (key, file) {
        case (_?, _?): throw UsageError("--key and --key-file are both given: give one of them")
        case (let key?, nil): return .text(key)
        case (nil, let file?): return .file(file)
        case (nil, nil): break
        }
        let variable = environment["MINECART_KEY"].nonEmpty
        let variableFile = environment["MINECART_KEY_FILE"].nonEmpty
        switch (variable, variableFile) {
        case (_?, _?): throw UsageError("MINECART_KEY and MINECART_KEY_FILE are both set: set one of them")
        case (let key?, nil): return .text(key)
        case (nil, let file?): return .file(file)
        case (nil, nil):
            throw UsageError(
                "there is no agent key: give --key-file FILE, or --key KEY, or set MINECART_KEY")
        }
    }

    /// A port alone means this machine.
    private static func local(_ text: String) throws(UsageError) -> Endpoint {
        let isPort = !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
        guard let endpoint = Endpoint(isPort ? "127.0.0.1:" + text : text), endpoint.port > 0 else {
            throw UsageError("--local is \"\(text)\", but must be HOST:PORT, such as 127.0.0.1:25565")
        }
        return endpoint
    }

    /// One DNS label (RFC 1035 section 2.3.1, digits first allowed).
    private static func label(_ text: String) throws(UsageError) -> String {
        let name = text.lowercased()
        let fits = name.utf8.allSatisfy {
            (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D
        }
        guard (1...63).contains(name.utf8.count), fits, !name.hasPrefix("-"), !name.hasSuffix("-") else {
            throw UsageError(
                "--name is \"\(text)\", but must be the first part of an address: up to 63 letters, digits and hyphens, such as sleepy-creeper"
            )
        }
        return name
    }

    private static func region(_ text: String) throws(UsageError) -> String? {
        let name = text.lowercased()
        guard (1...32).contains(name.utf8.count),
            name.utf8.allSatisfy({ (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D })
        else {
            throw UsageError(
                "--region is \"\(text)\", but must be auto or a region from \"minecart regions\"")
        }
        return name == "auto" ? nil : name
    }

    private static func proxy(_ text: String) throws(UsageError) -> ProxyProtocol {
        guard let version = ProxyProtocol(rawValue: text.lowercased()) else {
            throw UsageError("--proxy-protocol is \"\(text)\", but must be off, v1 or v2")
        }
        return version
    }
}

/// Where the agent's key comes from. It never prints.
public enum KeySource: Sendable, Hashable, CustomStringConvertible {
    case text(String)
    case file(String)

    public var description: String { "key" }
}

public struct UpOptions: Sendable, Hashable {
    public var local = Endpoint(host: "127.0.0.1", port: 25565)
    public var label: String?
    /// nil: the nearest.
    public var region: String?
    public var control: ControlURL
    public var key = KeySource.text("")
    public var proxyProtocol = ProxyProtocol.off
    public var json = false

    public init(control: ControlURL) { self.control = control }
}

public struct RegionsOptions: Sendable, Hashable {
    public var control: ControlURL
    public var key = KeySource.text("")
    public var json = false

    public init(control: ControlURL) { self.control = control }
}

/// Walks over arguments; `--name=value` and `--name value` read alike.
private struct ArgumentReader {
    private var rest: ArraySlice<String>
    private var attached: String?

    init(_ arguments: ArraySlice<String>) { rest = arguments }

    mutating func next() -> String? { rest.popFirst() }

    /// The option's name; a value behind `=` is kept for `value(of:)`.
    mutating func name(_ word: String) throws(UsageError) -> String {
        guard word.hasPrefix("--"), let equals = word.firstIndex(of: "=") else {
            attached = nil
            return word
        }
        attached = String(word[word.index(after: equals)...])
        return String(word[..<equals])
    }

    mutating func value(of option: String) throws(UsageError) -> String {
        if let value = attached.take() {
            guard !value.isEmpty else { throw UsageError("\(option) needs a value behind \"=\"") }
            return value
        }
        guard let value = rest.first, !value.isEmpty, !value.hasPrefix("--") else {
            throw UsageError("\(option) needs a value behind it")
        }
        rest.removeFirst()
        return value
    }

    func flag(_ option: String) throws(UsageError) -> Bool {
        guard attached == nil else { throw UsageError("\(option) takes no value") }
        return true
    }
}

extension String? {
    fileprivate var nonEmpty: String? { self?.isEmpty == false ? self : nil }
    fileprivate func orStandard(_ standard: String) -> String { nonEmpty ?? standard }
}
