import CLinux
import IO

/// Lines on standard input; at its end the program ends.
final class CommandLines: Source {
    private let loop: EventLoop
    private let told: (String) -> Void
    private var rest: [UInt8] = []

    init(loop: EventLoop, told: @escaping (String) -> Void) {
        self.loop = loop
        self.told = told
    }

    func start() throws(SystemError) {
        _ = mc_fcntl_int(0, F_SETFL, O_NONBLOCK)
        try loop.add(self, descriptor: 0)
    }

    override func ready(_ readiness: Readiness) {
        while true {
            let count = read(0, loop.scratch.baseAddress, loop.scratch.count)
            if count > 0 {
                rest += UnsafeRawBufferPointer(rebasing: loop.scratch[..<count])
            } else if count < 0, mc_errno() == EAGAIN {
                break
            } else {
                return loop.stop()
            }
        }
        while let end = rest.firstIndex(of: 10) {
            let line = String(decoding: rest[..<end], as: UTF8.self)
            rest.removeFirst(end + 1)
            told(line)
        }
    }
}
