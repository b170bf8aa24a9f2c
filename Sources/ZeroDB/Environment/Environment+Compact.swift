import Glibc

/// How `Environment.compact(_:)` makes the file shorter. Zeros stand for no bound.
public struct CompactionOptions: Sendable {
    /// Pages to be moved at most; more by some dozens are possible.
    public var maxPages: UInt64 = 0
    /// Bytes to be moved or read in a second at most.
    public var bytesPerSecond: UInt64 = 0
    /// Bytes of the file that are enough.
    public var targetSize: UInt64 = 0
    /// Whether free pages that stay in the middle of the file give back their room on the disk, in runs of
    /// 32 KiB or more. The file system then has to find room for them when they are written again: on a full
    /// disk a transaction that takes them fails with ENOSPC, even one that only deletes.
    public var punchesHoles = false

    /// As short as the file can be, as fast as it goes.
    public init() {}
}

/// What `Environment.compact(_:)` has done.
public struct CompactionResult: Sendable {
    /// Pages that have been written to new places, branches above them included.
    public var pagesMoved: UInt64
    /// Bytes of the data file before.
    public var bytesBefore: UInt64
    /// Bytes of the data file now.
    public var bytesAfter: UInt64
    /// Free pages that readers or the next checkpoint need.
    public var waitingPages: UInt64
    /// Bytes of free pages that have given back their room on the disk.
    public var bytesPunched: UInt64
    /// Whether the file is about as short as it can be, or as asked for. If not, a reader keeps pages, or
    /// other programs have written much meanwhile, or a bound was reached; call again later.
    public var isFinished: Bool
}

extension Environment {
    /// Makes the data file shorter: moves pages from its end into free pages further up, fills sparse
    /// leaves, and gives the end back to the file system.
    ///
    /// Readers and writers go on meanwhile, in all processes. It works in transactions of its own of about
    /// a dozen pages, each of which has the writer's lock for a fraction of a millisecond; a large value
    /// is moved in one. They change no content, so readers notice nothing. When the process ends in the
    /// middle nothing is lost, and the next call goes on from there.
    ///
    /// Pages that a reader's snapshot has stay in their place, and the file is not cut off as long as a
    /// reader sees a state from when it was longer.
    ///
    /// Reads all branches, and all leaves of databases that have large values, duplicates or sparse leaves;
    /// writes each page that is moved once, with the branches above it; makes some checkpoints.
    ///
    /// Where the file cannot become shorter, because a reader keeps pages or none are to be moved, free pages
    /// in the middle can still give back their room (`CompactionOptions.punchesHoles`).
    ///
    /// - Throws: `readOnly`; `busy` if this thread has a write transaction open, or the wait for a writer
    ///   comes to its end; `panic`, `corrupted`, `badHandle`, `forked`, a system error (EOPNOTSUPP where the
    ///   file system makes no holes). What it has moved before stays moved.
    @discardableResult
    public func compact(
        _ options: CompactionOptions = CompactionOptions()
    ) throws(DatabaseError) -> CompactionResult {
        var chosen = Compaction.Options()
        if options.maxPages > 0 { chosen.pagesMax = options.maxPages }
        // No file is longer, and what is reckoned from it stays in 64 bits.
        chosen.pageCountMin = min(options.targetSize, 1 << 62) / UInt64(store.pageSize)
        chosen.punchesHoles = options.punchesHoles
        return try compact(chosen, rate: options.bytesPerSecond)
    }

    /// - Parameter rate: bytes a second; 0 for no bound.
    func compact(
        _ options: Compaction.Options, rate: UInt64 = 0
    ) throws(DatabaseError) -> CompactionResult {
        try whileOpen { () throws(DatabaseError) in
            guard !store.options.isReadOnly else {
                throw DatabaseError(
                    .readOnly, "a compaction of an environment that was opened for reading only")
            }
            var options = options
            options.wait = store.options.writerWait
            let before = try store.dataFile.size()
            let compaction = Compaction(store, options)
            defer { compaction.end() }
            // Closing waits for this call.
            steps: while store.state.pointee.isOpen {
                switch try compaction.step() {
                case .worked(let bytes): if rate > 0 { pause(bytes, rate) }
                case .cutOff: break
                case .busy, .done: break steps
                }
            }
            let meta = try store.tipMeta()
            return CompactionResult(
                pagesMoved: compaction.pagesMoved, bytesBefore: before,
                bytesAfter: try store.dataFile.size(),
                waitingPages: meta.freePages - meta.takablePages,
                bytesPunched: compaction.bytesPunched,
                isFinished: compaction.isFinished)
        }
    }

    private func pause(_ bytes: UInt64, _ rate: UInt64) {
        let (product, isTooLarge) = bytes.multipliedReportingOverflow(by: 1_000_000)
        var left = isTooLarge ? 1_000_000 : product / rate
        while left > 0, store.state.pointee.isOpen {
            let part = min(left, 50_000)
            usleep(UInt32(part))
            left -= part
        }
    }
}
