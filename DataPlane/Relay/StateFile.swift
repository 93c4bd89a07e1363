import CLinux
import Core

/// Files of the state directory, which only this program reads: whole or not at all.
enum StateFile {
    static func write(_ text: String, to path: String) throws(StateError) {
        try replace(path) { add throws(StateError) in try add(Array(text.utf8)) }
    }

    /// What `fill` adds takes the file's place in one step; when it fails, the old file stays and nothing is left
    /// behind.
    static func replace(
        _ path: String,
        _ fill: (_ add: (_ bytes: [UInt8]) throws(StateError) -> Void) throws(StateError) -> Void
    ) throws(StateError) {
        let draft = path + ".new"
        let descriptor = mc_open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .last("cannot write \(path)") }
        do throws(StateError) {
            defer { close(descriptor) }
            try fill { bytes throws(StateError) in
                guard append(bytes, to: descriptor) else { throw .last("cannot write \(path)") }
            }
            guard fsync(descriptor) == 0 else { throw .last("cannot write \(path)") }
        } catch {
            unlink(draft)
            throw error
        }
        guard rename(draft, path) == 0 else { throw .last("cannot write \(path)") }
    }

    private static func append(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { CLinux.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, mc_errno() == EINTR { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    /// nil when there is no such file.
    static func read(_ path: String, maxBytes: Int) throws(StateError) -> [UInt8]? {
        let descriptor = mc_open(path, O_RDONLY | O_CLOEXEC, 0)
        guard descriptor >= 0 else {
            if mc_errno() == ENOENT { return nil }
            throw .last("cannot read \(path)")
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 256 * 1024)
        while true {
            let count = CLinux.read(descriptor, &chunk, chunk.count)
            if count < 0, mc_errno() == EINTR { continue }
            guard count >= 0 else { throw .last("cannot read \(path)") }
            if count == 0 { return bytes }
            guard bytes.count + count <= maxBytes else { throw StateError("\(path) is too large") }
            bytes += chunk[..<count]
        }
    }
}

/// The state directory cannot be used.
struct StateError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }

    static func last(_ what: String) -> StateError {
        StateError("\(what): \(String(cString: strerror(mc_errno())))")
    }
}
