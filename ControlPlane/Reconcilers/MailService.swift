import Core
import Domain
import HTTP

/// What came of handing a mail to its provider.
public enum MailOutcome: Sendable, Hashable {
    case sent
    /// Not now; `wished_s` is what the provider asked us to wait. `problem` holds no secret.
    case later(problem: String, wished_s: Int?)
    /// This mail will never be taken.
    case never(problem: String)
}

/// A mail provider with a JSON API: how a mail looks as a request, and what its answers mean.
public struct MailService: Sendable {
    public enum Shape: String, Sendable, CaseIterable {
        /// postmarkapp.com/developer/api/email-api
        case postmark
        /// resend.com/docs/api-reference/emails/send-email
        case resend

        public var standardBase: String {
            switch self {
            case .postmark: "https://api.postmarkapp.com"
            case .resend: "https://api.resend.com"
            }
        }
    }

    private let shape: Shape
    private let url: HTTPURL
    private let token: String
    private let from: String
    private static let maxAnswerBytes = 64 * 1024

    /// nil when `base` is no URL to put a path behind. `from` is an address, or `Name <address>`.
    public init?(_ shape: Shape, base: String, token: String, from: String) {
        let path = shape == .postmark ? "/email" : "/emails"
        guard !base.contains("?"),
            let url = HTTPURL((base.hasSuffix("/") ? String(base.dropLast()) : base) + path)
        else { return nil }
        self.shape = shape
        self.url = url
        self.token = token
        self.from = from
    }

    /// `id` is the same for each try, so that a provider that looks at it sends the mail once.
    public func request(for mail: Mail, id: MailID) -> HTTPClientRequest {
        var headers: HTTPHeaders = ["Accept": "application/json", "User-Agent": "minecart"]
        var body: JSON
        switch shape {
        case .postmark:
            headers.add("X-Postmark-Server-Token", token)
            // Links are not to be rewritten: they hold tokens.
            body = [
                "From": .string(from), "To": .string(mail.to), "Subject": .string(mail.subject),
                "TextBody": .string(mail.text), "MessageStream": "outbound", "Tag": .string(mail.kind),
                "TrackLinks": "None", "TrackOpens": false, "Metadata": ["id": .string(id.text)],
            ]
        case .resend:
            headers.add("Authorization", "Bearer \(token)")
            headers.add("Idempotency-Key", id.text)
            body = [
                "from": .string(from), "to": [.string(mail.to)], "subject": .string(mail.subject),
                "text": .string(mail.text), "tags": [["name": "kind", "value": .string(mail.kind)]],
            ]
        }
        var request = HTTPClientRequest("POST", url, headers: headers, json: body)
        request.takesFreshConnection = true
        request.maxResponseBytes = Self.maxAnswerBytes
        return request
    }

    /// What the provider's answer means. Nothing of it gets into the problem but its status and its code.
    public func outcome(of answer: HTTPResponse) -> MailOutcome {
        let json = try? answer.json()
        if (200..<300).contains(answer.status) {
            return wasTaken(json)
                ? .sent : .later(problem: "it answered \(answer.status) with nonsense", wished_s: nil)
        }
        let problem = "it answered \(answer.status)" + code(json)
        let wished_s = answer.headers["Retry-After"].flatMap { Int($0) }.map { max(0, $0) }
        // What is wrong with us (token, sender, credit) does not make the mail a bad one.
        switch answer.status {
        case 401, 402, 403, 408, 409, 425, 429: return .later(problem: problem, wished_s: wished_s)
        case 422 where shape == .postmark && !isAboutTheMail(json):
            return .later(problem: problem, wished_s: wished_s)
        case 400..<500: return .never(problem: problem)
        default: return .later(problem: problem, wished_s: wished_s)
        }
    }

    private func wasTaken(_ json: JSON?) -> Bool {
        switch shape {
        case .postmark: json?["ErrorCode"]?.integerValue == 0 && json?["MessageID"]?.stringValue != nil
        case .resend: json?["id"]?.stringValue != nil
        }
    }

    /// Postmark answers 422 to nearly everything: 300 is an invalid mail, 406 an address that bounced before.
    private func isAboutTheMail(_ json: JSON?) -> Bool {
        [300, 406].contains(json?["ErrorCode"]?.integerValue ?? 0)
    }

    private func code(_ json: JSON?) -> String {
        switch shape {
        case .postmark: return json?["ErrorCode"]?.integerValue.map { " (code \($0))" } ?? ""
        case .resend:
            let name = (json?["name"]?.stringValue ?? "").unicodeScalars.prefix(60).filter {
                ("a"..."z").contains($0) || $0 == "_"
            }
            return name.isEmpty ? "" : " (\(String(String.UnicodeScalarView(name))))"
        }
    }
}
