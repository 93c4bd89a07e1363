import CLinux
import Core
import Dispatch
import Synchronization

/// What a listener tells.
public enum ListenerEvent: Sendable, Hashable {
    /// Listening, at first or again: whatever was notified before may have been missed.
    case listening
    case notification(Notification)
    /// The connection is lost; another attempt follows by itself.
    case lost(String)
}

/// Follows NOTIFY channels on a connection of its own, which must not go through a transaction pooler.
/// Reconnects for ever, with a growing, jittered pause.
public final class Listener: Sendable {
    public let events: AsyncStream<ListenerEvent>
    private let wakeUp: Int32
    private let ended = Atomic<Bool>(false)

    private static let connect = Milliseconds.seconds(3)
    /// So often a quiet connection is asked for a sign of life.
    private static let quiet = Milliseconds.seconds(10)
    private static let firstPause_ms = 100
    private static let maxPause_ms = 3000
    /// A reader that falls behind loses the oldest events; notifications are only hints.
    private static let maxBuffered = 1024

    /// Channel names are words of ours, not input.
    public init(url: String, channels: [String]) {
        let (events, continuation) = AsyncStream.makeStream(
            of: ListenerEvent.self, bufferingPolicy: .bufferingNewest(Self.maxBuffered))
        self.events = events
        wakeUp = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        continuation.onTermination = { [weak self] _ in self?.stop() }
        DispatchQueue(label: "postgres-listener").async {
            self.run(url: url, channels: channels, continuation)
            continuation.finish()
        }
    }

    deinit { close(wakeUp) }

    /// Ends the stream and the connection.
    public func stop() {
        ended.store(true, ordering: .releasing)
        var one: UInt64 = 1
        _ = write(wakeUp, &one, MemoryLayout<UInt64>.size)
    }

    private var hasEnded: Bool { ended.load(ordering: .acquiring) }

    private func run(
        url: String, channels: [String], _ continuation: AsyncStream<ListenerEvent>.Continuation
    ) {
        var pause_ms = Self.firstPause_ms
        while !hasEnded {
            do throws(PostgresError) {
                var connection = try Connection.open(url, deadline: Instant.now() + Self.connect)
                for channel in channels {
                    try connection.script("LISTEN \"\(channel)\"", deadline: Instant.now() + Self.connect)
                }
                continuation.yield(.listening)
                pause_ms = Self.firstPause_ms
                try follow(&connection, continuation)
            } catch {
                continuation.yield(.lost(error.description))
                rest(milliseconds: Int.random(in: pause_ms / 2...pause_ms))
                pause_ms = min(pause_ms * 2, Self.maxPause_ms)
            }
        }
    }

    private func follow(
        _ connection: inout Connection, _ continuation: AsyncStream<ListenerEvent>.Continuation
    ) throws(PostgresError) {
        while !hasEnded {
            let found = try connection.notifications(until: Instant.now() + Self.quiet, wakeUp: wakeUp)
            for notification in found { continuation.yield(.notification(notification)) }
            if found.isEmpty && !hasEnded {
                try connection.script("SELECT 1", deadline: Instant.now() + Self.connect)
            }
        }
    }

    private func rest(milliseconds: Int) {
        var entry = pollfd(fd: wakeUp, events: Int16(POLLIN), revents: 0)
        _ = poll(&entry, 1, Int32(milliseconds))
    }
}
