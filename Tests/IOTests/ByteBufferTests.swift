import IO
import Testing

struct ByteBufferTests {
    @Test func bytesLeaveInTheOrderTheyCame() {
        var buffer = ByteBuffer()
        var expected: [UInt8] = []
        var taken: [UInt8] = []
        for round in 0..<200 {
            let more = pattern(round * 37 % 5000)
            buffer.append(more)
            expected += more
            let part = buffer.array(count: round * 53 % 4000)
            buffer.consume(part.count)
            taken += part
        }
        taken += buffer.array()
        #expect(taken == expected)
    }

    @Test func askingForTooMuchGivesWhatThereIs() {
        var buffer = ByteBuffer([1, 2, 3])
        #expect(buffer.array(from: 1) == [2, 3])
        #expect(buffer.array(from: 5, count: 2) == [])
        #expect(buffer.array(from: -1, count: -4) == [])
        buffer.consume(10)
        #expect(buffer.isEmpty)
        buffer.consume(-1)
        #expect(buffer.isEmpty)
    }
}
