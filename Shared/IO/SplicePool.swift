import CLinux

/// A kernel pipe for splice(2); its own capacity is what one call can move.
final class Pipe {
    let readEnd: Descriptor
    let writeEnd: Descriptor
    /// Bytes spliced in and not yet out.
    var held = 0

    static let capacity = 256 * 1024

    init?() {
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC | O_NONBLOCK) == 0 else { return nil }
        readEnd = Descriptor(owning: ends[0])
        writeEnd = Descriptor(owning: ends[1])
        // Refused above the user's share of pipe pages: the standard 64 KiB then serve.
        _ = mc_fcntl_int(ends[1], MC_F_SETPIPE_SZ, Int32(Self.capacity))
    }
}

/// What the splices of one loop borrow: pipes for bulk, memory for bytes that the other side cannot take yet.
public final class SplicePool {
    static let bufferBytes = EventLoop.scratchBytes

    private var idlePipes: [Pipe] = []
    private var pipesOut = 0
    private var idleBuffers: [UnsafeMutableRawPointer] = []
    private let maxPipes: Int
    private static let keptIdle = 32

    /// Above `maxPipes` in use (two descriptors each) bytes are copied instead.
    public init(maxPipes: Int = 128) { self.maxPipes = maxPipes }

    deinit { for buffer in idleBuffers { buffer.deallocate() } }

    func takePipe() -> Pipe? {
        guard pipesOut < maxPipes else { return nil }
        let pipe = idlePipes.popLast() ?? Pipe()
        if pipe != nil { pipesOut += 1 }
        return pipe
    }

    /// A pipe with bytes left in it is closed, never used again.
    func give(back pipe: Pipe) {
        pipesOut -= 1
        if pipe.held == 0, idlePipes.count < Self.keptIdle { idlePipes.append(pipe) }
    }

    func takeBuffer(atLeast count: Int = 0) -> UnsafeMutableRawPointer {
        if count > Self.bufferBytes { return .allocate(byteCount: count, alignment: 64) }
        return idleBuffers.popLast() ?? .allocate(byteCount: Self.bufferBytes, alignment: 64)
    }

    func give(back buffer: UnsafeMutableRawPointer) {
        if idleBuffers.count < Self.keptIdle { idleBuffers.append(buffer) } else { buffer.deallocate() }
    }
}
