import Core

/// What the agent asks of the control plane.
public enum ControlRequest: Sendable, Hashable {
    case tunnels(cursor: String?)
    case regions
    case createTunnel(region: String, label: String?)
    case place(tunnel: String, session: String, exclude: [String])

    public var method: String {
        switch self {
        case .tunnels, .regions: "GET"
        case .createTunnel, .place: "POST"
        }
    }

    /// Path and query.
    public var target: String {
        switch self {
        case .tunnels(let cursor):
            "/v1/tunnels?limit=100" + (cursor.map { "&cursor=" + Self.escaped($0) } ?? "")
        case .regions: "/v1/regions"
        case .createTunnel: "/v1/tunnels"
        case .place(let tunnel, _, _): "/v1/tunnels/\(Self.escaped(tunnel))/placements"
        }
    }

    public var body: JSON? {
        switch self {
        case .tunnels, .regions: return nil
        case .createTunnel(let region, let label):
            var object: JSONObject = ["region": .string(region)]
            if let label { object["name"] = .string(label) }
            return .object(object)
        case .place(_, let session, let exclude):
            var object: JSONObject = ["session": .string(session)]
            if !exclude.isEmpty { object["exclude"] = .array(exclude.map { .string($0) }) }
            return .object(object)
        }
    }

    /// A placement is waited for by nobody but us; with a ticket in hand a silent control plane must not cost
    /// much time.
    public var deadline: Milliseconds {
        if case .place = self { .seconds(5) } else { .seconds(10) }
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E:
                result.unicodeScalars.append(UnicodeScalar(byte))
            default: result += "%" + Hex.encode([byte]).uppercased()
            }
        }
        return result
    }
}

/// What the control plane answered.
public enum ControlAnswer: Sendable, Hashable {
    case tunnels([Tunnel], next: String?)
    case regions([Region])
    case created(Tunnel)
    case placed(Placement)
}

public struct Tunnel: Sendable, Hashable {
    public var id: String
    public var hostname: String
    public var region: String

    public init(id: String, hostname: String, region: String) {
        self.id = id
        self.hostname = hostname
        self.region = region
    }

    /// The first part of the hostname.
    public var label: String { String(hostname.prefix { $0 != "." }) }
}

public struct Region: Sendable, Hashable {
    public var id: String
    public var probes: [Endpoint]

    public init(id: String, probes: [Endpoint]) {
        self.id = id
        self.probes = probes
    }
}

/// Why there is no answer.
public enum ControlFailure: Error, Sendable, Hashable {
    /// No connection, or none that lasted: the reason in words.
    case unreachable(String)
    /// The control plane said no.
    case refused(Refusal)
    /// Something answered that is not the control plane, or not one that this agent understands.
    case unreadable(String)
}

/// A problem (RFC 9457) as the agent needs it.
public struct Refusal: Sendable, Hashable {
    public var status: Int
    /// The last part of the problem's type.
    public var code: String
    public var detail: String
    public var retryAfter: Milliseconds?

    public init(status: Int, code: String, detail: String, retryAfter: Milliseconds? = nil) {
        self.status = status
        self.code = code
        self.detail = detail
        self.retryAfter = retryAfter
    }

    /// Worth another try without anybody doing anything.
    var isPassing: Bool { status == 429 || status == 408 || status >= 500 }

    /// Nothing is wrong: many ask at once, and this one is to come later.
    var isQueue: Bool { status == 429 || (status == 503 && code == "busy") }
}
