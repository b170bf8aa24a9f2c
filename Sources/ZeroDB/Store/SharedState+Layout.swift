extension SharedState {
    /// Where things lie in `lock.zdb`, in bytes. What writers, readers and checkpoints change is kept in
    /// cache lines of its own.
    enum Layout {
        static let version: UInt32 = 10
        static let magic: UInt64 = 0x6b63_6f6c_5f62_647a  // "zdb_lock"

        /// u64: the magic number, once all below is set up.
        static let magicOffset = 0
        /// u32
        static let versionOffset = 8
        /// u32: reader slots there may ever be.
        static let readersMaxOffset = 12
        /// 16 bytes
        static let environmentID = 16
        /// Device and inode of `data.zdb`, u64 each.
        static let dataFile = 32
        /// Device and inode of the directory, u64 each.
        static let directory = 48

        /// The newest commit that readers see.
        static let visible = 64
        /// The newest commit, which the next writer starts from.
        static let tip = 72

        /// The commit that the newest durable meta page holds.
        static let checkpoint = 128
        /// A commit whose meta page is being written, or 0.
        static let checkpointing = 136
        /// The number of the meta page of `checkpoint`.
        static let metaPage = 144
        /// Where the log goes on after `checkpoint`.
        static let checkpointLogEnd = 152
        /// The newest commit that has no log record.
        static let unlogged = 160
        /// How many pages `checkpoint` counts as ever pinned.
        static let checkpointPinnedTotal = 168
        /// In which start of the machine `clean` was set, or 0 if that is not known.
        static let cleanBoot = 176
        /// 1 + the commit that the last writer to close left durable, or 0.
        static let clean = 184
        /// The errno of a flush that failed, or 0.
        static let poison = 192
        /// The log is on disk up to here.
        static let flushed = 200
        /// Whether the meta page of `checkpoint` is known to be durable.
        static let isRootConfirmed = 208
        /// Processes that have the environment open for writing.
        static let writers = 216
        /// The process that writes without the file's lock, or 0.
        static let loneWriter = 224
        /// The id of the process that has the writer's lock, as it knows it, or 0. Only for people to read.
        static let writerProcessID = 232
        /// The same for other locks, and for the process that prepares all of this.
        static let openingProcessID = 240
        static let checkpointProcessID = 272
        static let segmentsProcessID = 280
        static let readersProcessID = 288
        static let closingProcessID = 296
        /// The newest commit with fewer pages than the one before it.
        static let lowered = 304
        /// How often the data file has been cut off.
        static let truncations = 312
        /// Commits prefer free pages below this one; 0 if they need not.
        static let allocationLimit = 320
        /// The process in which the library itself has the writer's lock, or is about to take it.
        static let maintainer = 328
        /// The log is archived up to here; 0 if there is no archive.
        static let archived = 336
        /// Bytes of log that are kept for the archive.
        static let archiveKeptMax = 344

        /// Reader slots ever used.
        static let slotsUsed = 256
        /// Reader slots there are; the file has room for them.
        static let readers = 264

        /// The metas of the last commits.
        static let metas = 4096
        static let metaSize = 512
        /// How many there are: commit `n` is in entry `n % ringEntries`.
        static let ringEntries: UInt64 = 64
        /// Their free lists, `FreeList.size` bytes each.
        static let freeLists = 36864
        /// The generations of processes, u64 each.
        static let processes = 135168
        static let processSize = 8
        static let processesMax = Limits.processesMax
        /// Counts and times, see `MetricsLayout`. They outlive the processes.
        static let metrics = 143360
        /// The reader table.
        static let readerSlots = metrics + MetricsLayout.size
        static let readerSlotSize = 64

        /// In a reader slot: the process it belongs to, 0 if it is free.
        static let slotOwner = 0
        /// The snapshot it pins.
        static let slotSnapshot = 8
        /// The process's own id and the thread, only for people to read.
        static let slotProcessID = 16
        static let slotThread = 24
        /// When it began to see the snapshot, in ticks of the machine. Only for people too.
        static let slotBegan = 32
    }

    /// Bytes of the file with so many reader slots, in whole pages of memory.
    static func byteCount(readers: Int) -> Int {
        let page = SystemCall.memoryPageSize
        return (Layout.readerSlots + readers * Layout.readerSlotSize + page - 1) / page * page
    }
}
