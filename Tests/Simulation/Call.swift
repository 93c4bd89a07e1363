import Core

/// A question that a node has not answered yet.
protocol AnsweredCall: AnyObject {
    /// The server's process is gone.
    func breakOff()
    var isOver: Bool { get }
}

enum CallFailure: Error {
    /// Refused at once, or broken off.
    case broken
    case timeout
}

/// One question of a client to a server, as HTTP has it: answered once, or it fails after a time. An answer may be
/// lost although the work was done.
final class Call<Answer>: AnsweredCall {
    private unowned let world: World
    private let client: Node
    private let server: Node
    private let clientRun: Int
    private var done: ((Result<Answer, CallFailure>) -> Void)?

    private init(
        _ world: World, _ client: Node, _ server: Node,
        _ done: @escaping (Result<Answer, CallFailure>) -> Void
    ) {
        self.world = world
        self.client = client
        self.server = server
        clientRun = client.run
        self.done = done
    }

    var isOver: Bool { done == nil }
    /// The client's process is gone, and its connection with it: the server knows.
    var isAbandoned: Bool { !client.isUp || client.run != clientRun }

    static func ask(
        from client: Node, to server: Node, timeout: Milliseconds, _ work: @escaping (Call) -> Void,
        _ done: @escaping (Result<Answer, CallFailure>) -> Void
    ) {
        let world = client.world
        let call = Call(world, client, server, done)
        client.after(timeout) { call.finish(.failure(.timeout)) }
        guard !world.network.isCut(client, server), !world.network.isCut(server, client) else { return }
        let time_us = world.network.time_us(client, server, &world.random)
        world.after(us: time_us) {
            guard server.isUp else { return call.breakOff() }
            server.serving.removeAll { $0.isOver }
            server.serving.append(call)
            server.enter(server.run) { work(call) }
        }
    }

    /// On the server.
    func answer(_ answer: Answer) { come(.success(answer)) }

    func breakOff() { come(.failure(.broken)) }

    private func come(_ result: Result<Answer, CallFailure>) {
        guard done != nil, !world.network.isCut(server, client) else { return }
        let time_us = world.network.time_us(server, client, &world.random)
        world.after(us: time_us) { [self] in
            client.enter(clientRun) { [self] in finish(result) }
        }
    }

    private func finish(_ result: Result<Answer, CallFailure>) {
        guard let done = done.take() else { return }
        done(result)
    }
}
