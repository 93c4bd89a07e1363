import Core
import Testing

/// Looks until something has become so; fails after a minute, since the machine may be slow and busy.
func eventually(_ what: String, _ isSo: () async throws -> Bool) async throws {
    let deadline = Instant.now() + .seconds(60)
    while try await !isSo() {
        try #require(Instant.now() < deadline, "did not happen: \(what)")
        try await Task.sleep(for: .milliseconds(10))
    }
}
