import Core

extension Task where Success == Never, Failure == Never {
    /// Between two rounds of work: true when `length` has passed, false when the task was cancelled, after which no
    /// round begins.
    static func pause(_ length: Milliseconds) async -> Bool {
        (try? await sleep(for: .milliseconds(length.count))) != nil
    }
}
