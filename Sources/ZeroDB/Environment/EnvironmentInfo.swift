/// Facts and counts of an environment.
public struct EnvironmentInfo: Sendable {
    /// Of the files' format.
    public var formatVersion: UInt32
    /// Bytes in a page.
    public var pageSize: Int
    /// Bytes the data file may reach, as mapped.
    public var maxSize: UInt64
    /// Bytes of `data.zdb` now.
    public var fileSize: UInt64
    /// Pages in use or free: the file's high-water mark.
    public var pageCount: UInt64
    /// Of those, the free ones (readers may still see some).
    public var freePages: UInt64
    /// Of the newest commit.
    public var lastTransaction: UInt64
    /// The oldest snapshot being read; `lastTransaction` if none is.
    public var oldestReader: UInt64
    /// Slots in the reader table.
    public var maxReaders: Int
    /// Slots in use.
    public var readers: Int
    /// Pages one transaction may dirty; 0 for no bound.
    public var maxTransactionPages: UInt64
    /// Bytes that one transaction keeps in memory; 0 for no bound.
    public var maxTransactionMemory: UInt64
    /// Bytes the largest key may have.
    public var maxKeySize: Int
    /// When this process checks the checksums of pages.
    public var checksumMode: ChecksumMode
    /// Named databases.
    public var databases: UInt64
    /// The commit that the newest meta page on disk holds.
    public var checkpointTransaction: UInt64
    /// Free pages that wait for the next checkpoint.
    public var pinnedPages: UInt64
    /// Bytes of log that a recovery would have to replay.
    public var logBytes: UInt64
    /// What opening had to replay.
    public var recovery: RecoveryReport
    /// Random, set at creation.
    public var environmentID: (UInt64, UInt64)
    /// Of all databases, their names and flags included: the same in every environment with the same
    /// content.
    public var digest: ContentDigest
}

extension Environment {
    /// Largest key in bytes: a quarter of a page less 8.
    public var maxKeySize: Int { Format.keySizeMax(pageSize: store.pageSize) }

    /// Facts and counts. O(readers).
    ///
    /// - Throws: `badHandle`, `forked`, a system error.
    public func info() throws(DatabaseError) -> EnvironmentInfo {
        try store.enter()
        defer { store.leave() }
        let shared = store.shared
        // Before the meta, so that it is not newer than that.
        let oldestReader = shared.oldestSnapshot()
        let meta = try store.visibleMeta()
        return EnvironmentInfo(
            formatVersion: Format.version, pageSize: store.pageSize,
            maxSize: store.pagesMax * UInt64(store.pageSize), fileSize: try store.dataFile.size(),
            pageCount: meta.pageCount, freePages: meta.freePages,
            lastTransaction: meta.transaction, oldestReader: oldestReader,
            maxReaders: shared.readersMax, readers: shared.readerCount(),
            maxTransactionPages: store.options.maxTransactionPages,
            maxTransactionMemory: store.options.maxTransactionMemory, maxKeySize: maxKeySize,
            checksumMode: store.options.checksumMode, databases: meta.catalog.entries,
            checkpointTransaction: shared.checkpoint, pinnedPages: store.pinnedPages(meta),
            logBytes: meta.logEnd - min(meta.logEnd, shared.checkpointLogEnd),
            recovery: recoveryReport, environmentID: meta.environmentID,
            digest: meta.digest)
    }
}
