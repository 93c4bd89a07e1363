import CLinux

/// A system call that failed: which, and errno.
public struct SystemError: Error, Sendable, Hashable, CustomStringConvertible {
    public let operation: String
    public let code: Int32

    public init(_ operation: String, code: Int32) {
        self.operation = operation
        self.code = code
    }

    /// The error of the call that failed just now on this thread.
    public static func last(_ operation: String) -> SystemError { SystemError(operation, code: mc_errno()) }

    /// The kernel's own words: `Connection refused`.
    public var reason: String { String(cString: strerror(code)) }
    public var description: String { "\(operation): \(reason)" }
}

/// Owns a file descriptor and closes it.
public struct Descriptor: ~Copyable, Sendable {
    public let rawValue: Int32

    public init(owning rawValue: Int32) { self.rawValue = rawValue }

    deinit { CLinux.close(rawValue) }

    /// Gives the descriptor away unclosed.
    public consuming func release() -> Int32 {
        let value = rawValue
        discard self
        return value
    }
}

/// Process-wide limits that a program sets once at start.
public enum ProcessLimits {
    /// Lifts the soft limit of file descriptors to the hard one and answers with it.
    @discardableResult
    public static func raiseDescriptors() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return Int(clamping: limit.rlim_max)
    }
}
