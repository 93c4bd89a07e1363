import CLinux
import Core
import IO
import Testing

/// Splices with a limit, over real sockets. What passed is compared with the loop's own clock, which the meter
/// was given: a slow machine changes nothing.
struct MeteredSpliceTests {
    /// Copying only, and with splice(2) where there is bulk.
    @Test(arguments: [0, 16])
    func aLimitedBulkArrivesUnchangedAndWithinItsLimit(pipes: Int) throws {
        let rate = 16 << 20
        let down = pattern(6 << 20)
        var got: [UInt8] = []
        try withLoop { loop in
            var splice: Splice?
            let start = loop.now
            let meter = SpliceMeter(loop: loop, bytes_per_s: rate, isFull: false)
            func allowed() -> Int {
                Int(loop.now.nanoseconds - start.nanoseconds) / 1000 * rate / 1_000_000 + 17
            }
            try withSplice(
                loop, pool: SplicePool(maxPipes: pipes),
                prepare: {
                    $0.meter = meter
                    splice = $0
                },
                onEnd: { report in
                    #expect(report.bytesToLeft == down.count)
                    #expect(meter.bytes == down.count)
                    #expect(meter.waitingCount == 0)
                    loop.stop()
                }
            ) { _, clientHandler, _, homeHandler in
                homeHandler.opened = { $0.send(down) }
                clientHandler.received = { stream in
                    got += stream.takeAll()
                    #expect((splice?.bytesToLeft ?? 0) <= allowed())
                    if got.count == down.count { stream.closeWhenSent() }
                }
            }
        }
        #expect(got.elementsEqual(down))
    }

    @Test func bothDirectionsShareOneLimit() throws {
        let rate = 4 << 20
        let bytes = pattern(1 << 20)
        var ends = 0
        try withLoop { loop in
            var splice: Splice?
            let start = loop.now
            let meter = SpliceMeter(loop: loop, bytes_per_s: rate, isFull: false)
            func check(_ stream: Stream, _ got: inout Int) {
                got += stream.takeAll().count
                let passed = (splice?.bytesToLeft ?? 0) + (splice?.bytesToRight ?? 0)
                #expect(passed <= Int(loop.now.nanoseconds - start.nanoseconds) / 1000 * rate / 1_000_000 + 5)
                if got == bytes.count { ends += 1 }
                if ends == 2 { loop.stop() }
            }
            var up = 0
            var down = 0
            try withSplice(
                loop,
                prepare: {
                    $0.meter = meter
                    splice = $0
                }
            ) { _, clientHandler, _, homeHandler in
                clientHandler.opened = { $0.send(bytes) }
                homeHandler.opened = { $0.send(bytes) }
                clientHandler.received = { check($0, &down) }
                homeHandler.received = { check($0, &up) }
            }
        }
    }

    @Test func whoHadToWaitIsSaidOnce() throws {
        let down = pattern(200_000)
        try withLoop { loop in
            let meter = SpliceMeter(loop: loop, bytes_per_s: 1 << 20, isFull: false)
            try withSplice(
                loop, prepare: { $0.meter = meter },
                onEnd: { _ in
                    #expect(meter.wasHeldBack())
                    #expect(!meter.wasHeldBack())
                    loop.stop()
                }
            ) { _, clientHandler, _, homeHandler in
                var got = 0
                homeHandler.opened = { $0.send(down) }
                clientHandler.received = { stream in
                    got += stream.takeAll().count
                    if got == down.count { stream.closeWhenSent() }
                }
            }
        }
    }

    /// At the first rate this would take minutes.
    @Test(arguments: [256 << 20, nil])
    func aHigherLimitSpeedsUpWhatIsUnderWay(later: Int?) throws {
        let down = pattern(8 << 20)
        var got: [UInt8] = []
        try withLoop { loop in
            var splice: Splice?
            let meter = SpliceMeter(loop: loop, bytes_per_s: 64 << 10, isFull: true)
            try withSplice(
                loop,
                prepare: {
                    $0.meter = meter
                    splice = $0
                }
            ) { _, clientHandler, _, homeHandler in
                homeHandler.opened = { $0.send(down) }
                var isSlow = true
                clientHandler.received = { stream in
                    got += stream.takeAll()
                    if isSlow, meter.waitingCount > 0 {
                        isSlow = false
                        if let later { meter.change(bytes_per_s: later) } else { splice?.meter = nil }
                    }
                    if got.count == down.count { loop.stop() }
                }
            }
        }
        #expect(got.elementsEqual(down))
    }

    @Test func aLimitIsFeltByWhatIsUnderWay() throws {
        let rate = 4 << 20
        let down = pattern(3 << 20)
        var got: [UInt8] = []
        try withLoop { loop in
            var splice: Splice?
            var limited: (at: Instant, before: Int)?
            try withSplice(loop, prepare: { splice = $0 }) { _, clientHandler, _, homeHandler in
                homeHandler.opened = { $0.send(down) }
                clientHandler.received = { stream in
                    got += stream.takeAll()
                    guard let splice else { return }
                    if let limited {
                        let allowed =
                            Int(loop.now.nanoseconds - limited.at.nanoseconds) / 1000 * rate / 1_000_000 + 9
                        #expect(splice.bytesToLeft - limited.before <= allowed)
                    } else if got.count >= 1 << 20 {
                        limited = (loop.now, splice.bytesToLeft)
                        splice.meter = SpliceMeter(loop: loop, bytes_per_s: rate, isFull: false)
                    }
                    if got.count == down.count { loop.stop() }
                }
            }
        }
        #expect(got.elementsEqual(down))
    }

    @Test func anEndIsPassedOnAfterTheBytesThatWaited() throws {
        let up = pattern(300_000)
        var gotUp: [UInt8] = []
        var gotDown: [UInt8] = []
        try withLoop { loop in
            let meter = SpliceMeter(loop: loop, bytes_per_s: 1 << 20, isFull: false)
            try withSplice(loop, prepare: { $0.meter = meter }) {
                client, clientHandler, _, homeHandler in
                clientHandler.opened = { stream in
                    stream.send(up)
                    #expect(stream.unsentBytes == 0)
                    if let raw = stream.rawDescriptor { shutdown(raw, Int32(SHUT_WR)) }
                }
                homeHandler.received = { gotUp += $0.takeAll() }
                homeHandler.inputEnded = { stream in
                    gotUp += stream.takeAll()
                    stream.send([1, 2, 3])
                    stream.closeWhenSent()
                }
                clientHandler.received = { gotDown += $0.takeAll() }
                clientHandler.closed = { _, _ in loop.stop() }
            }
        }
        #expect(gotUp == up)
        #expect(gotDown == [1, 2, 3])
    }

    @Test func smallPacketsPassBesideABulk() throws {
        var pongs = 0
        try withLoop { loop in
            // The bulk alone would keep this busy for longer than the loop's patience.
            let meter = SpliceMeter(loop: loop, bytes_per_s: 256 << 10, isFull: false)
            try withSplice(loop, prepare: { $0.meter = meter }) { _, clientHandler, _, homeHandler in
                homeHandler.opened = { $0.send(pattern(8 << 20)) }
                clientHandler.received = { _ = $0.takeAll() }
            }
            try withSplice(loop, prepare: { $0.meter = meter }) { _, clientHandler, _, homeHandler in
                clientHandler.opened = { $0.send(pattern(100)) }
                homeHandler.received = { $0.send($0.takeAll()) }
                clientHandler.received = { stream in
                    stream.send(stream.takeAll())
                    pongs += 1
                    if pongs == 50 { loop.stop() }
                }
            }
        }
        #expect(pongs == 50)
    }

    @Test func closingWhileThrottledLeavesNothing() throws {
        final class Seen {
            weak var splice: Splice?
            weak var meter: SpliceMeter?
        }
        let seen = Seen()
        try withLoop { loop in
            var held: SpliceMeter? = SpliceMeter(loop: loop, bytes_per_s: 1000, isFull: false)
            seen.meter = held
            var streams = 2
            func streamClosed() {
                streams -= 1
                guard streams == 0 else { return }
                loop.schedule(after: Milliseconds(0)) {
                    #expect(seen.meter?.waitingCount == 0)
                    #expect(seen.splice == nil)
                    held = nil
                    #expect(seen.meter == nil)
                    #expect(loop.sourceCount == 0)
                    loop.stop()
                }
            }
            func closeOnceItWaits() {
                guard seen.meter?.waitingCount == 2 else {
                    loop.schedule(after: Milliseconds(1), closeOnceItWaits)
                    return
                }
                seen.splice?.close()
            }
            try withSplice(
                loop,
                prepare: {
                    $0.meter = held
                    seen.splice = $0
                }
            ) { _, clientHandler, _, homeHandler in
                for handler in [clientHandler, homeHandler] {
                    handler.opened = { $0.send(pattern(100_000)) }
                    handler.received = { _ = $0.takeAll() }
                    handler.closed = { _, _ in streamClosed() }
                }
            }
            closeOnceItWaits()
        }
    }
}
