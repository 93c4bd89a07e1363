import CLinux
import Core

/// Folders and ports that tests need.
public enum Files {
    /// The repository's root.
    public static let root: String = {
        #filePath.split(separator: "/").dropLast(3).reduce(into: "") { $0 += "/" + $1 }
    }()

    /// A new folder directly under /tmp: paths of sockets in it must stay short.
    public static func temporaryFolder(_ name: String) throws(SupportError) -> String {
        var template = Array("/tmp/minecart-\(name)-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SupportError("mkdtemp: errno \(mc_errno())") }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    public static func write(_ text: String, to path: String) throws(SupportError) {
        let descriptor = mc_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw SupportError("cannot write \(path): errno \(mc_errno())") }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        guard CLinux.write(descriptor, bytes, bytes.count) == bytes.count else {
            throw SupportError("cannot write \(path)")
        }
    }

    public static func read(_ path: String) -> String? { Settings.read(path) }

    /// A loopback port that was free a moment ago.
    public static func freePort() throws(SupportError) -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(O_CLOEXEC), 0)
        guard descriptor >= 0 else { throw SupportError("socket: errno \(mc_errno())") }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
            }
        }
        guard bound else { throw SupportError("bind: errno \(mc_errno())") }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}
