import Core
import Postgres
import Support
import Testing

@Suite struct MigrationTests {
    private func emptyDatabase() async throws -> String {
        try await PrivatePostgres.shared().createDatabase(template: "template0")
    }

    @Test func filesAreAppliedOnceInOrder() async throws {
        let migrator = Migrator(url: try await emptyDatabase())
        let first = try Migration(
            file: "0001_a.sql", sql: "CREATE TABLE a (x int); INSERT INTO a VALUES (1);")
        let second = try Migration(file: "0002_b.sql", sql: "ALTER TABLE a ADD y int")
        #expect(try await migrator.run([first]) == ["0001_a.sql"])
        #expect(try await migrator.run([first, second]) == ["0002_b.sql"])
        #expect(try await migrator.run([first, second]) == [])
    }

    @Test func programsThatStartTogetherApplyThemOnce() async throws {
        let url = try await emptyDatabase()
        let files = [try Migration(file: "0001_a.sql", sql: "CREATE TABLE a (x int)")]
        let applied = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<4 { group.addTask { try await Migrator(url: url).run(files).count } }
            return try await group.reduce(0, +)
        }
        #expect(applied == 1)
    }

    @Test func aFileThatChangedOrComesLateIsRefused() async throws {
        let migrator = Migrator(url: try await emptyDatabase())
        try await migrator.run([try Migration(file: "0002_b.sql", sql: "CREATE TABLE b (x int)")])
        await #expect(throws: MigrationError.changed("0002_b.sql")) {
            try await migrator.run([try Migration(file: "0002_b.sql", sql: "CREATE TABLE b (x text)")])
        }
        await #expect(throws: MigrationError.outOfOrder("0001_a.sql")) {
            try await migrator.run([try Migration(file: "0001_a.sql", sql: "SELECT 1")])
        }
    }

    @Test func aFileThatFailsLeavesNothingBehind() async throws {
        let migrator = Migrator(url: try await emptyDatabase())
        await #expect(throws: MigrationError.self) {
            try await migrator.run([
                try Migration(file: "0001_a.sql", sql: "CREATE TABLE a (x int); SELECT 1/0;")
            ])
        }
        let fixed = try Migration(file: "0001_a.sql", sql: "CREATE TABLE a (x int)")
        #expect(try await migrator.run([fixed]) == ["0001_a.sql"])
    }

    @Test func misnamedFilesAreRefused() {
        #expect(throws: MigrationError.misnamed("1_a.sql")) { try Migration(file: "1_a.sql", sql: "") }
        #expect(throws: MigrationError.misnamed("0001a.sql")) { try Migration(file: "0001a.sql", sql: "") }
    }

    @Test func schemaShowsWhatTheMigrationsMake() async throws {
        let migrated = try await PrivatePostgres.createDatabase()
        let written = try await emptyDatabase()
        let schema = try #require(Files.read(Files.root + "/migrations/schema.sql"))
        try await Migrator(url: written).run([try Migration(file: "0001_schema.sql", sql: schema)])
        #expect(try await columns(of: migrated) == columns(of: written))
    }

    private func columns(of url: String) async throws -> [String] {
        try await Pool(url: url, timeouts: PostgresTimeouts(connect: .seconds(20))).transaction { tx in
            try tx.query(
                """
                SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default) AS line
                FROM information_schema.columns WHERE table_schema = 'public'
                UNION ALL
                SELECT concat_ws(' ', tablename, indexdef) FROM pg_indexes WHERE schemaname = 'public'
                UNION ALL
                SELECT concat_ws(' ', viewname, definition) FROM pg_views WHERE schemaname = 'public'
                UNION ALL
                SELECT concat_ws(' ', conrelid::regclass::text, conname, pg_get_constraintdef(oid))
                FROM pg_constraint WHERE connamespace = 'public'::regnamespace
                ORDER BY line
                """
            ).map { try $0["line"] }
        }
    }
}
