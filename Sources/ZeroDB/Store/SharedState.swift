import Glibc
import Synchronization

/// What the processes that have an environment open share, in the map of `lock.zdb`: the newest
/// commits, how far they are durable, and the reader table. The first process to open it
/// builds it anew; it is never needed after a crash.
///
/// Publication: a commit stores its meta in ring entry `id % 64`, then `tip`, and when it is
/// durable (or need not be) `visible`. A reader stores the id it wants to see in its slot, copies
/// the ring entry, then loads `visible` again; if it still is the same, no writer can have begun
/// since to reuse pages of that snapshot without seeing the slot, and the entry was not
/// overwritten while it was copied, as the tip never gets a whole ring ahead of `visible`. Both
/// sides need their store before their load: all four are sequentially consistent.
struct SharedState {
    let base: UnsafeMutableRawPointer
    /// Reader slots there may ever be. The map is long enough for them, the file need not be.
    let readersMax: Int
    /// Of this process, not shared.
    private let roomMemory: UnsafeMutablePointer<ReaderTableRoom>

    /// A snapshot field that pins nothing.
    static let noSnapshot = UInt64.max

    /// Slots that a new table has.
    static let readersInitial = 128

    /// - Parameter file: `lock.zdb`; nil if the table is this process's own.
    init(base: UnsafeMutableRawPointer, readersMax: Int, file: (any StorageFile)?) {
        self.base = base
        self.readersMax = readersMax
        roomMemory = .allocate(capacity: 1)
        roomMemory.initialize(to: ReaderTableRoom(file, slotsMax: readersMax))
        roomMemory.pointee.look()
    }

    /// Gives back what is this process's own, not the map.
    func deallocate() {
        roomMemory.deinitialize(count: 1)
        roomMemory.deallocate()
    }

    /// The reader slots that may be touched.
    @inline(__always)
    var room: UnsafePointer<ReaderTableRoom> { UnsafePointer(roomMemory) }

    /// The error for shared memory that says what no process can have written.
    @inline(never)
    static func damaged(_ problem: String) -> DatabaseError {
        DatabaseError(
            .corrupted,
            "lock.zdb is damaged: \(problem). The data is not: close the environment in all programs "
                + "and open it again")
    }

    @inline(__always)
    func word(_ offset: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (base + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// A word as all threads of all processes agree on it.
    @inline(__always)
    subscript(offset: Int) -> UInt64 {
        get { word(offset).pointee.load(ordering: .sequentiallyConsistent) }
        nonmutating set { word(offset).pointee.store(newValue, ordering: .sequentiallyConsistent) }
    }

    // MARK: Header

    func initialize(
        environmentID: (UInt64, UInt64), dataFile: FileIdentity, directory: FileIdentity,
        readers: Int
    ) {
        memset(base, 0, Layout.metas)
        memset(base + Layout.processes, 0, Layout.metrics - Layout.processes)
        memset(
            base + Layout.readerSlots, 0,
            Self.byteCount(readers: readers) - Layout.readerSlots)
        word(Layout.readers).pointee.store(UInt64(readers), ordering: .relaxed)
        base.storeLittleEndian(Layout.version, at: Layout.versionOffset)
        base.storeLittleEndian(UInt32(readersMax), at: Layout.readersMaxOffset)
        base.storeLittleEndian(environmentID.0, at: Layout.environmentID)
        base.storeLittleEndian(environmentID.1, at: Layout.environmentID + 8)
        base.storeLittleEndian(dataFile.device, at: Layout.dataFile)
        base.storeLittleEndian(dataFile.inode, at: Layout.dataFile + 8)
        base.storeLittleEndian(directory.device, at: Layout.directory)
        base.storeLittleEndian(directory.inode, at: Layout.directory + 8)
    }

    /// Says that `initialize` and the first publication are complete.
    func markReady() {
        word(Layout.magicOffset).pointee.store(Layout.magic, ordering: .sequentiallyConsistent)
    }

    /// The number of reader slots in a header, nil if it was never completed.
    static func readersMax(in base: UnsafeRawPointer) -> Int? {
        let magic = base.load(as: UInt64.self)
        guard magic == Layout.magic, hasThisLayout(base) else { return nil }
        return Int(base.littleEndian(Layout.readersMaxOffset, as: UInt32.self))
    }

    /// Whether a header, complete or not, is of this layout.
    static func hasThisLayout(_ header: UnsafeRawPointer) -> Bool {
        header.littleEndian(Layout.versionOffset, as: UInt32.self) == Layout.version
    }

    /// The data file that the processes have open: a copy in its place has another identity.
    var dataFile: FileIdentity { Self.dataFile(base) }

    /// The same of a header, in the map or read from the file.
    static func dataFile(_ header: UnsafeRawPointer) -> FileIdentity {
        FileIdentity(
            device: header.littleEndian(Layout.dataFile),
            inode: header.littleEndian(Layout.dataFile + 8))
    }

    /// The directory that the processes have open: a hard link to the files may be in another one, whose
    /// log would be another.
    var directory: FileIdentity {
        FileIdentity(
            device: base.littleEndian(Layout.directory),
            inode: base.littleEndian(Layout.directory + 8))
    }

    func belongs(to environmentID: (UInt64, UInt64)) -> Bool {
        Self.belongs(base, to: environmentID)
    }

    /// Whether a header, in the map or read from the file, is of this environment.
    static func belongs(
        _ header: UnsafeRawPointer, to environmentID: (UInt64, UInt64)
    ) -> Bool {
        header.littleEndian(Layout.environmentID) == environmentID.0
            && header.littleEndian(Layout.environmentID + 8) == environmentID.1
    }
}
