import AgentCore
import Core
import HTTP
import IO

/// Puts the session's questions to the control plane over HTTP.
final class ControlClient {
    private let client: HTTPClient
    private let url: ControlURL
    private let key: AgentKey
    private static let maxAnswerBytes = 1024 * 1024

    init(loop: EventLoop, url: ControlURL, key: AgentKey) {
        client = HTTPClient(loop: loop)
        self.url = url
        self.key = key
    }

    func send(_ question: ControlRequest, _ done: @escaping (Result<ControlAnswer, ControlFailure>) -> Void) {
        guard let target = HTTPURL(url.description + question.target) else {
            return done(.failure(.unreadable("the control plane gave an id that cannot be asked for")))
        }
        let headers: HTTPHeaders = [
            "Accept": "application/json", "Authorization": key.authorization,
            "User-Agent": "minecart/\(AgentProgram.version)",
        ]
        var request =
            question.body.map { HTTPClientRequest(question.method, target, headers: headers, json: $0) }
            ?? HTTPClientRequest(question.method, target, headers: headers)
        request.connectDeadline = question.deadline
        request.headDeadline = question.deadline
        request.bodyDeadline = question.deadline
        request.maxResponseBytes = Self.maxAnswerBytes
        client.send(request) { result in
            switch result {
            case .success(let response):
                done(
                    question.read(
                        status: response.status, body: response.body,
                        retryAfter_s: response.headers["Retry-After"].flatMap { Int($0) }))
            case .failure(let error): done(.failure(.unreachable(error.description)))
            }
        }
    }

    func close() { client.closeIdle() }
}
