import Core
import IO
import RelayCore
import Wire

/// A player who waits for a data connection. The first bytes stay here, as the client sent them, until the home
/// server has been reached.
final class PlayerConnection: StreamHandler {
    let id: PlayerID
    let arrival: Arrival
    private unowned let room: TunnelRoom
    private var stream: IO.Stream?
    private static let maxWaitingBytes = 16 * 1024

    /// A player comes to the loop of the tunnel.
    static func arrive(_ moved: MovedStream, _ arrival: Arrival, on relayLoop: RelayLoop) {
        relayLoop.room(arrival.tunnel, limits: arrival.limits).admit(moved, arrival)
    }

    init(_ room: TunnelRoom, id: PlayerID, moved: MovedStream, arrival: Arrival) {
        self.room = room
        self.id = id
        self.arrival = arrival
        stream = Stream(
            moved: moved, on: room.relayLoop.loop, maxInputBytes: Self.maxWaitingBytes, handler: self)
        room.relayLoop.context.metrics.connections.add(1)
        room.relayLoop.context.metrics.waiting.add(1)
    }

    /// START and everything the player sent so far.
    var opening: (bytes: [UInt8], playerBytes: Int)? {
        guard let stream, let address = PlayerAddress(ip: arrival.peer.octets, port: arrival.peer.port) else {
            return nil
        }
        let start = Start(player: address, routingName: arrival.name.text)
        return (start.encode() + stream.input.array(), stream.input.count)
    }

    /// Gives the connection away; `sentBytes` from its front are with the home server already.
    func leave(sentBytes: Int = 0) -> MovedStream? {
        guard let stream else { return nil }
        stream.input.consume(sentBytes)
        let moved = stream.detach()
        gone()
        return moved
    }

    func streamReceived(_ stream: IO.Stream) {}

    func streamClosed(_ stream: IO.Stream, _ end: StreamEnd) {
        guard self.stream != nil else { return }
        gone()
        room.playerLeft(id)
    }

    private func gone() {
        stream = nil
        room.relayLoop.context.metrics.connections.add(-1)
        room.relayLoop.context.metrics.waiting.add(-1)
    }
}
