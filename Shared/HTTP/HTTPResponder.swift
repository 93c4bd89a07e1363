import IO
import Synchronization

/// Answers one request, from any thread, once: a second answer is dropped, as is one that comes when the
/// connection is gone. A request whose responder is let go unanswered gets a 500.
public struct HTTPResponder: Sendable {
    private let ticket: ResponseTicket

    init(_ ticket: ResponseTicket) { self.ticket = ticket }

    /// Whether nobody is there to answer to any more: the client closed its connection, or its side of it.
    public var isAbandoned: Bool { ticket.presence.isGone }

    public func respond(_ response: HTTPResponse) { ticket.give(.whole(response)) }

    /// Begins an answer whose body comes in pieces (chunked). The head's body is not sent.
    public func start(_ head: HTTPResponse) { ticket.give(.start(head)) }
    public func send(_ bytes: [UInt8]) { ticket.give(.chunk(bytes)) }
    public func finish() { ticket.give(.end) }
}

/// Whether the client of a connection is still there, for whoever works on its requests.
final class ClientPresence: Sendable {
    private let gone = Atomic<Bool>(false)
    var isGone: Bool { gone.load(ordering: .relaxed) }
    func end() { gone.store(true, ordering: .relaxed) }
}

/// The way of an answer to its connection. While the handler runs, answers are kept here for the loop to pick
/// up as the handler returns; later ones go through the mailbox.
final class ResponseTicket: Sendable {
    private struct State {
        var kept: ServerConnectionState.Answer?
        var keptMore: [ServerConnectionState.Answer] = []
        var isDetached = false
        var isSettled = false
    }

    private let mailbox: Mailbox
    private let source: SourceID
    private let number: UInt64
    let presence: ClientPresence
    private let state = Mutex(State())

    init(mailbox: Mailbox, source: SourceID, number: UInt64, presence: ClientPresence) {
        self.presence = presence
        self.mailbox = mailbox
        self.source = source
        self.number = number
    }

    deinit {
        if !state.withLock({ $0.isSettled }) { Self.post(.abandon, number, source, mailbox) }
    }

    func give(_ answer: ServerConnectionState.Answer) {
        let posts = state.withLock { state in
            guard !state.isSettled else { return false }
            switch answer {
            case .whole, .end, .abandon: state.isSettled = true
            case .start, .chunk: break
            }
            guard !state.isDetached else { return true }
            if state.kept == nil { state.kept = answer } else { state.keptMore.append(answer) }
            return false
        }
        if posts { Self.post(answer, number, source, mailbox) }
    }

    /// Hands out what was answered while the handler ran; from now on answers are posted.
    func detach(_ take: (ServerConnectionState.Answer) -> Void) {
        let (first, more) = state.withLock { state in
            state.isDetached = true
            let kept = (state.kept, state.keptMore)
            state.kept = nil
            state.keptMore = []
            return kept
        }
        if let first { take(first) }
        for answer in more { take(answer) }
    }

    private static func post(
        _ answer: ServerConnectionState.Answer, _ number: UInt64, _ source: SourceID, _ mailbox: Mailbox
    ) {
        mailbox.post { loop in
            guard let stream = loop.source(source) as? Stream,
                let connection = stream.handler as? HTTPServerConnection
            else { return }
            connection.answered(number, answer)
        }
    }
}
