import CLinux
import Core
import IO
import Testing

struct StreamTests {
    /// Both ends as streams on one loop.
    private func withStreams(
        _ loop: EventLoop, maxInputBytes: Int = 64 * 1024, maxOutputBytes: Int = 8 * 1024 * 1024,
        _ body: @escaping (Stream, Handler, Stream, Handler) -> Void
    ) throws {
        try withPair(loop) { clientSocket, serverSocket in
            let clientHandler = Handler()
            let serverHandler = Handler()
            let client = Stream(loop: loop, descriptor: clientSocket, handler: clientHandler)
            let server = Stream(
                loop: loop, descriptor: serverSocket, maxInputBytes: maxInputBytes,
                maxOutputBytes: maxOutputBytes, handler: serverHandler)
            body(client, clientHandler, server, serverHandler)
            client.start()
            server.start()
        }
    }

    @Test func aMegabyteArrivesWhole() throws {
        let sent = pattern(1 << 20)
        var got: [UInt8] = []
        try withLoop { loop in
            try withStreams(loop) { _, clientHandler, _, serverHandler in
                clientHandler.opened = { stream in
                    stream.send(sent)
                    stream.closeWhenSent()
                }
                serverHandler.received = { got += $0.takeAll() }
                serverHandler.closed = { _, end in
                    #expect(end == .peerClosed)
                    loop.stop()
                }
            }
        }
        #expect(got == sent)
    }

    @Test func inputStopsAtItsLimitAndGoesOnWhenTaken() throws {
        let sent = pattern(300_000)
        var got: [UInt8] = []
        try withLoop { loop in
            try withStreams(loop, maxInputBytes: 1000) { _, clientHandler, _, serverHandler in
                clientHandler.opened = { $0.send(sent) }
                serverHandler.received = { stream in
                    #expect(stream.input.count <= 1000)
                    guard stream.input.count == 1000 || got.count + stream.input.count == sent.count else {
                        return
                    }
                    loop.atEndOfTurn {
                        got += stream.takeAll()
                        stream.wakeIfMoreToRead()
                        if got.count == sent.count { loop.stop() }
                    }
                }
            }
        }
        #expect(got == sent)
    }

    @Test func aPeerThatDoesNotReadIsGivenUp() throws {
        try withLoop { loop in
            try withStreams(loop, maxOutputBytes: 100_000) { client, _, _, serverHandler in
                client.pauseReading()
                serverHandler.opened = { stream in
                    let piece = pattern(256 * 1024)
                    for _ in 0..<64 { stream.send(piece) }
                    #expect(!stream.isClosed)
                }
                serverHandler.closed = { _, end in
                    #expect(end == .protocolError("the other side does not read"))
                    loop.stop()
                }
            }
        }
    }

    @Test func theLastAnswerReachesAPeerThatStillSends() throws {
        var got: [UInt8] = []
        let answer = pattern(100)
        try withLoop { loop in
            try withStreams(loop, maxInputBytes: 16) { _, clientHandler, _, serverHandler in
                clientHandler.opened = { $0.send(pattern(200_000)) }
                clientHandler.received = { got += $0.takeAll() }
                clientHandler.closed = { _, end in
                    #expect(end == .peerClosed)
                    loop.stop()
                }
                serverHandler.received = { stream in
                    guard stream.unsentBytes == 0 else { return }
                    stream.input.removeAll()
                    stream.send(answer)
                    stream.closeWhenSent()
                }
            }
        }
        #expect(got == answer)
    }

    @Test func halfCloseLeavesTheOtherDirectionOpen() throws {
        var got: [UInt8] = []
        try withLoop { loop in
            try withStreams(loop) { _, clientHandler, _, serverHandler in
                clientHandler.opened = { stream in
                    if let raw = stream.rawDescriptor { shutdown(raw, Int32(SHUT_WR)) }
                }
                clientHandler.received = { got += $0.takeAll() }
                clientHandler.closed = { _, _ in loop.stop() }
                serverHandler.inputEnded = { stream in
                    stream.send([1, 2, 3])
                    stream.closeWhenSent()
                }
            }
        }
        #expect(got == [1, 2, 3])
    }

    @Test func aResetAfterAHalfCloseIsNoticed() throws {
        try withLoop { loop in
            try withStreams(loop) { client, clientHandler, _, serverHandler in
                clientHandler.opened = { stream in
                    if let raw = stream.rawDescriptor { shutdown(raw, Int32(SHUT_WR)) }
                }
                serverHandler.inputEnded = { _ in
                    // Closing with linger 0 resets.
                    guard let raw = client.rawDescriptor else { return }
                    var now = linger(l_onoff: 1, l_linger: 0)
                    setsockopt(raw, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
                    client.close()
                }
                serverHandler.closed = { _, end in
                    // In this state of the connection Linux calls a reset EPIPE.
                    #expect(end == .failed(SystemError("recv", code: EPIPE)))
                    loop.stop()
                }
            }
        }
    }

    @Test func aHandlerMayCloseWithinAnyCall() throws {
        try withLoop { loop in
            try withStreams(loop) { _, clientHandler, _, serverHandler in
                clientHandler.opened = { $0.send(pattern(100_000)) }
                serverHandler.received = { $0.close() }
                serverHandler.closed = { _, end in #expect(end == .closedHere) }
                clientHandler.closed = { _, _ in loop.stop() }
            }
        }
    }

    @Test func aStreamMovesToAnotherLoopWithItsBytes() throws {
        let other = try LoopThread.start(name: "other")
        defer {
            other.stop()
            other.join()
        }
        var got: [UInt8] = []
        try withLoop { loop in
            try withStreams(loop) { client, clientHandler, _, serverHandler in
                clientHandler.opened = { $0.send(Array("hello".utf8)) }
                clientHandler.received = { stream in
                    got += stream.takeAll()
                    if got.count == 10 {
                        loop.stop()
                    } else if got.count == 5 {
                        client.send(Array("again".utf8))
                    }
                }
                serverHandler.received = { stream in
                    guard stream.input.count == 5, let moved = stream.detach() else { return }
                    #expect(stream.isClosed)
                    other.mailbox.post { otherLoop in
                        let handler = Handler()
                        // Echoes what came along and what comes later.
                        handler.received = { $0.send($0.takeAll()) }
                        _ = Stream(moved: moved, on: otherLoop, handler: handler)
                    }
                }
                serverHandler.closed = { _, _ in Issue.record("a detached stream is not closed") }
            }
        }
        #expect(got == Array("helloagain".utf8))
    }

    @Test func aMovedStreamThatNobodyTakesIsClosed() throws {
        try withLoop { loop in
            try withStreams(loop) { client, clientHandler, server, serverHandler in
                clientHandler.opened = { $0.send([1]) }
                serverHandler.received = { _ = $0.detach() }
                clientHandler.closed = { _, _ in loop.stop() }
                _ = (client, server)
            }
        }
    }
}
