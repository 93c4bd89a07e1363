import CLinux
import Core

/// Why the tables could not be brought up to date. Nothing of the failing file is left behind.
public enum MigrationError: Error, Sendable, Hashable, CustomStringConvertible {
    case unreadable(String)
    case misnamed(String)
    case duplicate(Int)
    case changed(String)
    case outOfOrder(String)
    case failed(String, PostgresError)
    case database(PostgresError)

    public var description: String {
        switch self {
        case .unreadable(let path): "cannot read \(path): set MIGRATIONS_DIR to the folder of the .sql files"
        case .misnamed(let file): "\(file) is not named like 0001_what_it_does.sql"
        case .duplicate(let version): "two migrations have the number \(version)"
        case .changed(let file):
            "\(file) differs from what was applied: applied files never change, write a new one"
        case .outOfOrder(let file): "\(file) is older than what was applied: give it the next number"
        case .failed(let file, let error): "\(file) failed: \(error)"
        case .database(let error): error.description
        }
    }
}

/// One numbered SQL file.
public struct Migration: Sendable, Hashable {
    public let version: Int
    public let file: String
    public let sql: String

    public init(file: String, sql: String) throws(MigrationError) {
        let number = file.prefix { $0.isNumber }
        guard number.count == 4, let version = Int(number), file.dropFirst(4).hasPrefix("_"),
            file.hasSuffix(".sql")
        else { throw .misnamed(file) }
        self.version = version
        self.file = file
        self.sql = sql
    }

    /// Every `.sql` file of a folder that begins with a digit, in order.
    public static func load(directory: String) throws(MigrationError) -> [Migration] {
        guard let folder = opendir(directory) else { throw .unreadable(directory) }
        defer { closedir(folder) }
        var files: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasSuffix(".sql"), name.first?.isNumber == true { files.append(name) }
        }
        var migrations: [Migration] = []
        for file in files.sorted() {
            let path = directory + "/" + file
            guard let sql = Settings.read(path) else { throw .unreadable(path) }
            migrations.append(try Migration(file: file, sql: sql))
        }
        for (earlier, later) in zip(migrations, migrations.dropFirst())
        where earlier.version == later.version {
            throw .duplicate(later.version)
        }
        guard !migrations.isEmpty else { throw .unreadable(directory + "/0001_….sql") }
        return migrations
    }

    /// MIGRATIONS_DIR, else `migrations` beside the program, else `./migrations`.
    public static func directory(setting: String?) -> String {
        if let setting { return setting }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes { bytes in
            bytes.bindMemory(to: CChar.self).baseAddress.map { readlink("/proc/self/exe", $0, bytes.count) }
                ?? 0
        }
        let program = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
        let beside = program.split(separator: "/").dropLast().joined(separator: "/")
        let candidate = "/" + beside + "/migrations"
        return access(candidate, R_OK) == 0 ? candidate : "./migrations"
    }
}

/// Applies migrations in order, one transaction each, under an advisory lock so that programs that start
/// together do it once.
public struct Migrator: Sendable {
    private let url: String
    /// "minecart" as a number: the key of the advisory lock.
    private static let lockKey = 7_881_695_285_031_170_676
    private static let connect = Milliseconds.seconds(10)
    private static let patience = Milliseconds.minutes(10)

    /// The URL must not lead through a transaction pooler: the lock belongs to the connection.
    public init(url: String) { self.url = url }

    /// The files that were applied now.
    @discardableResult
    public func run(_ migrations: [Migration]) async throws(MigrationError) -> [String] {
        do {
            return try await Session(url: url, label: "postgres-migrations").exclusively(
                connectBy: Instant.now() + Self.connect
            ) { connection in try Self.apply(migrations, &connection) }
        } catch let error as MigrationError {
            throw error
        } catch let error as PostgresError {
            throw .database(error)
        } catch {
            throw .database(.unavailable("\(error)"))
        }
    }

    private static func apply(_ migrations: [Migration], _ connection: inout Connection) throws -> [String] {
        let deadline = Instant.now() + patience
        // The lock goes with the connection, which ends with this call.
        _ = try connection.query("SELECT pg_advisory_lock($1)", [.text("\(lockKey)")], deadline: deadline)
        try connection.script(
            """
            CREATE TABLE IF NOT EXISTS schema_migrations (
                version integer PRIMARY KEY,
                file text NOT NULL,
                checksum text NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT now()
            )
            """, deadline: deadline)
        var applied: [Int: String] = [:]
        for row in try connection.query(
            "SELECT version, checksum FROM schema_migrations", [], deadline: deadline)
        {
            let version: Int = try row["version"]
            applied[version] = try row["checksum"]
        }
        let newest = applied.keys.max() ?? 0
        var done: [String] = []
        for migration in migrations {
            let checksum = try checksum(of: migration.sql, &connection, deadline)
            if let before = applied[migration.version] {
                guard before == checksum else { throw MigrationError.changed(migration.file) }
                continue
            }
            guard migration.version > newest else { throw MigrationError.outOfOrder(migration.file) }
            do throws(PostgresError) {
                try connection.script("BEGIN", deadline: deadline)
                try connection.script(migration.sql, deadline: deadline)
                _ = try connection.query(
                    "INSERT INTO schema_migrations (version, file, checksum) VALUES ($1, $2, $3)",
                    [.text("\(migration.version)"), .text(migration.file), .text(checksum)],
                    deadline: deadline)
                try connection.script("COMMIT", deadline: deadline)
            } catch {
                throw MigrationError.failed(migration.file, error)
            }
            done.append(migration.file)
        }
        return done
    }

    private static func checksum(of sql: String, _ connection: inout Connection, _ deadline: Instant) throws
        -> String
    {
        let rows = try connection.query(
            "SELECT encode(sha256(convert_to($1, 'UTF8')), 'hex') AS checksum", [.text(sql)],
            deadline: deadline)
        guard let row = rows.first else { throw PostgresError.unexpectedValue("no checksum") }
        return try row["checksum"]
    }
}
