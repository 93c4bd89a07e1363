import Core
import Postgres
import Support
import Testing

/// Patient time-outs: the machine that runs tests is busy.
private let patient = PostgresTimeouts(connect: .seconds(20), work: .seconds(20))

private func pool(connections: Int = 4) async throws -> Pool {
    Pool(url: try await PrivatePostgres.createDatabase(), maxConnections: connections, timeouts: patient)
}

@Suite struct QueryTests {
    @Test func everyKindOfValueComesBackAsItWent() async throws {
        let bytes: [UInt8] = [0, 1, 0x5C, 0xFF]
        let account = AccountID(entropy: [7])
        try await pool().transaction { tx in
            let row = try tx.row(
                """
                SELECT $1::text AS a, $2::bigint AS b, $3::boolean AS c, $4::bytea AS d, $5::text AS e,
                    $6::json AS f, $7::double precision AS g, $8::text AS h,
                    floor(extract(epoch FROM to_timestamp($9)))::bigint AS i,
                    array_to_json($10::text[]) AS j
                """,
                "it's \"ö\"; --", Int64.min, true, bytes, nil as String?, ["x": [1, "y"]] as JSON, 0.5,
                account, WallTime(seconds: 1_700_000_000), TextArray(["a,b", "\"\\{}", ""]))
            #expect(try row["a"] == "it's \"ö\"; --")
            #expect(try row["b"] == Int64.min)
            #expect(try row["c"] == true)
            #expect(try row["d"] == bytes)
            #expect(try row["e"] == String?.none)
            #expect(try row["f"] == (["x": [1, "y"]] as JSON))
            #expect(try row["g"] == 0.5)
            #expect(try row["h"] == account)
            #expect(try row["i"] == WallTime(seconds: 1_700_000_000))
            #expect(try row["j"] == (["a,b", "\"\\{}", ""] as JSON))
        }
    }

    @Test func aValueThatDoesNotFitIsATypedError() async throws {
        let pool = try await pool()
        await #expect(throws: PostgresError.unexpectedValue("column a is not a Int")) {
            try await pool.transaction { tx in
                let _: Int = try tx.row("SELECT 'x' AS a")["a"]
            }
        }
        await #expect(throws: PostgresError.unexpectedValue("text with a NUL character")) {
            try await pool.transaction { tx in _ = try tx.query("SELECT $1::text", "a\0b") }
        }
    }

    @Test func violationsNameTheirConstraintAndNeverTheValue() async throws {
        let pool = try await pool()
        try await pool.transaction { tx in
            _ = try tx.query(
                "CREATE TABLE t (a text CONSTRAINT t_once UNIQUE CONSTRAINT t_short CHECK (length(a) < 9))")
        }
        try await pool.transaction { tx in _ = try tx.query("INSERT INTO t VALUES ($1)", "secret") }
        await #expect(throws: PostgresError.uniqueViolation(constraint: "t_once")) {
            try await pool.transaction { tx in _ = try tx.query("INSERT INTO t VALUES ($1)", "secret") }
        }
        await #expect(throws: PostgresError.checkViolation(constraint: "t_short")) {
            try await pool.transaction { tx in
                _ = try tx.query("INSERT INTO t VALUES ($1)", "too long a text")
            }
        }
        await #expect(throws: PostgresError.refused(sqlState: "22P02", message: "a value does not fit")) {
            try await pool.transaction { tx in _ = try tx.query("SELECT $1::bigint", "secret") }
        }
    }

    @Test func whatAClosureThrowsIsRolledBack() async throws {
        struct Stop: Error {}
        let pool = try await pool()
        try await pool.transaction { tx in _ = try tx.query("CREATE TABLE t (a int)") }
        await #expect(throws: Stop.self) {
            try await pool.transaction { tx in
                try tx.query("INSERT INTO t VALUES (1)")
                throw Stop()
            }
        }
        let count: Int = try await pool.transaction { tx in
            try tx.row("SELECT count(*) AS n FROM t")["n"]
        }
        #expect(count == 0)
    }

    @Test func aTransactionThatSwallowsAnErrorIsNotTakenForCommitted() async throws {
        let pool = try await pool()
        await #expect(
            throws: PostgresError.refused(sqlState: "25P02", message: "the transaction was rolled back")
        ) {
            try await pool.transaction { tx in _ = try? tx.query("SELECT 1/0") }
        }
    }

    @Test func transactionsThatCollideAreRunAgain() async throws {
        let pool = try await pool(connections: 8)
        try await pool.transaction { tx in
            try tx.query("CREATE TABLE t (a int)")
            try tx.query("INSERT INTO t VALUES (0)")
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<2 {
                group.addTask {
                    try await pool.transaction(.repeatableRead) { tx in
                        let a: Int = try tx.row("SELECT a FROM t")["a"]
                        try tx.query("UPDATE t SET a = $1", a + 1)
                    }
                }
            }
            try await group.waitForAll()
        }
        let sum: Int = try await pool.transaction { tx in try tx.row("SELECT a FROM t")["a"]
        }
        #expect(sum == 2)
    }

    @Test func aHundredCallersShareFewConnections() async throws {
        let pool = try await pool(connections: 3)
        let sum = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<100 {
                group.addTask {
                    try await pool.transaction { tx in
                        try tx.row("SELECT $1::int AS n", number)["n"]
                    }
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(sum == 4950)
    }

    @Test func workBeyondItsDeadlineIsUnavailable() async throws {
        let url = try await PrivatePostgres.createDatabase()
        let pool = Pool(
            url: url, timeouts: PostgresTimeouts(connect: .seconds(20), work: Milliseconds(100)))
        await #expect(throws: PostgresError.self) {
            try await pool.transaction { tx in _ = try tx.query("SELECT pg_sleep(30)") }
        }
        // The same pool works on.
        try await pool.transaction { tx in _ = try tx.query("SELECT 1") }
    }
}

@Suite struct ListenerTests {
    @Test func notificationsOfACommitArrive() async throws {
        let url = try await PrivatePostgres.createDatabase()
        let listener = Listener(url: url, channels: ["news"])
        let pool = Pool(url: url, timeouts: patient)
        var events = listener.events.makeAsyncIterator()
        #expect(await events.next() == .listening)
        try await pool.transaction { tx in _ = try tx.query("SELECT pg_notify('news', $1)", "eu:7") }
        guard case .notification(let notification)? = await events.next() else {
            Issue.record("no notification")
            return
        }
        #expect(notification.channel == "news")
        #expect(notification.payload == "eu:7")
        listener.stop()
        #expect(await events.next() == nil)
    }
}
