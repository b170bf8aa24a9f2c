/// Bytes of `lock.zdb` that are locked, not written, and one of `data.zdb`.
enum LockByte {
    /// Shared by all processes that have the environment open; exclusive while it is being set up.
    static let open: UInt64 = 0
    /// Exclusive while a write transaction is open.
    static let writer: UInt64 = 1
    /// Shared by all processes that use the shared state as it is; nobody holds it while that is
    /// being set up.
    static let live: UInt64 = 2
    /// Exclusive while a checkpoint is made.
    static let checkpoint: UInt64 = 3
    /// Exclusive while files of the log are made, renamed or removed.
    static let segments: UInt64 = 4
    /// Shared by all processes that have the environment open for writing. A process that can have it
    /// alone when it closes is the last of them.
    static let writable: UInt64 = 5
    /// Exclusive while the reader table grows.
    static let readers: UInt64 = 6
    /// Exclusive while files are given to a program that archives them.
    static let archiver: UInt64 = 8
    /// Of `data.zdb`: shared by all processes that have it open; exclusive while the first of them prepares
    /// the environment.
    static let data: UInt64 = 0
    /// Of `data.zdb.new`: exclusive while a copy is written to it.
    static let unfinished: UInt64 = 7
    /// Exclusive, one for each process that has the environment open.
    static let firstProcess: UInt64 = 4096
}
