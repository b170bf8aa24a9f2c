/// A reader of an environment, in this process or another.
public struct ReaderInfo: Sendable, Equatable {
    /// Its place in the reader table.
    public var slot: Int
    /// The process that began it, as that process knew its id. Only for people to read.
    public var processID: UInt32
    /// A number of the thread that began it, meaningful in its process only.
    public var thread: UInt64
    /// The transaction whose state it sees; nil if it has been reset.
    public var snapshot: UInt64?
    /// For how long it has seen that.
    public var openNanoseconds: UInt64
    /// Whether its process lives. The slot of one that does not is freed when it is needed.
    public var isAlive: Bool
}

extension Environment {
    /// The readers in the table, of all processes.
    ///
    /// - Throws: `badHandle`, `forked`.
    /// - Complexity: O(readers).
    public func readers() throws(DatabaseError) -> [ReaderInfo] {
        try store.enter()
        defer { store.leave() }
        return store.shared.readerList().map {
            ReaderInfo(
                slot: $0.slot, processID: $0.processID, thread: $0.thread, snapshot: $0.snapshot,
                openNanoseconds: $0.openNanoseconds, isAlive: store.isReaderAlive($0.slot))
        }
    }

    /// Frees the slots of processes that have died. Need not be called: a transaction that needs a
    /// slot or space does it.
    ///
    /// - Returns: how many there were.
    /// - Throws: `badHandle`, `forked`.
    public func checkReaders() throws(DatabaseError) -> Int {
        try store.enter()
        defer { store.leave() }
        return store.reapReaders()
    }
}
