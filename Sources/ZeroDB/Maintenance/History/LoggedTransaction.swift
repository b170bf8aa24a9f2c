/// A transaction as its record in the log tells it.
public struct LoggedTransaction: Sendable, Equatable {
    /// How well it is kept, as far as the files tell.
    ///
    /// The log does not record for which durability a commit asked. A commit that asked for none has no
    /// record: it is part of a ``LogGap``.
    public enum Durability: String, Sendable {
        /// A checkpoint on disk includes it.
        case checkpointed
        /// A later record says that its own is on disk.
        case flushed
        /// Its record is in the file. Nothing tells whether that has reached the disk.
        case written
        /// Its record is in an archive.
        case archived
    }

    /// Its id.
    public var transaction: UInt64
    /// When it was committed, in nanoseconds since 1970.
    public var wallClock: UInt64
    /// Of its record in the log.
    public var position: UInt64
    /// Of its record.
    public var bytes: UInt64
    /// How well it is kept.
    public var durability: Durability
    /// Of the environment after it.
    public var digest: ContentDigest
    /// What it did to each database, in the order in which it came to them.
    public var databases: [LoggedDatabase]
    /// Why the operations make no sense from some point on, though the record checks; nil if they do.
    public var problem: String?

    /// All its operations.
    public var operations: UInt64 { databases.reduce(0) { $0 + $1.operations } }
}

/// What a transaction did to a database.
public struct LoggedDatabase: Sendable, Equatable {
    /// Nil for the main database.
    public var name: [UInt8]?
    /// Pairs of key and value that it put.
    public var puts: UInt64 = 0
    /// Keys, or single values of keys, that it deleted.
    public var deletes: UInt64 = 0
    /// Ranges of keys that it deleted.
    public var rangeDeletes: UInt64 = 0
    /// How often it cleared the database.
    public var clears: UInt64 = 0
    /// How often it made, dropped or renamed it.
    public var changes: UInt64 = 0

    /// All of them.
    public var operations: UInt64 { puts + deletes + rangeDeletes + clears + changes }
}

/// An operation of a transaction, as its record tells it. A database without a name is the main one.
public enum LoggedOperation: Sendable, Equatable {
    /// A pair was put, in place of an older value or beside the other values of the key.
    case put(database: [UInt8]?, key: [UInt8], value: [UInt8])
    /// A key was deleted with all its values.
    case delete(database: [UInt8]?, key: [UInt8])
    /// One of several values of a key was deleted.
    case deleteValue(database: [UInt8]?, key: [UInt8], value: [UInt8])
    /// The entries from a key on and before another were deleted; nil stands for no bound.
    case deleteRange(database: [UInt8]?, from: [UInt8]?, to: [UInt8]?)
    /// The database was made, or the main one was given flags.
    case create(database: [UInt8]?, flags: DatabaseFlags)
    /// All entries were deleted.
    case clear(database: [UInt8]?)
    /// The database was deleted.
    case drop(database: [UInt8]?)
    /// The database was given another name.
    case rename(database: [UInt8]?, to: [UInt8])

    /// The database that it is about; nil for the main one.
    public var database: [UInt8]? {
        switch self {
        case .put(let database, _, _), .delete(let database, _), .deleteValue(let database, _, _),
            .deleteRange(let database, _, _), .create(let database, _), .clear(let database),
            .drop(let database), .rename(let database, _):
            database
        }
    }
}

/// Transactions of which the log does not tell, between others of which it does.
public struct LogGap: Sendable, Equatable {
    /// Why.
    public enum Reason: String, Sendable {
        /// They have no record: they were committed without durability, beside or behind one that was, or
        /// were too large for the log. A checkpoint has made them durable.
        case unlogged
        /// The log is damaged there.
        case damaged
        /// The library has taken the segment for new records while it was read.
        case recycled
    }

    /// Of the first of them; nil if that is not known.
    public var first: UInt64?
    /// Of the last of them; nil if that is not known.
    public var last: UInt64?
    /// Why the log does not tell.
    public var reason: Reason
    /// Where in the log, and what is wrong, of damage.
    public var message: String?
}

/// What a log tells.
public enum LogHistoryItem: Sendable, Equatable {
    /// A transaction.
    case transaction(LoggedTransaction)
    /// Transactions that are missing.
    case gap(LogGap)
}

/// Where a history begins and ends.
public struct LogHistorySummary: Sendable, Equatable {
    /// Transactions that have a record.
    public var transactions: UInt64 = 0
    /// The first of them; nil if there is none.
    public var first: UInt64?
    /// The last of them.
    public var last: UInt64?
    /// Bytes of the records.
    public var bytes: UInt64 = 0
    /// Files of the log that were read.
    public var segments: UInt64 = 0
    /// The transaction of the newest meta page; nil if none can be read.
    public var checkpoint: UInt64?
    /// What is wrong with the log.
    public var problems: [String] = []

    /// Of nothing.
    public init() {}
}
