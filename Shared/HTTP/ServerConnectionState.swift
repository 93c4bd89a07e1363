import Core

/// One connection of the server as a value: what is read, which requests wait for answers, what is written in
/// which order, and when patience ends. The shell feeds it bytes, answers and times; after each it sends
/// `takeOutput()`, heeds `ending` and calls `timePassed` at `deadline`.
public struct ServerConnectionState: Sendable {
    /// A request for the handler; its number names it when it is answered.
    public struct Delivery: Sendable {
        public let number: UInt64
        public let head: HTTPRequestHead
        public let body: [UInt8]
    }

    /// A part of an answer. `whole` is all of it; `start`, any `chunk`s and `end` are a streamed one. `abandon`:
    /// no more will come.
    public enum Answer: Sendable {
        case whole(HTTPResponse)
        case start(HTTPResponse)
        case chunk([UInt8])
        case end
        case abandon
    }

    public enum Ending: Sendable, Equatable {
        case open
        /// Send what is waiting, tell the peer that no more comes, throw its bytes away until it closes.
        case afterOutput
        case now
    }

    /// A request that waits for its answer, in the order of requests.
    private struct Slot {
        enum Stage {
            case waiting
            case answered(HTTPResponse)
            case streaming, ended
        }
        var stage = Stage.waiting
        let toHead: Bool
        var closes: Bool
        /// Of a streamed answer: its head if not yet written, and the chunks that wait behind other answers.
        var streamHead: HTTPResponse?
        var streamed: [UInt8] = []
        var writesChunks = true
    }

    private enum Reading {
        case open
        /// The last request of this connection was read: bytes that follow mean nothing.
        case over
    }

    private let limits: HTTPServerLimits
    /// The form of what is answered here and not by a handler.
    private let refuse: HTTPServer.Refusing
    private var parser: RequestParser
    private var slots: [Slot] = []
    private var firstNumber: UInt64 = 0
    private var reading = Reading.open
    private var isStopping = false
    private var peerEnded = false
    private var owesContinue = false
    private var output: [UInt8] = []
    public private(set) var ending = Ending.open
    /// When the present progress of the parser began, or the connection became idle.
    private var since: Instant
    private var progress = RequestParser.Progress.idle
    private var waitingOutputBytes = 0
    private var outputWaitsSince: Instant?
    private var endingSince: Instant?

    public init(
        limits: HTTPServerLimits, now: Instant, refuse: @escaping HTTPServer.Refusing = HTTPResponse.refusal
    ) {
        self.limits = limits
        self.refuse = refuse
        parser = RequestParser(limits: limits.head)
        since = now
    }

    public var requestsInFlight: Int { slots.count }

    /// Reads on from `consumed` and moves it. Call again while a request is delivered, since more may follow
    /// in the same bytes; nil when bytes or answers are needed first. `date` is the Date line.
    public mutating func received(
        _ input: Span<UInt8>, consumed: inout Int, now: Instant, date: [UInt8],
        bodyLimit: (HTTPRequestHead) -> Int
    ) -> Delivery? {
        while true {
            guard ending == .open, case .open = reading else {
                consumed = input.count
                return nil
            }
            guard canRead else { return nil }
            let event = parser.feed(input, consumed: &consumed, bodyLimit: bodyLimit)
            noteProgress(now)
            switch event {
            case nil:
                if peerEnded { endReading(now) }
                return nil
            case .continueExpected:
                // In order: before it, every earlier answer (RFC 9110 section 10.1.1).
                if slots.isEmpty { output.append(ResponseWriter.continueLine) } else { owesContinue = true }
            case .refused(let refusal):
                reading = .over
                slots.append(Slot(stage: .answered(refuse(refusal)), toHead: false, closes: true))
                writeReady(date: date, now: now)
            case .request(let head, let body):
                owesContinue = false
                let closes = head.asksToClose || isStopping
                if closes { reading = .over }
                slots.append(Slot(toHead: head.isHead, closes: closes))
                return Delivery(number: firstNumber + UInt64(slots.count - 1), head: head, body: body)
            }
        }
    }

    private var canRead: Bool {
        slots.count < limits.requestsInFlight
            && output.count + waitingOutputBytes < limits.waitingOutputBytes
    }

    /// Takes an answer or a part of one. What is late, doubled or out of turn is dropped.
    public mutating func answered(_ number: UInt64, _ answer: Answer, date: [UInt8], now: Instant) {
        guard ending == .open, number >= firstNumber, number - firstNumber < UInt64(slots.count) else {
            return
        }
        let index = Int(number - firstNumber)
        switch (slots[index].stage, answer) {
        case (.waiting, .whole(let response)), (.waiting, .start(let response)):
            guard (200...599).contains(response.status) else {
                slots[index].stage = .answered(refuse(HTTPRefusal(500, "the answer has no valid status")))
                break
            }
            guard case .start = answer else {
                slots[index].stage = .answered(response)
                break
            }
            slots[index].stage = .streaming
            slots[index].streamHead = response
            slots[index].writesChunks =
                ResponseWriter.hasBody(response.status) && !slots[index].toHead
        case (.streaming, .chunk(let bytes)):
            guard slots[index].writesChunks else { return }
            ResponseWriter.writeChunk(bytes, into: &slots[index].streamed)
            if slots[index].streamed.count + waitingOutputBytes > limits.streamedOutputBytes {
                end(.now, now)
            }
        case (.streaming, .end):
            if slots[index].writesChunks { ResponseWriter.writeLastChunk(into: &slots[index].streamed) }
            slots[index].stage = .ended
        case (.waiting, .abandon):
            slots[index].stage = .answered(refuse(HTTPRefusal(500, "the request was not answered")))
        case (.streaming, .abandon): end(.now, now)
        default: return
        }
        if index == 0, ending == .open { writeReady(date: date, now: now) }
    }

    /// The shell has this many bytes that the peer has not taken yet.
    public mutating func outputWaits(_ bytes: Int, now: Instant) {
        if bytes == 0 {
            // The peer has the whole of the last answer only now: from here it has time to close.
            if outputWaitsSince != nil, endingSince != nil { endingSince = now }
            outputWaitsSince = nil
        } else if outputWaitsSince == nil || bytes < waitingOutputBytes {
            outputWaitsSince = now
        }
        waitingOutputBytes = bytes
    }

    /// The peer has sent its last byte: call `received` once more. It still gets the answers to what it asked.
    public mutating func inputEnded() { peerEnded = true }

    private mutating func endReading(_ now: Instant) {
        reading = .over
        progress = .idle
        if slots.isEmpty { end(.afterOutput, now) } else { slots[slots.count - 1].closes = true }
    }

    /// Answers what was asked, announces the end with the last answer, reads no further request. A request of
    /// which a part has come is still read.
    public mutating func stop(now: Instant) {
        guard !isStopping else { return }
        isStopping = true
        if case .open = reading, parser.progress == .idle { endReading(now) }
    }

    /// To be called at `Actions.deadline` or later; early calls do nothing.
    public mutating func timePassed(now: Instant, date: [UInt8]) {
        guard let deadline, deadline <= now else { return }
        guard ending == .open, outputWaitsSince.map({ $0 + limits.sendDeadline > now }) ?? true else {
            end(.now, now)
            return
        }
        switch progress {
        case .idle: end(.afterOutput, now)
        case .head: refuseLate("the request's head took too long", now, date)
        case .body: refuseLate("the request's body took too long", now, date)
        }
    }

    private mutating func refuseLate(_ reason: String, _ now: Instant, _ date: [UInt8]) {
        reading = .over
        progress = .idle
        slots.append(Slot(stage: .answered(refuse(HTTPRefusal(408, reason))), toHead: false, closes: true))
        writeReady(date: date, now: now)
    }

    /// The bytes to send now, all answers that are due in one piece.
    public mutating func takeOutput() -> [UInt8] {
        let taken = output
        output = []
        return taken
    }

    /// When to call `timePassed`.
    public var deadline: Instant? {
        if ending == .now { return nil }
        let sending = outputWaitsSince.map { $0 + limits.sendDeadline }
        if let endingSince {
            // While the answer is on its way the peer has the time that any answer has.
            return sending ?? endingSince + limits.lingerDeadline
        }
        var patience: Instant?
        switch progress {
        case .idle: if slots.isEmpty { patience = since + limits.idleDeadline }
        case .head: patience = since + limits.headDeadline
        case .body: patience = since + limits.bodyDeadline
        }
        guard let sending else { return patience }
        return patience.map { min($0, sending) } ?? sending
    }

    private mutating func noteProgress(_ now: Instant) {
        guard parser.progress != progress || progress == .idle else { return }
        progress = parser.progress
        since = now
    }

    private mutating func end(_ how: Ending, _ now: Instant) {
        ending = how
        endingSince = now
        slots = []
        reading = .over
        progress = .idle
    }

    /// Writes the answers that are ready at the front, in order.
    private mutating func writeReady(date: [UInt8], now: Instant) {
        while let slot = slots.first {
            switch slot.stage {
            case .waiting: return
            case .answered(let response):
                let closes = slot.closes || response.headers.lists("close", in: "connection")
                ResponseWriter.write(
                    response, toHead: slot.toHead, closes: closes, date: date, into: &output)
                finishFirst(closes, now)
            case .streaming, .ended:
                if let response = slot.streamHead {
                    slots[0].streamHead = nil
                    slots[0].closes = slot.closes || response.headers.lists("close", in: "connection")
                    _ = ResponseWriter.writeStreamHead(
                        response, toHead: slot.toHead, closes: slots[0].closes, date: date, into: &output)
                }
                output += slots[0].streamed
                slots[0].streamed = []
                guard case .ended = slot.stage else { return }
                finishFirst(slots[0].closes, now)
            }
        }
    }

    private mutating func finishFirst(_ closes: Bool, _ now: Instant) {
        slots.removeFirst()
        firstNumber += 1
        if closes {
            end(.afterOutput, now)
        } else if slots.isEmpty {
            if progress == .idle { since = now }
            if owesContinue {
                owesContinue = false
                output.append(ResponseWriter.continueLine)
            }
        }
    }
}
