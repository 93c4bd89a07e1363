import CLinux
import Core
import Dispatch
import HTTP
import IO
import Synchronization

/// A mail provider on loopback that answers as it is told: real sockets, real HTTP.
final class MailProviderDouble: Sendable {
    enum Answer: Sendable {
        case json(Int, JSON, [(String, String)])
        case nonsense
        /// The connection ends within the answer.
        case hangUp
        case silence

        static let postmarkYes = Answer.json(200, ["ErrorCode": 0, "MessageID": "x"], [])
        static let resendYes = Answer.json(200, ["id": "x"], [])
    }

    private struct State {
        var script: [Answer] = []
        var otherwise = Answer.postmarkYes
        var requests: [HTTPRequest] = []
        var silent: [HTTPResponder] = []
    }

    private let state = Mutex(State())
    private let thread: LoopThread
    private let server: LoopBound<HTTPServer>
    let url: String

    init(_ script: [Answer] = [], otherwise: Answer = .postmarkYes) throws {
        thread = try LoopThread.start(name: "mail-double")
        let made = Mutex<Result<(SocketAddress, LoopBound<HTTPServer>), SystemError>?>(nil)
        let signal = DispatchSemaphore(value: 0)
        let arrived = Mutex<(@Sendable (HTTPRequest, HTTPResponder) -> Void)?>(nil)
        thread.mailbox.post { loop in
            made.withLock {
                $0 = Result { () throws(SystemError) in
                    guard let any = SocketAddress(octets: [127, 0, 0, 1], port: 0) else {
                        throw SystemError("address", code: EINVAL)
                    }
                    let server = try HTTPServer(
                        loop: loop, address: any, bodyLimit: { _ in 100_000 },
                        handler: { request, responder in
                            arrived.withLock({ $0 })?(request, responder)
                        })
                    return (server.localAddress, LoopBound(server, loop))
                }
            }
            signal.signal()
        }
        signal.wait()
        guard let result = made.withLock({ $0 }) else { throw SystemError("no server", code: EINVAL) }
        let address: SocketAddress
        (address, server) = try result.get()
        url = "http://\(address)"
        state.withLock {
            $0.script = script
            $0.otherwise = otherwise
        }
        arrived.withLock { $0 = { [weak self] in self?.answer($0, $1) } }
    }

    deinit {
        thread.mailbox.post { [server] loop in server.get(loop).close() }
        thread.stop()
        thread.join()
    }

    /// Where calls are made from.
    var mailbox: Mailbox { thread.mailbox }
    var requests: [HTTPRequest] { state.withLock { $0.requests } }

    private func answer(_ request: HTTPRequest, _ responder: HTTPResponder) {
        let answer = state.withLock { state in
            state.requests.append(request)
            return state.script.isEmpty ? state.otherwise : state.script.removeFirst()
        }
        switch answer {
        case .json(let status, let json, let headers):
            var response = HTTPResponse.json(status, json)
            for (name, value) in headers { response.headers.add(name, value) }
            responder.respond(response)
        case .nonsense: responder.respond(.text(200, "<html>welcome to our hotel</html>"))
        case .hangUp:
            responder.start(HTTPResponse(status: 200))
            responder.send(Array("{\"Err".utf8))
        case .silence: state.withLock { $0.silent.append(responder) }
        }
    }
}
