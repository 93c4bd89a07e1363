import Testing

@testable import Redis

private struct NoMemory: Error {}

private func feed(_ text: String, max: Int = 1 << 20) throws -> [RedisReply] {
    guard var reader = RedisReader(maxReplyBytes: max) else { throw NoMemory() }
    return try feed(text, &reader)
}

private func feed(_ text: String, _ reader: inout RedisReader) throws -> [RedisReply] {
    try reader.feed(Array(text.utf8))
}

@Suite struct RedisCodecTests {
    @Test func aCommandIsAnArrayOfBulkStrings() {
        let bytes = RedisFormatter.format([Array("SET".utf8), [0, 13, 10], []])
        #expect(bytes == Array("*3\r\n$3\r\nSET\r\n$3\r\n\0\r\n\r\n$0\r\n\r\n".utf8))
    }

    @Test func everyKindOfReplyIsRead() throws {
        let replies = try feed(
            "+OK\r\n-ERR no\r\n:-7\r\n$3\r\na\0b\r\n$-1\r\n*2\r\n*1\r\n:1\r\n$-1\r\n*0\r\n")
        #expect(
            replies == [
                .status("OK"), .error("ERR no"), .integer(-7), .bytes([97, 0, 98]), .null,
                .array([.array([.integer(1)]), .null]), .array([]),
            ])
    }

    @Test func aReplyMayComeByteByByte() throws {
        guard var reader = RedisReader(maxReplyBytes: 1 << 20) else { throw NoMemory() }
        var replies: [RedisReply] = []
        for character in "*2\r\n$2\r\nhi\r\n:1\r\n" { replies += try feed(String(character), &reader) }
        #expect(replies == [.array([.bytes([104, 105]), .integer(1)])])
    }

    @Test func aReplyLargerThanTheCapFails() {
        #expect(throws: RedisReader.Failure.self) {
            try feed("$100000\r\n" + String(repeating: "x", count: 100_000), max: 50_000)
        }
    }

    @Test func manySmallRepliesDoNotCountTogether() throws {
        let replies = try feed(String(repeating: "+OK\r\n", count: 30_000), max: 20_000)
        #expect(replies.count == 30_000)
    }

    @Test(arguments: ["*2147483647\r\n", "*70000\r\n", String(repeating: "*1\r\n", count: 12), "!what\r\n"])
    func hostileRepliesFailWithoutAllocating(_ text: String) {
        #expect(throws: RedisReader.Failure.self) { try feed(text) }
    }
}
