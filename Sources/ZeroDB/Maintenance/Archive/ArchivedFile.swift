/// How an environment is archived.
public struct ArchiveOptions: Sendable {
    /// Bytes of log that the environment keeps at most until they are archived, while the archive cannot
    /// be written. What is beyond is removed, and the archive gets a gap.
    public var logKeptMax = Limits.archiveLogDefault
    /// Bytes that copies write in a second at most; 0 for no bound.
    public var bytesPerSecond: UInt64 = 0
    /// Bytes of log in one file of the archive, about.
    var fileBytesMax = 16 << 20

    /// What suits most environments.
    public init() {}
}

/// A file that has been added to an archive.
public struct ArchivedFile: Sendable {
    /// What it holds.
    public enum Content: String, Sendable {
        /// All pages of a snapshot.
        case full
        /// The pages of a snapshot that have changed since the last file of pages.
        case incremental
        /// Transactions.
        case log
    }

    /// Its name in the archive.
    public var name: String
    /// What it holds.
    public var content: Content
    /// The transaction that it goes on from.
    public var from: UInt64
    /// The newest transaction in it.
    public var to: UInt64
    /// When the newest was committed: nanoseconds since 1970.
    public var wallClock: UInt64
    /// Bytes of the file.
    public var bytes: UInt64
    /// Which run of transactions it belongs to: the environment has been put back to an older state
    /// between two of them, or it is not known that it has not.
    public var history: UInt64
}

extension ArchivedFile {
    init(_ header: ArchiveFileHeader, bytes: UInt64) {
        name = header.name.description
        content =
            switch header.kind {
            case .full: .full
            case .incremental: .incremental
            case .log: .log
            }
        from = header.from
        to = header.to
        wallClock = header.wallClock
        self.bytes = bytes
        history = header.history
    }
}
