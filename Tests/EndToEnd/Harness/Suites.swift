import Support
import Testing

/// Promises that hold while every part is well. They share one fleet.
@Suite(.serialized, .ownThreads) struct Whole {
    private static let fleet = Task(executorPreference: GrowingPool.shared) {
        try await Fleet(relays: ["eu", "us"])
    }

    /// Runs `body` with the shared fleet; when it throws, the parts' last words are told.
    func withFleet(_ body: (Fleet) async throws -> Void) async throws {
        let fleet = try await Self.fleet.value
        try await telling(fleet, body)
    }
}

/// Promises about parts that fail. Each has a fleet of its own, one at a time.
@Suite(.serialized, .ownThreads) struct Broken {
    func withFleet(
        relays: [String] = ["eu"], postgres: PrivatePostgres? = nil, nameServer: PrivateNameServer? = nil,
        keysInDatabase: Bool = false, splitsRedis: Bool = false, databasePort: Int? = nil,
        _ body: (Fleet) async throws -> Void
    ) async throws {
        let fleet = try await Fleet(
            relays: relays, postgres: postgres, nameServer: nameServer, keysInDatabase: keysInDatabase,
            splitsRedis: splitsRedis, databasePort: databasePort)
        try await telling(fleet, body)
    }
}

private func telling(_ fleet: Fleet, _ body: (Fleet) async throws -> Void) async throws {
    do {
        try await body(fleet)
    } catch {
        Issue.record("the parts' last words:\n\(fleet.lastWords)")
        throw error
    }
}
