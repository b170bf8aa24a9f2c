/// What is counted for an environment, in `lock.zdb`: the number of each is the place of its word there.
/// Names are those of Prometheus, https://prometheus.io/docs/practices/naming/.
enum Counter: Int, CaseIterable {
    case commitsFull = 0
    case commitsRelaxed
    case commitsNone
    case commitsEmpty
    case writesAborted
    case nestedCommitted
    case nestedAborted
    case puts
    case deletes
    case rangesDeleted
    case pagesFromFree
    case pagesFromFile
    case pagesFreed
    case pagesWritten
    case pagesSplit
    case pagesMerged
    case pagesMoved
    case pagesChecked
    case checksumFailures
    case dataBytes
    case logBytes
    case logRecords
    case dataFlushes
    case recoveries
    case transactionsRecovered
    case readersReaped
    case ownTransactions
    case spilledBytes
    case fileGrowths
    case bytesCutOff
    case transactionsArchived
    case bytesArchived
    case archiveFailures

    /// Its place in the metrics that a program is told of.
    var name: MetricName {
        switch self {
        case .commitsFull: Self.commits("full")
        case .commitsRelaxed: Self.commits("relaxed")
        case .commitsNone: Self.commits("none")
        case .commitsEmpty:
            MetricName(
                "zerodb_write_transactions_unchanged_total",
                "Write transactions committed that had changed nothing.")
        case .writesAborted:
            MetricName("zerodb_write_transactions_aborted_total", "Write transactions aborted.")
        case .nestedCommitted:
            MetricName(
                "zerodb_nested_transactions_committed_total", "Nested transactions committed.")
        case .nestedAborted:
            MetricName("zerodb_nested_transactions_aborted_total", "Nested transactions aborted.")
        case .puts: Self.operations("put")
        case .deletes: Self.operations("delete")
        case .rangesDeleted: Self.operations("delete_range")
        case .pagesFromFree: Self.allocated("free")
        case .pagesFromFile: Self.allocated("file")
        case .pagesFreed:
            MetricName("zerodb_pages_freed_total", "Pages that commits have given up.")
        case .pagesWritten:
            MetricName("zerodb_pages_written_total", "Pages that commits have written.")
        case .pagesSplit: MetricName("zerodb_pages_split_total", "Pages split in two.")
        case .pagesMerged:
            MetricName("zerodb_pages_merged_total", "Pages merged with a neighbour.")
        case .pagesMoved:
            MetricName(
                "zerodb_pages_moved_total", "Pages moved by compaction towards the beginning.")
        case .pagesChecked:
            MetricName("zerodb_pages_checked_total", "Pages whose checksum was compared.")
        case .checksumFailures:
            MetricName("zerodb_checksum_failures_total", "Pages whose checksum did not hold.")
        case .dataBytes: Self.written("data")
        case .logBytes: Self.written("log")
        case .logRecords:
            MetricName("zerodb_log_records_total", "Transactions written to the log.")
        case .dataFlushes:
            MetricName("zerodb_data_flushes_total", "Flushes of the data file.")
        case .recoveries:
            MetricName("zerodb_recoveries_total", "Openings that replayed the log.")
        case .transactionsRecovered:
            MetricName("zerodb_recovered_transactions_total", "Transactions replayed by them.")
        case .readersReaped:
            MetricName(
                "zerodb_readers_reaped_total",
                "Read transactions of processes that had died, given up for them.")
        case .ownTransactions:
            MetricName(
                "zerodb_compaction_transactions_total",
                "Transactions of the library's own, by which compaction moves pages.")
        case .spilledBytes:
            MetricName(
                "zerodb_spilled_bytes_total",
                "Bytes that write transactions larger than max_txn_memory kept in a file.")
        case .fileGrowths:
            MetricName("zerodb_data_growths_total", "How often the data file was made longer.")
        case .bytesCutOff:
            MetricName("zerodb_data_cut_bytes_total", "Bytes cut off the end of the data file.")
        case .transactionsArchived:
            MetricName("zerodb_archived_transactions_total", "Transactions written to the archive.")
        case .bytesArchived:
            MetricName("zerodb_archived_bytes_total", "Bytes written to the archive.")
        case .archiveFailures:
            MetricName(
                "zerodb_archive_failures_total",
                "Files that could not be written to the archive; each is tried again.")
        }
    }

    /// Commits that wait for as much.
    static func commits(_ durability: Durability) -> Counter {
        switch durability {
        case .full: .commitsFull
        case .relaxed: .commitsRelaxed
        case .none: .commitsNone
        }
    }

    private static func commits(_ durability: String) -> MetricName {
        MetricName(
            "zerodb_write_transactions_committed_total", "Write transactions committed.",
            label: ("durability", durability))
    }

    private static func operations(_ operation: String) -> MetricName {
        MetricName.operations(operation)
    }

    private static func allocated(_ source: String) -> MetricName {
        MetricName(
            "zerodb_pages_allocated_total",
            "Page numbers that commits have taken: of free pages, and behind the end of the file.",
            label: ("source", source))
    }

    private static func written(_ file: String) -> MetricName {
        MetricName(
            "zerodb_written_bytes_total", "Bytes written to the data file and to the log.",
            label: ("file", file))
    }
}

/// What is counted of a read transaction while it lives, and of gets and cursors in a write transaction.
enum ReadCounter: Int, CaseIterable {
    case gets = 0
    case absentGets
    case cursorMoves

    var name: MetricName {
        switch self {
        case .gets: MetricName.operations("get")
        case .absentGets:
            MetricName("zerodb_absent_gets_total", "Gets that found no entry.")
        case .cursorMoves: MetricName.operations("cursor")
        }
    }
}

/// Durations of which histograms are kept.
enum Timing: Int, CaseIterable {
    case commitWait = 0
    case commitAppend
    case commitFlush
    case write
    case logFlush
    case checkpoint
    case read
    case recovery
    /// Of transactions, not of nanoseconds.
    case groupSize

    /// What one of its units is in the histogram's: nanoseconds in seconds, a group in transactions.
    var scale: Double { self == .groupSize ? 256 : 1e9 }

    var name: MetricName {
        switch self {
        case .commitWait:
            MetricName(
                "zerodb_writer_wait_seconds",
                "How long write transactions waited for the writer's lock when they began.")
        case .commitAppend:
            MetricName(
                "zerodb_commit_append_seconds",
                "How long commits took to write pages and the log, with the writer's lock.")
        case .commitFlush:
            MetricName(
                "zerodb_commit_flush_seconds",
                "How long commits waited for the disk, without the writer's lock.")
        case .write:
            MetricName(
                "zerodb_write_transaction_seconds",
                "How long write transactions had the writer's lock.")
        case .logFlush: MetricName("zerodb_log_flush_seconds", "How long flushes of the log took.")
        case .checkpoint: MetricName("zerodb_checkpoint_seconds", "How long checkpoints took.")
        case .read:
            MetricName(
                "zerodb_read_transaction_seconds", "How long read transactions had a snapshot.")
        case .recovery:
            MetricName(
                "zerodb_recovery_seconds", "How long openings that replayed the log took for it.")
        case .groupSize:
            MetricName(
                "zerodb_log_flush_transactions",
                "Transactions that one flush of the log made durable.")
        }
    }
}

/// The name of a metric, and what it is about.
struct MetricName {
    var name: String
    var help: String
    var label: (name: String, value: String)?

    init(_ name: String, _ help: String, label: (name: String, value: String)? = nil) {
        self.name = name
        self.help = help
        self.label = label
    }

    static func operations(_ operation: String) -> MetricName {
        MetricName(
            "zerodb_operations_total",
            "Operations: gets, moves of cursors, puts, deletes, deleted ranges.",
            label: ("operation", operation))
    }
}
