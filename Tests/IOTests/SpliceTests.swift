import CLinux
import Core
import IO
import Testing

struct SpliceTests {
    @Test func bytesReadAheadComeFirstHoweverMany() throws {
        var got: [UInt8] = []
        let ahead = pattern(150_000)
        try withLoop { loop in
            try withSplice(loop, toRight: ahead) { _, clientHandler, _, homeHandler in
                clientHandler.opened = { $0.send([42]) }
                homeHandler.received = { stream in
                    got += stream.takeAll()
                    if got.count == ahead.count + 1 { loop.stop() }
                }
            }
        }
        #expect(got == ahead + [42])
    }

    @Test func bulkPassesBothWaysUnchanged() throws {
        let down = pattern(5 << 20)
        let up = pattern(1 << 20)
        var gotDown: [UInt8] = []
        var gotUp: [UInt8] = []
        var report: SpliceReport?
        try withLoop { loop in
            try withSplice(
                loop,
                onEnd: {
                    report = $0
                    loop.stop()
                }
            ) { _, clientHandler, _, homeHandler in
                homeHandler.opened = { stream in
                    stream.send(down)
                    if stream.unsentBytes == 0 { Issue.record("five megabytes fit a socket") }
                }
                clientHandler.opened = { $0.send(up) }
                clientHandler.received = { stream in
                    gotDown += stream.takeAll()
                    if gotDown.count == down.count { stream.closeWhenSent() }
                }
                homeHandler.received = { gotUp += $0.takeAll() }
            }
        }
        #expect(gotDown == down)
        #expect(gotUp == up)
        #expect(report?.bytesToRight == up.count)
        #expect(report?.bytesToLeft == down.count)
    }

    @Test func anEndThatCameWhileTheOtherSideWasFullIsPassedOn() throws {
        // The home side does not read until the client has sent everything and ended.
        let sent = pattern(6 << 20)
        var got: [UInt8] = []
        try withLoop { loop in
            try withSplice(loop) { client, clientHandler, home, homeHandler in
                home.pauseReading()
                clientHandler.opened = { stream in stream.send(sent) }
                homeHandler.received = { got += $0.takeAll() }
                homeHandler.inputEnded = { _ in loop.stop() }
                loop.schedule(after: Milliseconds(100)) {
                    client.closeWhenSent()
                    home.resumeReading()
                }
            }
        }
        #expect(got == sent)
    }

    @Test func aHalfCloseIsKept() throws {
        var got: [UInt8] = []
        try withLoop { loop in
            try withSplice(loop) { _, clientHandler, _, homeHandler in
                clientHandler.opened = { stream in
                    stream.send([9])
                    if let raw = stream.rawDescriptor { shutdown(raw, Int32(SHUT_WR)) }
                }
                homeHandler.inputEnded = { stream in
                    stream.send(stream.takeAll() + [1, 2, 3])
                    stream.closeWhenSent()
                }
                clientHandler.received = { got += $0.takeAll() }
                clientHandler.closed = { _, _ in loop.stop() }
            }
        }
        #expect(got == [9, 1, 2, 3])
    }

    @Test func aResetOnOneSideEndsBoth() throws {
        try withLoop { loop in
            try withSplice(loop) { _, clientHandler, _, homeHandler in
                clientHandler.opened = { stream in
                    guard let raw = stream.rawDescriptor else { return }
                    var now = linger(l_onoff: 1, l_linger: 0)
                    setsockopt(raw, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
                    stream.close()
                }
                homeHandler.closed = { _, _ in loop.stop() }
            }
        }
    }
}
