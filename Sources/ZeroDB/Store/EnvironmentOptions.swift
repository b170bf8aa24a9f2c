/// How to open an environment.
public struct EnvironmentOptions: Sendable {
    /// Open for reading only. Writes nothing but the reader table in `lock.zdb`, which it makes if it
    /// may; where it may not, as on a read-only medium, nobody may write.
    public var isReadOnly = false
    /// Create directory and files that are not there; not if `isReadOnly`.
    public var createsIfMissing = true
    /// Bytes in a page: 4096 to 65536, a power of two. Counts at creation only.
    public var pageSize = Format.pageSizeDefault
    /// Bytes the data file may ever reach, at least 1 MiB. Address space of this size is
    /// reserved, no memory.
    public var maxSize = Limits.maxSizeDefault
    /// Pages of trees that one transaction may dirty; 0 for no bound. Pages of large values do not
    /// count.
    public var maxTransactionPages = Limits.transactionPagesDefault
    /// Bytes of pages and large values that one transaction keeps in memory until it commits, at least
    /// 1 MiB; 0 for no bound. Beyond, it writes them to a file without a name in the directory, which
    /// needs room on the disk until the transaction has ended.
    public var maxTransactionMemory = Limits.transactionMemoryDefault
    /// When the checksums of pages are checked.
    public var checksumMode = ChecksumMode.fast
    /// Slots the reader table may grow to, at most 65536.
    public var maxReaders = Limits.readersRange.upperBound
    /// Permissions of the files made; the directory gets `x` where there is `r`.
    public var fileMode: UInt32 = 0o600

    /// What commits wait for unless their transaction says otherwise.
    public var durability = Durability.full
    /// Whether the library may run threads of its own, for checkpoints and relaxed flushes. If
    /// not, commits do that work.
    public var usesThread = true
    /// Bytes of log after which a checkpoint is made.
    public var logSize = Limits.logSizeDefault

    /// Milliseconds that a write transaction waits for the one before it, in this or another process, and
    /// that any call waits for what another process does meanwhile: replaying the log, a checkpoint, files of
    /// the log, closing. 0 to wait until that has ended.
    public var writerWaitMilliseconds: UInt32 = 0

    /// Of 100 pages of the file, how many may be free before pages from its end are moved so that it can be
    /// cut off, in the background, if `usesThread` is set; 0 never to do that.
    public var autoCompactPercent: UInt32 = 50
    /// Bytes a second that this moves at most; 0 for no bound.
    public var autoCompactRate: UInt64 = 16 << 20

    /// A directory in which the environment is archived while it is open, made if it is not there: a copy of
    /// its pages first, then its log as it grows, by a thread of the library's; see
    /// ``Environment/restore(_:to:_:history:onProgress:)``. nil for none. Needs `usesThread`, and is nothing
    /// to an environment that is opened for reading only. From then on every transaction is logged, those of
    /// the durability ``Durability/none`` too, and the log is kept until it is archived;
    /// ``Environment/stopArchiving()`` ends that.
    public var archive: String?
    /// The same as bytes, which need not be text.
    package var archiveBytes: [UInt8]?
    /// Bytes of log that are kept for the archive at most, while it cannot be written. What is beyond is
    /// removed: the archive then has a gap, behind which it goes on with a copy of what has changed.
    public var archiveLogKept = Limits.archiveLogDefault

    /// Open what can be read of a damaged environment, for reading only; nothing is written, and no
    /// `lock.zdb` is needed or made. Either meta page will do, free pages are not looked for, and the log is
    /// replayed in memory, as far as that goes. Cursors pass over pages that cannot be read, with all that
    /// hangs below them; what they pass over is told to `onEvent`, as is every other liberty taken. A get
    /// of a key that may be below such a page throws `corrupted`.
    ///
    /// Programs that have the environment open are joined as any reader joins them. Where there are none,
    /// none can open it for writing meanwhile.
    public var recovery = false
    /// With `recovery`: the transaction whose state is shown, one that a meta record has or that the log
    /// leads to; 0 for the newest. See ``Environment/roots(path:)``.
    public var recoveryRoot: UInt64 = 0

    /// Called for what the library does by itself: recovery, checkpoints, growth, compaction, failures of
    /// background work; and for slow transactions. From any thread, the library's own included, which may
    /// have a lock; must not call back into the environment.
    public var onEvent: (@Sendable (Event) -> Void)?
    /// The least level that `onEvent` is called for.
    public var eventLevel = Event.Level.information
    /// Milliseconds of a transaction that `onEvent` is told of as slow when it ends, with where the time
    /// went; 0 for none.
    public var slowTransactionMilliseconds: UInt32 = 0

    /// Bytes of the largest log record; a larger transaction becomes a checkpoint. The format has no
    /// such bound: an archive of the log needs a record of every transaction.
    var logRecordMax = Limits.logRecordDefault
    /// What a repair begins with in place of the state in the meta pages, without free pages; nothing is
    /// written to those, nor removed, while the store is open. Given the data file and the directory. The
    /// process must be the only one.
    var root: Root?
    /// Whether recovery compares the digests in the log. Tests of made-up records do without.
    var comparesDigests = true
    /// Whether recovery mode replays the log in memory. A salvage applies it elsewhere.
    var replaysInMemory = true

    typealias Root =
        @Sendable (any StorageFile, any StorageDirectory) throws(DatabaseError) -> MetaPages.Loaded

    /// The defaults, which suit most programs.
    public init() {}

    func validate() throws(DatabaseError) {
        guard Format.isValidPageSize(pageSize) else {
            throw DatabaseError(
                .badArgument,
                "\(c: "page_size") is \(pageSize); it must be a power of two from "
                    + "\(Format.pageSizeMin) to \(Format.pageSizeMax)")
        }
        guard maxSize >= Limits.maxSizeMin, maxSize <= UInt64(Int64.max) else {
            throw DatabaseError(
                .badArgument,
                "\(c: "max_size") is \(maxSize) bytes; it must be from \(Limits.maxSizeMin) to "
                    + "\(Int64.max)")
        }
        guard maxTransactionMemory == 0 || maxTransactionMemory >= Limits.transactionMemoryMin
        else {
            throw DatabaseError(
                .badArgument,
                "\(c: "max_txn_memory") is \(maxTransactionMemory) bytes; it must be at least 1 "
                    + "MiB, or 0 for "
                    + "no bound")
        }
        guard Limits.logSizeRange.contains(logSize) else {
            throw DatabaseError(
                .badArgument,
                "\(c: "log_size") is \(logSize) bytes; it must be from 1 MiB to 1 TiB")
        }
        guard Limits.readersRange.contains(maxReaders) else {
            throw DatabaseError(
                .badArgument,
                "\(c: "max_readers") is \(maxReaders); it must be from "
                    + "\(Limits.readersRange.lowerBound) to \(Limits.readersRange.upperBound)")
        }
        guard autoCompactPercent <= 99 else {
            throw DatabaseError(
                .badArgument,
                "\(c: "auto_compact_percent") is \(autoCompactPercent); it must be at most 99")
        }
        guard archivePath?.bytes.isEmpty != true, archiveLogKept >= Limits.archiveLogMin else {
            throw DatabaseError(
                .badArgument,
                "archive is an empty path, or \(c: "archive_log_kept") is below "
                    + "\(Limits.archiveLogMin) bytes"
            )
        }
        guard archivePath == nil || usesThread || isReadOnly else {
            throw DatabaseError(
                .badArgument, "archive needs a thread of the library, and threads are none")
        }
        guard recovery || recoveryRoot == 0 else {
            throw DatabaseError(
                .badArgument, "\(c: "recovery_root") is \(recoveryRoot) without recovery")
        }
        guard fileMode & ~0o666 == 0, fileMode & 0o600 == 0o600 else {
            throw DatabaseError(
                .badArgument,
                "\(c: "file_mode") is 0\(String(fileMode, radix: 8)); it must give the owner "
                    + "read and "
                    + "write and may give others no more than that")
        }
    }

    /// With what recovery mode implies.
    func resolved() -> EnvironmentOptions {
        guard recovery else { return self }
        var options = self
        options.isReadOnly = true
        options.createsIfMissing = false
        options.usesThread = false
        options.autoCompactPercent = 0
        // A file without a name would be made in the directory.
        options.maxTransactionMemory = 0
        if checksumMode == .none { options.checksumMode = .fast }
        return options
    }

    var archivePath: PathBytes? {
        archiveBytes.map { PathBytes($0) } ?? archive.map { PathBytes($0) }
    }

    package var writerWait: WriterWait {
        writerWaitMilliseconds == 0 ? .forever : .milliseconds(writerWaitMilliseconds)
    }

    var directoryMode: UInt32 { fileMode | (fileMode & 0o444) >> 2 }
}
