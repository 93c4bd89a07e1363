import CLinux
import Testing

@testable import Core

/// A pipe whose reader takes what and when it wants.
private final class SlowReader {
    let readEnd: Int32
    let writeEnd: Int32

    init() {
        var ends: [Int32] = [-1, -1]
        _ = pipe2(&ends, O_CLOEXEC)
        readEnd = ends[0]
        writeEnd = ends[1]
        _ = mc_fcntl_int(readEnd, F_SETFL, O_NONBLOCK)
    }

    deinit {
        close(readEnd)
        close(writeEnd)
    }

    func everything() -> String {
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while case let count = read(readEnd, &chunk, chunk.count), count > 0 { text += chunk[..<count] }
        return String(decoding: text, as: UTF8.self)
    }
}

struct LineOutputTests {
    @Test func linesArriveInOrder() {
        let reader = SlowReader()
        let output = LineOutput(descriptor: reader.writeEnd)
        for number in 0..<100 { output.write("line \(number)\n") }
        #expect(reader.everything() == (0..<100).map { "line \($0)\n" }.joined())
    }

    @Test func aReaderWhoDoesNotReadStopsNobodyAndIsToldWhatItMissed() {
        let reader = SlowReader()
        let output = LineOutput(descriptor: reader.writeEnd, maxHeldBytes: 1000) { "lost \($0)\n" }
        let line = String(repeating: "x", count: 99) + "\n"
        // The pipe takes most of 64 KiB, 1,000 bytes are held, the rest is lost; a blocking write would hang here.
        for _ in 0..<1000 { output.write(line) }
        #expect(!output.flush())
        var seen = reader.everything()
        output.write("after\n")
        seen += reader.everything()
        let lines = seen.split(separator: "\n")
        let kept = lines.count { $0.first == "x" }
        #expect(lines.suffix(2) == ["lost \(1000 - kept)", "after"])
        #expect((100..<1000).contains(kept))
    }

    @Test func aReaderWhoIsGoneCostsNothing() {
        mc_ignore_signal(SIGPIPE)
        let reader = SlowReader()
        let output = LineOutput(descriptor: reader.writeEnd)
        close(reader.readEnd)
        output.write("nobody\n")
        #expect(output.flush())
    }
}
