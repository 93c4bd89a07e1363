import Core

/// What passed, by the time the splice ended.
public struct SpliceReport: Sendable, Hashable {
    public let bytesToRight: Int
    public let bytesToLeft: Int
}

/// Passes bytes between two sockets until both directions have ended: nothing lost, added or reordered.
///
/// Small packets go by recv and send through the loop's shared memory, two calls a packet; a direction that keeps
/// filling large reads moves to splice(2), where the bytes stay in the kernel, and back when the bulk is over.
/// What one side cannot take is held (at most one read), and nothing more is read from the other until it is
/// gone. An end of one direction is passed on as such; the other goes on. A direction whose meter grants nothing
/// reads nothing until its turn comes, so that TCP holds the sender up.
public final class Splice {
    private let left: SpliceSide
    private let right: SpliceSide
    private let loop: EventLoop
    private var onEnd: ((SpliceReport) -> Void)?
    /// The limit that both directions share with other splices; nil is none. May change while bytes pass.
    public var meter: SpliceMeter? {
        didSet {
            guard onEnd != nil, meter !== oldValue else { return }
            left.meter = meter
            right.meter = meter
        }
    }
    private var check: TimerID?
    /// One direction ended, and the other silent for so long: nobody is coming back.
    private static let halfClosedLimit = Milliseconds.seconds(60)

    /// `toLeft` and `toRight` go out before anything else: bytes read ahead. The sockets must be non-blocking. `onEnd` is called once, on the loop, never from within `start`.
    public init(
        loop: EventLoop, pool: SplicePool, left: consuming Descriptor, right: consuming Descriptor,
        toLeft: [UInt8] = [], toRight: [UInt8] = [], onEnd: @escaping (SpliceReport) -> Void
    ) {
        self.loop = loop
        self.onEnd = onEnd
        self.left = SpliceSide(loop: loop, pool: pool, descriptor: left, ahead: toRight)
        self.right = SpliceSide(loop: loop, pool: pool, descriptor: right, ahead: toLeft)
    }

    /// Goes on with two streams without a codec: what each had received goes to the other, after what the other
    /// had still to send.
    public convenience init(
        loop: EventLoop, pool: SplicePool, left: MovedStream, right: MovedStream,
        onEnd: @escaping (SpliceReport) -> Void
    ) {
        self.init(
            loop: loop, pool: pool, left: left.takeDescriptor(), right: right.takeDescriptor(),
            toLeft: left.output + right.input,
            toRight: right.output + left.input, onEnd: onEnd)
    }

    public func start() {
        left.join(right, splice: self)
        right.join(left, splice: self)
        for side in [left, right] where (try? loop.add(side, descriptor: side.descriptor)) == nil {
            loop.atEndOfTurn { [self] in end() }
            return
        }
        // Bytes read ahead pass at once, and count nevertheless.
        meter?.charge(left.bytes + right.bytes)
        // Bytes that came before the descriptors were watched make no edge.
        loop.requeue(left, [.readable, .writable])
        loop.requeue(right, [.readable, .writable])
        armCheck()
    }

    /// Bytes read from the left side so far.
    public var bytesToRight: Int { left.bytes }
    /// Bytes read from the right side so far.
    public var bytesToLeft: Int { right.bytes }
    /// When bytes last moved in either direction.
    public var lastActivity: Instant { max(left.lastRead, right.lastRead) }

    /// Drops both sockets at once.
    public func close() { end() }

    private func armCheck() {
        check = loop.schedule(after: Self.halfClosedLimit) { [weak self] in
            guard let self, self.onEnd != nil else { return }
            let silent = self.loop.now.since(self.lastActivity) >= Self.halfClosedLimit
            let isWaiting = self.left.isWaiting || self.right.isWaiting
            let isOver = silent && !isWaiting && (self.left.hasEnded || self.right.hasEnded)
            if isOver { self.end() } else { self.armCheck() }
        }
    }

    func directionEnded() {
        if left.isFinished && right.isFinished { endSoon() }
    }

    /// At the end of the turn: a side asks for it from within its own work, and ending lets both sides go.
    func endSoon() {
        loop.atEndOfTurn { [self] in end() }
    }

    private func end() {
        guard let onEnd = onEnd.take() else { return }
        if let check { loop.cancel(check) }
        let report = SpliceReport(bytesToRight: left.bytes, bytesToLeft: right.bytes)
        left.close()
        right.close()
        onEnd(report)
    }
}
