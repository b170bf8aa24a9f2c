/// How an environment is copied.
public struct CopyOptions: Sendable {
    /// Whether the copy has no free pages and its pages are in the order of their keys. Such a copy
    /// is an environment of its own, with another id: pages and log of the original do not fit it.
    public var compacts = false
    /// Bytes written in a second at most; 0 for no bound.
    public var bytesPerSecond: UInt64 = 0

    /// A copy page by page, as fast as it goes.
    public init() {}
}

/// How far a copy is.
public struct CopyProgress: Sendable {
    /// Pages that have been read.
    public var pagesDone: UInt64
    /// Pages that there are.
    public var pagesTotal: UInt64
}

/// What a copy has.
public struct CopyReport: Sendable {
    /// The transaction whose state it is.
    public var transaction: UInt64 = 0
    /// When that was committed: nanoseconds since 1970.
    public var wallClock: UInt64 = 0
    /// Bytes of its data file.
    public var fileSize: UInt64 = 0
    /// Bytes that were written: without the free pages of a file.
    public var bytesWritten: UInt64 = 0
    /// The digest of all that it has.
    public var digest = ContentDigest()
}
