/// Bytes that arrive at the end and are taken from the front. Taking moves an index; the space is reclaimed
/// when the buffer runs empty or the dead part outgrows the live one.
public struct ByteBuffer: Sendable {
    private var storage: [UInt8] = []
    private var start = 0

    public init() {}
    public init(_ bytes: [UInt8]) { storage = bytes }

    public var count: Int { storage.count - start }
    public var isEmpty: Bool { count == 0 }

    /// The byte `offset` places from the front; the caller keeps below `count`.
    public subscript(offset: Int) -> UInt8 { storage[start + offset] }

    public mutating func append(_ bytes: [UInt8]) { storage += bytes }
    public mutating func append(_ bytes: ArraySlice<UInt8>) { storage += bytes }
    public mutating func append(_ bytes: UnsafeRawBufferPointer) { storage += bytes }

    /// Drops `byteCount` bytes from the front, or all when there are fewer.
    public mutating func consume(_ byteCount: Int) {
        start = min(start + max(0, byteCount), storage.count)
        if start == storage.count {
            storage.removeAll(keepingCapacity: storage.capacity <= 64 * 1024)
            start = 0
        } else if start > 4096, start > storage.count - start {
            storage.removeFirst(start)
            start = 0
        }
    }

    public mutating func removeAll() {
        storage = []
        start = 0
    }

    /// A copy of up to `byteCount` bytes from `offset`.
    public func array(from offset: Int = 0, count byteCount: Int = .max) -> [UInt8] {
        let first = min(start + max(0, offset), storage.count)
        let last = byteCount < storage.count - first ? first + max(0, byteCount) : storage.count
        return Array(storage[first..<last])
    }

    /// What is there, in place.
    public func withSpan<R, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
        try body(storage.span.extracting(droppingFirst: start))
    }

    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try storage.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[start...])) }
    }
}
