import Core
import IO
import RelayCore
import Wire

/// An agent's data connection from the accepted preamble until it carries a player: parked, then started.
final class DataConnection: StreamHandler {
    let id: DataID
    private unowned let room: TunnelRoom
    private var stream: IO.Stream?
    private var playerBytesSent: Int?
    /// The answer to START, and what a server may say before its player does.
    private static let maxEarlyBytes = 32 * 1024

    /// A data connection comes to the loop that keeps its nonce.
    static func adopt(_ moved: MovedStream, nonce: Nonce, on relayLoop: RelayLoop) {
        guard let room = relayLoop.burn(nonce) else {
            relayLoop.context.metrics.strayData.add()
            return
        }
        room.admit(moved, nonce)
    }

    init(_ room: TunnelRoom, id: DataID, moved: MovedStream) {
        self.room = room
        self.id = id
        stream = Stream(
            moved: moved, on: room.relayLoop.loop, maxInputBytes: Self.maxEarlyBytes, handler: self)
        room.relayLoop.context.metrics.connections.add(1)
    }

    func start(_ opening: (bytes: [UInt8], playerBytes: Int)) {
        playerBytesSent = opening.playerBytes
        stream?.send(opening.bytes)
    }

    /// Gives the connection away, and says how many of the player's bytes went with START.
    func leave() -> (moved: MovedStream, playerBytesSent: Int)? {
        guard let moved = stream?.detach() else { return nil }
        gone()
        return (moved, playerBytesSent ?? 0)
    }

    func close() { stream?.close() }

    func streamReceived(_ stream: IO.Stream) {
        guard playerBytesSent != nil else {
            // Nothing may come before START.
            return stream.close(.protocolError("bytes before START"))
        }
        let decoded = stream.input.withSpan { bytes in
            Result { () throws(WireError) in try StartAnswer.decode(bytes) }
        }
        switch decoded {
        case .success(.needMore): return
        case .success(.message(let answer, let consumed)):
            stream.input.consume(consumed)
            room.dataAnswered(id, answer)
        case .success(.skipped), .failure: stream.close(.protocolError("not an answer to START"))
        }
    }

    func streamClosed(_ stream: IO.Stream, _ end: StreamEnd) {
        guard self.stream != nil else { return }
        gone()
        room.dataClosed(id)
    }

    private func gone() {
        stream = nil
        room.relayLoop.context.metrics.connections.add(-1)
    }
}
