import FoundationEssentials
@preconcurrency import Glibc
import ZeroDB

/// The environment that a load fills, in transactions of bounded size.
struct LoadTarget {
    /// How it is loaded.
    struct Options {
        var path: String
        /// Bytes of memory for a transaction.
        var memory: UInt64
        /// Whether entries that are there stay as they are.
        var keepsExisting: Bool
        /// Whether all is on disk at the end.
        var waitsForDisk: Bool
    }

    let environment: Environment
    private let options: Options

    /// Where the position of a load that can be continued is recorded.
    static let progressName = "zerodb.load"
    private static let progressKey = "position"

    /// How far a load was when its last transaction committed.
    struct Progress: Codable {
        var position: LoadPosition
        /// The database that it was in.
        var database: LoadedDatabase
        /// All entries that it had loaded.
        var entries: UInt64
        /// Whether that database had ended.
        var isAtEnd: Bool?
    }

    /// - Parameter pageSize: of the pages, if the environment is made.
    init(_ options: Options, pageSize: Int?) throws(DatabaseError) {
        self.options = options
        var opening = EnvironmentOptions()
        let sizes = [4096, 8192, 16384, 32768, 65536]
        if let pageSize, sizes.contains(pageSize) { opening.pageSize = pageSize }
        opening.maxTransactionPages = 0
        opening.maxTransactionMemory = max(options.memory / 2, 1 << 20)
        opening.writerWaitMilliseconds = 10_000
        environment = try Environment(path: options.path, options: opening)
    }

    // MARK: Progress

    /// What an earlier load left in an environment; nil if none was interrupted, or if there is no
    /// environment.
    static func savedProgress(in path: String) throws -> Progress? {
        var opening = EnvironmentOptions()
        opening.createsIfMissing = false
        opening.writerWaitMilliseconds = 10_000
        let environment: Environment
        do throws(DatabaseError) {
            environment = try Environment(path: path, options: opening)
        } catch {
            guard error.systemError == ENOENT else { throw error }
            return nil
        }
        let progress = try progress(of: environment)
        try environment.close()
        return progress
    }

    private static func progress(of environment: Environment) throws -> Progress? {
        let bytes = try environment.read { transaction throws -> [UInt8]? in
            guard let database = try progressDatabase(transaction) else { return nil }
            return try transaction.get(progressKey, in: database)
        }
        guard let bytes else { return nil }
        do {
            return try JSONDecoder().decode(Progress.self, from: Data(bytes))
        } catch {
            throw TransferError.refused(
                "the database \"\(progressName)\" does not hold the position of a load")
        }
    }

    private static func progressDatabase(
        _ transaction: borrowing ReadTransaction
    ) throws(DatabaseError) -> Database? {
        do throws(DatabaseError) {
            return try transaction.database(progressName)
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
    }

    /// Records the position with what a transaction has loaded.
    func record(
        _ progress: Progress, in transaction: inout WriteTransaction
    ) throws {
        let database = try transaction.createDatabase(Self.progressName)
        try transaction.put(
            Self.progressKey, Array(try JSONEncoder().encode(progress)), in: database)
    }

    /// Forgets the position when all is loaded.
    func forgetProgress() throws {
        guard try Self.progress(of: environment) != nil else { return }
        try environment.write { transaction in
            try transaction.drop(try transaction.database(Self.progressName))
        }
    }

    // MARK: Databases and entries

    /// Makes the database, or opens it if it is there. One that counts will do where a plain one is asked
    /// for.
    func open(
        _ database: inout LoadedDatabase, in transaction: inout WriteTransaction
    ) throws(DatabaseError) -> Database {
        var flags = DatabaseFlags(rawValue: database.flags ?? 0)
        let opened: Database
        if let name = database.name {
            if let existing = try Self.flags(of: name, in: transaction),
                existing == flags.union(.counted)
            {
                flags = existing
            }
            opened = try transaction.createDatabase(name, flags: flags)
        } else {
            let existing = try transaction.flags()
            if !flags.isEmpty, existing != flags.union(.counted) {
                try transaction.createMain(flags: flags)
            }
            opened = .main
        }
        database.wasEmpty = try transaction.statistics(of: opened).entries == 0
        return opened
    }

    private static func flags(
        of name: [UInt8], in transaction: borrowing WriteTransaction
    ) throws(DatabaseError) -> DatabaseFlags? {
        let database: Database
        do throws(DatabaseError) {
            database = try transaction.database(name)
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
        return try transaction.flags(of: database)
    }

    /// Puts an entry.
    ///
    /// - Returns: whether it is new, or may have been.
    func put(
        _ key: [UInt8], _ value: [UInt8], in database: Database, _ order: inout InputOrder,
        _ transaction: inout WriteTransaction
    ) throws(DatabaseError) -> Bool {
        if options.keepsExisting {
            return order.hasDuplicates
                ? try transaction.insertPair(key, value, in: database)
                : try transaction.insert(key, value, in: database)
        }
        guard order.expectsAppend else {
            try transaction.put(key, value, in: database)
            return true
        }
        do throws(DatabaseError) {
            try transaction.append(key, value, in: database)
        } catch {
            guard error.code == .notSorted else { throw error }
            order.missed()
            try transaction.put(key, value, in: database)
        }
        return true
    }

    /// Whether the database has what its source says, for one that had nothing before.
    func verify(_ database: LoadedDatabase) throws {
        guard database.wasEmpty, database.entries != nil || database.digest != nil else { return }
        let statistics = try environment.read { transaction in
            let name = try database.name.map { name throws(DatabaseError) in
                try transaction.database(name)
            }
            return try transaction.statistics(of: name ?? .main)
        }
        let digest = "\(statistics.digest)"
        guard statistics.entries == database.entries ?? statistics.entries,
            digest == database.digest ?? digest
        else {
            let entries = database.entries.map { "\($0) entries, " } ?? ""
            throw TransferError.input(
                "the \(database.title) has \(statistics.entries) entries and the digest \(digest) now; "
                    + "its source had \(entries)the digest \(database.digest ?? "that is not known")"
            )
        }
    }
}
