import Core
import Crypto
import HTTP
import IO
import Wire

/// What the relay asks the control plane, over HTTP.
final class ControlPlaneClient {
    private let http: HTTPClient
    private let base: HTTPURL
    private let key: String

    init(loop: EventLoop, base: HTTPURL, key: String) {
        http = HTTPClient(loop: loop)
        self.base = base
        self.key = key
    }

    struct Registration {
        /// What tickets and assignments are signed with.
        let keys: VerificationKeys
        /// What the control plane thinks of this relay; nil when it does not say.
        let state: RelayState?
        /// The region's revision that knows of this run of the relay.
        let rev: Int
    }

    /// Says who this relay is, and in which of its runs.
    func register(
        _ relay: RelayInfo, run: String,
        _ done: @escaping (Result<Registration, ControlPlaneError>) -> Void
    ) {
        let body: JSON = [
            "id": .string(relay.id), "region": .string(relay.region), "endpoint": .string(relay.endpoint),
            "mesh_address": relay.meshAddress.map { .string($0) } ?? .null,
            "fingerprint": .string(relay.fingerprint), "shared_entry": .bool(relay.sharedEntry),
            "run": .string(run),
        ]
        send("POST", "/v1/relay/registrations", body) { result in
            done(
                result.flatMap { answer in
                    guard let jwks = answer["keys"], let keys = try? VerificationKeys(jwks: jwks) else {
                        return .failure(.nonsense)
                    }
                    return .success(
                        Registration(
                            keys: keys,
                            state: answer["relay"]?["state"]?.stringValue.flatMap {
                                RelayState(rawValue: $0)
                            },
                            rev: answer["relay"]?["rev"]?.integerValue.map { Int($0) } ?? 0))
                })
        }
    }

    /// What follows `position`, signed. With `wait_s` above 0 the control plane holds the answer until there is
    /// something new.
    func assignments(
        region: String, after position: RegionBeacon?, wait_s: Int,
        _ done: @escaping (Result<String, ControlPlaneError>) -> Void
    ) {
        var path = "/v1/relay/assignments?region=\(region)"
        if let position { path += "&since=\(position.rev)&epoch=\(position.epoch)" }
        if wait_s > 0 { path += "&wait=\(wait_s)" }
        send("GET", path, nil, wait_s: wait_s, maxBytes: AssignmentMessage.maxBytes) { result in
            done(
                result.flatMap { answer in
                    answer["signed"]?.stringValue.map { .success($0) } ?? .failure(.nonsense)
                })
        }
    }

    func report(
        links: [LinkNews.Change], relay: String, _ done: @escaping (Result<JSON, ControlPlaneError>) -> Void
    ) {
        func list(_ isUp: Bool) -> JSON {
            .array(
                links.filter { $0.isUp == isUp }.map {
                    ["tunnel": .string($0.tunnel), "generation": .integer(Int64($0.generation))]
                })
        }
        send(
            "POST", "/v1/relay/links", ["relay": .string(relay), "up": list(true), "down": list(false)], done)
    }

    func report(load: LoadReport, _ done: @escaping (Result<JSON, ControlPlaneError>) -> Void) {
        send("POST", "/v1/relay/load", load.json, done)
    }

    /// The answer says only that everything in it is counted, now or before.
    func report(usage: UsageReport, _ done: @escaping (Result<JSON, ControlPlaneError>) -> Void) {
        send("POST", "/v1/relay/usage", usage.json, done)
    }

    private func send(
        _ method: String, _ path: String, _ body: JSON?, wait_s: Int = 0, maxBytes: Int = 1 << 20,
        _ done: @escaping (Result<JSON, ControlPlaneError>) -> Void
    ) {
        guard let url = HTTPURL(base.description.trimmingSlash + path) else {
            return done(.failure(.nonsense))
        }
        let headers: HTTPHeaders = ["Authorization": "Bearer \(key)"]
        var request =
            body.map { HTTPClientRequest(method, url, headers: headers, json: $0) }
            ?? HTTPClientRequest(method, url, headers: headers)
        request.connectDeadline = .seconds(3)
        request.headDeadline = .seconds(5 + wait_s)
        request.maxResponseBytes = maxBytes
        http.send(request) { result in
            switch result {
            case .failure(let error): done(.failure(.unreachable(error)))
            case .success(let response):
                guard (200..<300).contains(response.status) else {
                    let detail = (try? response.json())?["detail"]?.stringValue
                    return done(.failure(.refused(status: response.status, detail: detail)))
                }
                if response.body.isEmpty { return done(.success([:])) }
                guard let json = try? response.json() else { return done(.failure(.nonsense)) }
                done(.success(json))
            }
        }
    }
}

extension String {
    fileprivate var trimmingSlash: String { hasSuffix("/") ? String(dropLast()) : self }
}

/// Why the control plane gave no answer that helps.
enum ControlPlaneError: Error, CustomStringConvertible {
    case unreachable(HTTPClientError)
    case refused(status: Int, detail: String?)
    case nonsense

    /// Asking again the same way would get the same answer.
    var isFinal: Bool {
        if case .refused(let status, _) = self { [400, 413, 422].contains(status) } else { false }
    }

    var description: String {
        switch self {
        case .unreachable(let error): error.description
        case .refused(401, _): "it does not accept this RELAY_KEY"
        case .refused(let status, let detail): "it answered \(status)" + (detail.map { ": \($0)" } ?? "")
        case .nonsense: "its answer makes no sense"
        }
    }
}
