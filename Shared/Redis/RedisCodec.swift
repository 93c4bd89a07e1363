import CRedis

/// One command with its arguments, ready to send (hiredis' formatter).
enum RedisFormatter {
    static func format(_ arguments: [[UInt8]]) -> [UInt8] {
        let joined = arguments.flatMap { $0 }
        let lengths = arguments.map(\.count)
        return joined.withUnsafeBytes { all -> [UInt8] in
            // An empty array has no address, yet hiredis wants a pointer for an argument of no bytes.
            var empty: CChar = 0
            return withUnsafePointer(to: &empty) { nothing -> [UInt8] in
                var offset = 0
                var pointers: [UnsafePointer<CChar>?] = lengths.map { length in
                    defer { offset += length }
                    guard length > 0, let base = all.baseAddress else { return nothing }
                    return (base + offset).assumingMemoryBound(to: CChar.self)
                }
                var target: UnsafeMutablePointer<CChar>?
                let count = redisFormatCommandArgv(&target, Int32(arguments.count), &pointers, lengths)
                guard count > 0, let target else { return [] }
                defer { redisFreeCommand(target) }
                return Array(UnsafeRawBufferPointer(start: target, count: Int(count)))
            }
        }
    }
}

/// Turns bytes from Redis into replies (hiredis' reader), with caps on size, elements and (hiredis' own, 7) nesting.
struct RedisReader: ~Copyable {
    struct Failure: Error { let reason: String }

    private let reader: UnsafeMutablePointer<redisReader>
    private let functions: UnsafeMutablePointer<redisReplyObjectFunctions>
    private let maxReplyBytes: Int
    private var bytesSinceReply = 0

    /// nil without memory. A reply of more than `maxReplyBytes` on the wire is a failure.
    init?(maxReplyBytes: Int) {
        guard let reader = redisReaderCreate() else { return nil }
        self.reader = reader
        self.maxReplyBytes = maxReplyBytes
        functions = .allocate(capacity: 1)
        functions.initialize(to: reader.pointee.fn.pointee)
        functions.pointee.createArray = { mc_redis_create_array($0, $1) }
        reader.pointee.fn = functions
    }

    deinit {
        redisReaderFree(reader)
        functions.deallocate()
    }

    /// All replies that `bytes` complete. After a failure the reader is of no more use.
    mutating func feed(_ bytes: [UInt8]) throws(Failure) -> [RedisReply] {
        var replies: [RedisReply] = []
        var start = 0
        while start < bytes.count {
            // Small feeds, so that the cap is checked before much is held.
            let count = min(bytes.count - start, 16 * 1024)
            let code = bytes[start..<start + count].withUnsafeBytes {
                redisReaderFeed(reader, $0.baseAddress?.assumingMemoryBound(to: CChar.self), count)
            }
            guard code == REDIS_OK else { throw failure() }
            start += count
            bytesSinceReply += count
            while let reply = try next() {
                replies.append(reply)
                bytesSinceReply = reader.pointee.len - reader.pointee.pos
            }
            guard bytesSinceReply <= maxReplyBytes else {
                throw Failure(reason: "a reply is larger than \(maxReplyBytes) bytes")
            }
        }
        return replies
    }

    private func next() throws(Failure) -> RedisReply? {
        var object: UnsafeMutableRawPointer?
        guard redisReaderGetReply(reader, &object) == REDIS_OK else { throw failure() }
        guard let object else { return nil }
        defer { freeReplyObject(object) }
        return Self.convert(object.assumingMemoryBound(to: redisReply.self).pointee)
    }

    private func failure() -> Failure {
        // The text is in a fixed array of the struct, always ended by a zero.
        let reason = withUnsafeBytes(of: reader.pointee.errstr) { text in
            String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
        }
        return Failure(reason: reason)
    }

    private static func convert(_ reply: redisReply) -> RedisReply {
        switch reply.type {
        case REDIS_REPLY_INTEGER: .integer(reply.integer)
        case REDIS_REPLY_STATUS: .status(String(decoding: bytes(reply), as: UTF8.self))
        case REDIS_REPLY_ERROR: .error(String(decoding: bytes(reply), as: UTF8.self))
        case REDIS_REPLY_STRING: .bytes(bytes(reply))
        case REDIS_REPLY_ARRAY: .array(elements(reply))
        default: .null
        }
    }

    private static func bytes(_ reply: redisReply) -> [UInt8] {
        guard let text = reply.str else { return [] }
        return Array(UnsafeRawBufferPointer(start: text, count: Int(reply.len)))
    }

    private static func elements(_ reply: redisReply) -> [RedisReply] {
        guard let elements = reply.element else { return [] }
        return (0..<Int(reply.elements)).map { index in
            guard let element = elements[index] else { return .null }
            return convert(element.pointee)
        }
    }
}
