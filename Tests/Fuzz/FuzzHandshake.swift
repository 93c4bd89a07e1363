import RelayCore
import Wire

/// A player's first bytes: a decision needs no more bytes than it says, stands when more follow, and every name that
/// comes out of it is one a tunnel could have.
@Sendable func fuzzHandshake(_ input: [UInt8]) {
    _ = FirstBytes.sniff(input.span)
    var decided: FirstPacket?
    input.forSomeBeginnings { beginning in
        let packet = FirstPacket.read(beginning.span)
        _ = FirstPacket.read(beginning.span, quiet: true)
        switch packet {
        case .needMore, .ambiguous:
            if case .handshake = decided { preconditionFailure("a handshake was taken back") }
            precondition(beginning.count <= FirstPacket.maxBytes, "asks for more than it may hold")
        case .handshake(let handshake):
            precondition(handshake.byteCount <= beginning.count, "consumed what is not there")
            if case .handshake(let earlier) = decided {
                precondition(earlier == handshake, "a handshake changed when more bytes followed")
            }
            decided = packet
        case .legacyPing(let ping):
            precondition(ping.byteCount <= beginning.count, "consumed what is not there")
            _ = LegacyReply.status("offline", to: ping)
        case .legacyLogin, .invalid: break
        }
    }
    guard case .handshake(let handshake) = decided else { return }
    if let name = try? RoutingName(serverAddress: handshake.serverAddress) {
        precondition(
            !name.text.isEmpty && name.text.utf8.count <= 4 * RoutingName.maxUnits, "an impossible name")
        precondition(!name.text.contains("\0") && !name.text.hasSuffix("."), "a marker was left in the name")
    }
    converse(handshake, with: Array(input[handshake.byteCount...]))
}

/// The talk with a player whose tunnel is away ends after few bytes, whatever they send.
private func converse(_ handshake: Handshake, with bytes: [UInt8]) {
    var talk = OfflineConversation(answering: handshake, text: "offline")
    var rest = bytes
    for _ in 0..<64 {
        let reply = talk.receive(rest.span)
        precondition(reply.consumed >= 0 && reply.consumed <= rest.count, "consumed what is not there")
        precondition(reply.send.count < 64 * 1024, "an answer is too long")
        if reply.close || reply.consumed == 0 { return }
        rest.removeFirst(reply.consumed)
    }
}
