import Core
import IO
import RelayCore
import Wire

/// A connection that landed here and is meant for a neighbour behind the same entry: passed on over the private
/// network as it came, TLS and all. The neighbour lets it in by a token that the mesh announces, and never passes it
/// on again.
final class Passage {
    enum Kind: Sendable {
        case link
        case data
    }

    let kind: Kind
    private let relayLoop: RelayLoop
    private let number: Int
    private var splice: Splice?
    /// The neighbour has sent something: a data connection has a player, no longer a place in the park.
    private var isUsed = false
    private static let dialLimit = Milliseconds.seconds(2)

    private var metrics: RelayMetrics { relayLoop.context.metrics }

    /// `moved` still holds everything the guest sent.
    static func begin(_ moved: MovedStream, _ kind: Kind, to neighbour: RelayInfo, on relayLoop: RelayLoop) {
        let context = relayLoop.context
        guard let endpoint = neighbour.meshAddress.flatMap({ Endpoint($0) }), relayLoop.beginPassage() else {
            context.metrics.forwardFailures.add()
            return
        }
        let passage = Passage(kind, relayLoop)
        passage.metrics.connections.add(1)
        var random = SystemRandomNumberGenerator()
        let token = ForwardToken(using: &random)
        context.mesh?.post { $0.send(.forward(token), to: neighbour.id) }
        relayLoop.loop.connect(endpoint, timeout: dialLimit) { result in
            relayLoop.endPassage()
            switch consume result {
            case .success(let descriptor): passage.run(moved, descriptor, token)
            case .failure(let error):
                passage.metrics.forwardFailures.add()
                passage.metrics.connections.add(-1)
                Log("relay").debug(
                    "a neighbour is out of reach", ["relay": neighbour.id, "reason": error.description])
            }
        }
    }

    private init(_ kind: Kind, _ relayLoop: RelayLoop) {
        self.kind = kind
        self.relayLoop = relayLoop
        number = relayLoop.freshNumber()
    }

    private func run(_ guest: MovedStream, _ descriptor: consuming Descriptor, _ token: ForwardToken) {
        let opening = IO.Stream(loop: relayLoop.loop, descriptor: descriptor, handler: Opening())
        opening.send(ForwardPreamble(token: token).encode())
        guard let neighbour = opening.detach() else {
            metrics.forwardFailures.add()
            return metrics.connections.add(-1)
        }
        metrics.forwarded.add()
        metrics.connections.add(1)
        if kind == .link { metrics.forwardedLinks.add(1) }
        let splice = Splice(loop: relayLoop.loop, pool: relayLoop.pool, left: guest, right: neighbour) {
            [self] _ in ended()
        }
        self.splice = splice
        relayLoop.keep(self, number: number)
        splice.start()
    }

    /// Looks whether a player has come.
    func count() {
        guard kind == .data, !isUsed, let splice, splice.bytesToLeft > 0 else { return }
        isUsed = true
        metrics.forwardedPlayers.add(1)
    }

    /// Ends a data connection that nobody plays on.
    func closeIfParked() {
        count()
        if kind == .data, !isUsed { close() }
    }

    func close() { splice?.close() }

    private func ended() {
        splice = nil
        relayLoop.forget(passage: number)
        metrics.connections.add(-2)
        if kind == .link { metrics.forwardedLinks.add(-1) }
        if isUsed { metrics.forwardedPlayers.add(-1) }
    }

    /// Nothing is read before the splice begins.
    private final class Opening: StreamHandler {
        func streamReceived(_ stream: IO.Stream) {}
        func streamClosed(_ stream: IO.Stream, _ end: StreamEnd) {}
    }
}
