/// All limits of an environment, those of its options and those that nothing changes. `docs/LIMITS.md`
/// says for each what happens beyond it. Those of the format are in `Format`.
public struct Limits: Sendable, Equatable {
    /// Bytes that the data file may reach, as mapped (`max_size`).
    public var maxSize: UInt64
    /// Pages of trees that a transaction may dirty (`max_txn_pages`); 0 for no bound.
    public var transactionPages: UInt64
    /// Bytes that a transaction keeps in memory (`max_txn_memory`); 0 for no bound.
    public var transactionMemory: UInt64
    /// Slots that the reader table may grow to (`max_readers`).
    public var readers: UInt64
    /// Processes that may have an environment open at the same time.
    public var processes = UInt64(processesMax)
    /// Transactions that may be open in a process.
    public var transactions = UInt64(transactionsMax)
    /// Cursors that may be open in a process.
    public var cursors = UInt64(cursorsMax)
    /// Environments that may be open in a process.
    public var environments = UInt64(environmentsMax)
    /// Transactions nested in one another, the outermost not counted.
    public var nesting = UInt64(nestingMax)
    /// Bytes of a key, and of a value of which a key may have several.
    public var keySize: UInt64
    /// Bytes of a value.
    public var valueSize: UInt64
    /// Bytes of a database's name.
    public var nameSize: UInt64
    /// Names of databases that a process may ever use in an environment.
    public var databases = UInt64(databaseHandlesMax)
    /// Bytes of log after which a checkpoint is made (`log_size`).
    public var logSize: UInt64
    /// Bytes of a record of the log.
    public var logRecord: UInt64
    /// Milliseconds that a call waits for another program (`writer_wait_ms`); 0 for no bound.
    public var writerWaitMilliseconds: UInt64
    /// Levels of a tree, the leaves' included.
    public var depth: UInt64
    /// Bytes of log that are kept until they are archived (`archive_log_kept`).
    public var archiveLog: UInt64

    /// Entries in the table of processes in `lock.zdb`.
    package static let processesMax = 1024
    /// Transactions open in a process.
    package static let transactionsMax = 1 << 16
    /// Cursors open in a process.
    package static let cursorsMax = 1 << 20
    /// Environments open in a process.
    package static let environmentsMax = 1 << 12
    /// Transactions nested in one another.
    package static let nestingMax = 64
    /// Handles of named databases.
    package static let databaseHandlesMax = (1 << 20) - 1
    /// The bounds of `max_readers`.
    package static let readersRange = 1...65536
    /// The bounds of `log_size`, in bytes.
    package static let logSizeRange: ClosedRange<UInt64> = 1 << 20...1 << 40
    /// The least `max_txn_memory`, in bytes.
    package static let transactionMemoryMin: UInt64 = 1 << 20
    /// The least `max_size`, in bytes.
    package static let maxSizeMin: UInt64 = 1 << 20
    /// What `max_size` is by default.
    package static let maxSizeDefault: UInt64 = 1 << 40
    /// What `max_txn_pages` is by default.
    package static let transactionPagesDefault: UInt64 = 10_000
    /// What `max_txn_memory` is by default.
    package static let transactionMemoryDefault: UInt64 = 512 << 20
    /// What `log_size` is by default.
    package static let logSizeDefault: UInt64 = 64 << 20
    /// Bytes of the largest record of the log. The format has no such bound.
    package static let logRecordDefault = 8 << 20
    /// The same while the log is archived: a larger transaction makes a gap in the archive.
    package static let archivedRecordMax = 1 << 30
    /// The least and the default of `archive_log_kept`, in bytes.
    package static let archiveLogMin: UInt64 = 1 << 20
    package static let archiveLogDefault: UInt64 = 4 << 30
}
