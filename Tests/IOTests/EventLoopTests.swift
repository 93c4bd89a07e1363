import Core
import IO
import Synchronization
import Testing

struct EventLoopTests {
    @Test func timersFireInTheOrderOfTheirTimes() throws {
        var fired: [Int] = []
        try withLoop { loop in
            loop.schedule(after: Milliseconds(30)) {
                fired.append(3)
                loop.stop()
            }
            loop.schedule(after: Milliseconds(20)) { fired.append(2) }
            loop.schedule(after: Milliseconds(0)) { fired.append(1) }
        }
        #expect(fired == [1, 2, 3])
    }

    @Test func aTimerNeverFiresEarly() throws {
        try withLoop { loop in
            let start = Instant.now()
            loop.schedule(after: Milliseconds(5)) {
                #expect(Instant.now().since(start) >= Milliseconds(5))
                loop.stop()
            }
        }
    }

    @Test func aCancelledTimerDoesNotFire() throws {
        try withLoop { loop in
            let timer = loop.schedule(after: Milliseconds(1)) { Issue.record("fired") }
            loop.cancel(timer)
            loop.cancel(timer)
            loop.schedule(after: Milliseconds(10)) { loop.stop() }
        }
    }

    @Test func aTimerThatReschedulesItselfForNowStarvesNobody() throws {
        try withLoop { loop in
            func again() { loop.schedule(after: Milliseconds(0), again) }
            again()
            loop.mailbox.post { $0.stop() }
        }
    }

    @Test func endOfTurnWorkThatAddsMoreStarvesNobody() throws {
        try withLoop { loop in
            func again() { loop.atEndOfTurn(again) }
            again()
            loop.mailbox.post { $0.stop() }
        }
    }

    @Test func lettersFromManyThreadsArriveInEachThreadsOrder() throws {
        let seen = Mutex<[Int: [Int]]>([:])
        let thread = try LoopThread.start(name: "letters")
        let writers = try (0..<4).map { writer in
            try ThreadHandle.start(name: "writer") {
                for letter in 0..<500 {
                    thread.mailbox.post { _ in seen.withLock { $0[writer, default: []].append(letter) } }
                }
            }
        }
        for writer in writers { writer.join() }
        thread.stop()
        thread.join()
        #expect(
            seen.withLock { $0 } == Dictionary(uniqueKeysWithValues: (0..<4).map { ($0, Array(0..<500)) }))
    }

    @Test func aLetterMayHoldSomethingThatPostsWhenItGoes() throws {
        final class Poster: Sendable {
            let mailbox: Mailbox
            init(_ mailbox: Mailbox) { self.mailbox = mailbox }
            deinit { mailbox.post { _ in } }
        }
        let loop = try EventLoop()
        loop.stop()
        do {
            let poster = Poster(loop.mailbox)
            loop.mailbox.post { _ in _ = poster }
        }
        loop.run()
        loop.mailbox.post { _ in Issue.record("ran after the end") }
    }

    @Test func aStoppedLoopLetsItsDescriptorsGo() throws {
        weak var listener: Listener?
        try withLoop { loop in
            let address = try #require(anyLoopbackPort)
            let made = try Listener(loop: loop, address: address) { _, _ in }
            listener = made
            loop.stop()
        }
        #expect(listener == nil)
    }

    @Test func loopBoundThingsComeBackOnTheirLoop() throws {
        final class Counter { var count = 0 }
        try withLoop { loop in
            let counter = Counter()
            let bound = LoopBound(counter, loop)
            loop.mailbox.post { loop in
                bound.get(loop).count += 1
                loop.stop()
            }
        }
    }
}
