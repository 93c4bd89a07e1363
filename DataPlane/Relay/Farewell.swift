import Core
import IO
import RelayCore

/// The last words to a client that cannot be brought home: a line in the server list or a kick, then the end. It
/// stays until the client has closed, but not for long, so that the words arrive.
final class Farewell: StreamHandler {
    private let metrics: RelayMetrics
    private var conversation: OfflineConversation?
    private var skip: Int
    private var sentLast = false
    private static let maxInputBytes = 8 * 1024

    /// `moved` still holds everything the client sent.
    static func say(
        _ reason: OfflineReason, name: String, greeting: Greeting, to moved: MovedStream,
        on relayLoop: RelayLoop
    ) {
        relayLoop.context.metrics.turnedAway.add()
        let farewell = Farewell(
            metrics: relayLoop.context.metrics, greeting: greeting, reason: reason, name: name)
        let stream = Stream(moved: moved, on: relayLoop.loop, maxInputBytes: maxInputBytes, handler: farewell)
        relayLoop.loop.schedule(after: relayLoop.context.patience.farewell) { [weak stream] in stream?.close()
        }
        farewell.begin(stream, greeting: greeting, reason: reason, name: name)
    }

    private init(metrics: RelayMetrics, greeting: Greeting, reason: OfflineReason, name: String) {
        self.metrics = metrics
        metrics.connections.add(1)
        if case .modern(let handshake) = greeting {
            conversation = OfflineConversation(answering: handshake, reason: reason, name: name)
            skip = handshake.byteCount
        } else {
            skip = 0
        }
    }

    private func begin(_ stream: IO.Stream, greeting: Greeting, reason: OfflineReason, name: String) {
        let text = reason.text(name: name)
        switch greeting {
        case .modern:
            stream.input.consume(skip)
            converse(stream)
        case .legacyPing(let ping): finish(stream, LegacyReply.status(text, to: ping))
        case .legacyLogin: finish(stream, LegacyReply.kick(text))
        }
    }

    func streamReceived(_ stream: IO.Stream) { converse(stream) }

    func streamClosed(_ stream: IO.Stream, _ end: StreamEnd) { metrics.connections.add(-1) }

    private func converse(_ stream: IO.Stream) {
        guard !sentLast, let reply = stream.input.withSpan({ conversation?.receive($0) }) else { return }
        stream.input.consume(reply.consumed)
        if reply.close { finish(stream, reply.send) } else { stream.send(reply.send) }
    }

    private func finish(_ stream: IO.Stream, _ words: [UInt8]) {
        sentLast = true
        stream.send(words)
        stream.closeWhenSent()
    }
}
