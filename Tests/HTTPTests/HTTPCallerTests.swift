import Core
import HTTP
import HTTPCalls
import IO
import Synchronization
import Testing

@Suite("Calls from tasks", .timeLimit(.minutes(2)))
struct HTTPCallerTests {
    private func request(_ server: TestServer, _ method: String = "POST") throws -> HTTPClientRequest {
        HTTPClientRequest(
            method, try #require(HTTPURL(server.url + "/x")), headers: ["Authorization": "Bearer a-secret"],
            json: ["a": 1])
    }

    /// The error of a call that must fail.
    private func failure(
        _ caller: HTTPCaller, _ request: HTTPClientRequest, deadline: Milliseconds = .seconds(30)
    ) async throws -> HTTPCallError {
        do throws(HTTPCallError) {
            let answer = try await caller.send(request, deadline: deadline)
            Issue.record("it answered \(answer.status)")
            return .closed
        } catch {
            return error
        }
    }

    @Test("Many calls at once get their own answers, whatever the status")
    func calls() async throws {
        let server = try TestServer { request, responder in
            let body = (try? JSON.parse(request.body)) ?? nil
            responder.respond(.json(429, ["got": body]))
        }
        let caller = HTTPCaller(on: server.thread.mailbox)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<20 {
                group.addTask {
                    let url = try #require(HTTPURL(server.url + "/x"))
                    let request = HTTPClientRequest("POST", url, json: ["n": .integer(Int64(number))])
                    let answer = try await caller.send(request, deadline: .seconds(30))
                    #expect(answer.status == 429)
                    #expect(try answer.json()["got"]?["n"] == .integer(Int64(number)))
                }
            }
            try await group.waitForAll()
        }
    }

    @Test("A server that never answers is given up after the deadline, and the error holds no secret")
    func timesOut() async throws {
        let kept = Mutex<[HTTPResponder]>([])
        let server = try TestServer { _, responder in kept.withLock { $0.append(responder) } }
        let caller = HTTPCaller(on: server.thread.mailbox)
        let error = try await failure(caller, try request(server), deadline: Milliseconds(50))
        guard case .failed(.timedOut) = error else {
            guard case .timedOut = error else {
                Issue.record("\(error)")
                return
            }
            return
        }
        #expect(!error.isCertainlyUnsent)
        #expect(!"\(error)".contains("secret"))
    }

    @Test("An answer that drips on is ended by the deadline of the whole call")
    func drips() async throws {
        let kept = Mutex<[HTTPResponder]>([])
        let server = try TestServer { _, responder in
            responder.start(HTTPResponse(status: 200))
            responder.send([1])
            kept.withLock { $0.append(responder) }
        }
        let caller = HTTPCaller(on: server.thread.mailbox)
        var slow = try request(server)
        slow.bodyDeadline = .minutes(10)
        _ = try await failure(caller, slow, deadline: Milliseconds(100))
    }

    @Test("A body beyond the cap is an error")
    func caps() async throws {
        let server = try TestServer { _, responder in
            responder.respond(HTTPResponse(status: 200, body: [UInt8](repeating: 0, count: 1001)))
        }
        let caller = HTTPCaller(on: server.thread.mailbox)
        var capped = try request(server)
        capped.maxResponseBytes = 1000
        guard case .failed(.badAnswer) = try await failure(caller, capped) else {
            Issue.record("no refusal")
            return
        }
    }

    @Test("Nobody at the port: the request was certainly not seen")
    func refused() async throws {
        let server = try TestServer { _, _ in }
        let target = try request(server)
        #expect(server.stop().wait())
        let caller = HTTPCaller(on: server.thread.mailbox)
        #expect(try await failure(caller, target).isCertainlyUnsent)
    }

    @Test("A cancelled task gets its end at once, and the server may answer whom it likes")
    func cancels() async throws {
        let arrived = Held<HTTPResponder>()
        let server = try TestServer { _, responder in arrived.set(responder) }
        let caller = HTTPCaller(on: server.thread.mailbox)
        let target = try request(server)
        let task = Task { try await failure(caller, target) }
        let responder = arrived.wait()
        task.cancel()
        #expect(try await task.value == .cancelled)
        responder.respond(.text(200, "late"))
        server.onLoop { _, _ in }
    }

    @Test("Closing ends what is under way and refuses what comes after; so does a loop that is gone")
    func closes() async throws {
        let arrived = Held<HTTPResponder>()
        let server = try TestServer { _, responder in arrived.set(responder) }
        let thread = try LoopThread.start(name: "caller-test")
        let caller = HTTPCaller(on: thread.mailbox)
        let target = try request(server)
        let task = Task { try await failure(caller, target) }
        _ = arrived.wait()
        caller.close()
        #expect(try await task.value == .closed)
        #expect(try await failure(caller, target) == .closed)
        thread.stop()
        thread.join()
        #expect(try await failure(HTTPCaller(on: thread.mailbox), target) == .closed)
    }

    @Test("A request that must not be left in doubt never takes a kept connection")
    func freshConnections() async throws {
        let peers = Mutex<Set<SocketAddress>>([])
        let server = try TestServer { request, responder in
            peers.withLock { _ = $0.insert(request.peer) }
            responder.respond(.text(200, "x"))
        }
        let caller = HTTPCaller(on: server.thread.mailbox)
        var fresh = try request(server)
        _ = try await caller.send(fresh, deadline: .seconds(30))
        _ = try await caller.send(fresh, deadline: .seconds(30))
        #expect(peers.withLock { $0.count } == 1)
        fresh.takesFreshConnection = true
        _ = try await caller.send(fresh, deadline: .seconds(30))
        #expect(peers.withLock { $0.count } == 2)
    }
}
