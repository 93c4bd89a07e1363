import Core

/// One limit in bytes a second for several splices of a loop, both directions of all of them together. Who has to
/// wait is woken by one timer. A splice without a meter is not limited and asks nobody.
public final class SpliceMeter {
    private let loop: EventLoop
    private var bucket: FairBucket
    private var timer: TimerID?
    /// What has passed by this meter.
    public private(set) var bytes = 0
    private var refusedSinceLooked = false

    /// `isFull` allows a burst at once, for when nothing has passed yet.
    public init(loop: EventLoop, bytes_per_s: Int, isFull: Bool) {
        self.loop = loop
        bucket = FairBucket(TokenBucket(bytes_per_s: bytes_per_s, isFull: isFull, now: loop.now))
    }

    /// Whether anybody had to wait for a turn since the last call, or does now.
    public func wasHeldBack() -> Bool {
        defer { refusedSinceLooked = false }
        return refusedSinceLooked || bucket.waitingCount > 0
    }

    public var bytes_per_s: Int { bucket.bytes_per_s }

    /// Directions that wait for their turn.
    public var waitingCount: Int { bucket.waitingCount }

    /// At once, also for who waits already.
    public func change(bytes_per_s: Int) {
        bucket.change(bytes_per_s: bytes_per_s, now: loop.now)
        if let timer { loop.cancel(timer) }
        timer = nil
        setTimer()
    }

    /// Up to `wanted` bytes; 0 means that `resume` follows in its turn.
    func ask(_ wanted: Int, for side: SpliceSide) -> Int {
        guard let id = side.id else { return 0 }
        let granted = bucket.ask(wanted, for: id, now: loop.now)
        bytes += granted
        if granted == 0 {
            refusedSinceLooked = true
            setTimer()
        }
        return granted
    }

    func giveBack(_ unused: Int, from side: SpliceSide) {
        guard unused > 0, let id = side.id else { return }
        bytes -= unused
        bucket.giveBack(unused, from: id)
    }

    /// Bytes that were read before the meter was asked.
    func charge(_ early: Int) {
        bytes += early
        bucket.charge(early)
    }

    func forget(_ side: SpliceSide) {
        if let id = side.id { bucket.forget(id) }
    }

    private func setTimer() {
        guard timer == nil, let due = bucket.nextTurn else { return }
        // Rounded up to whole milliseconds: then the tokens are there.
        timer = loop.schedule(after: Milliseconds(due.since(loop.now).count + 1)) { [weak self] in
            self?.giveTurns()
        }
    }

    private func giveTurns() {
        timer = nil
        bucket.beginRound()
        // One turn each: who wants more is at the end of the line again.
        for _ in 0..<bucket.waitingCount {
            guard let (id, granted) = bucket.turn(now: loop.now) else { break }
            guard let side = loop.source(id) as? SpliceSide else {
                bucket.giveBack(granted, from: id)
                continue
            }
            bytes += granted
            side.resume(granted)
        }
        setTimer()
    }
}
