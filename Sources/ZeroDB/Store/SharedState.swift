import CZeroDBPlatform
import Glibc
import Synchronization

/// What the processes that have an environment open share, in the map of `lock.zdb`: the newest
/// commits, how far they are durable, and the reader table. Rebuilt by whoever opens first; never
/// needed after a crash.
///
/// ```
/// 0     magic, layout version, largest number of reader slots, environment id
/// 64    visible: the newest commit that readers see
/// 72    tip: the newest commit, which the next writer starts from
/// 128   checkpoint: the commit that the newest durable meta page holds
/// 136   checkpointing: a commit whose meta page is being written, or 0
/// 144   the number of the meta page of `checkpoint`
/// 152   log position of `checkpoint`
/// 160   unlogged: the newest commit that has no log record
/// 168   pinned total of `checkpoint`
/// 184   clean: 1 + the commit that the last writer to close left durable, or 0
/// 192   poisoned: errno of a flush that failed, or 0
/// 200   flushed: the log is on disk up to here
/// 208   whether the meta page of `checkpoint` is known to be durable
/// 216   writers: processes that have the environment open for writing
/// 224   lone writer: the process that writes without the file's lock, or 0
/// 256   reader slots ever used
/// 264   reader slots there are; the file has room for them
/// 4096  the metas of the last 64 commits, 512 bytes each
/// 36864 their free lists, 1536 bytes each
/// 135168 generations of processes, 8 bytes each
/// 143360 reader slots, 64 bytes each
/// ```
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

    static let layoutVersion: UInt32 = 3
    static let magic: UInt64 = 0x6b63_6f6c_5f62_647a  // "zdb_lock"
    private static let ringOffset = 4096
    private static let ringEntries: UInt64 = 64
    private static let ringEntrySize = 512
    private static let freeListsOffset = 36864
    private static let processesOffset = 135168
    static let processesMax = 1024
    private static let readersOffset = 143360
    private static let readerSlotSize = 64

    /// A snapshot field that pins nothing.
    static let noSnapshot = UInt64.max

    /// Slots that a new table has.
    static let readersInitial = 128

    /// Bytes of the file with so many reader slots, in whole pages of memory.
    static func byteCount(readers: Int) -> Int {
        let page = SystemCall.memoryPageSize
        return (readersOffset + readers * readerSlotSize + page - 1) / page * page
    }

    init(base: UnsafeMutableRawPointer, readersMax: Int) {
        self.base = base
        self.readersMax = readersMax
    }

    @inline(__always)
    private func word(_ offset: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (base + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// A word as all threads of all processes agree on it.
    @inline(__always)
    private subscript(offset: Int) -> UInt64 {
        get { word(offset).pointee.load(ordering: .sequentiallyConsistent) }
        nonmutating set { word(offset).pointee.store(newValue, ordering: .sequentiallyConsistent) }
    }

    // MARK: Header

    func initialize(environmentID: (UInt64, UInt64), readers: Int) {
        memset(base, 0, Self.ringOffset)
        memset(
            base + Self.processesOffset, 0,
            Self.byteCount(readers: readers) - Self.processesOffset)
        word(264).pointee.store(UInt64(readers), ordering: .relaxed)
        base.storeLittleEndian(Self.layoutVersion, at: 8)
        base.storeLittleEndian(UInt32(readersMax), at: 12)
        base.storeLittleEndian(environmentID.0, at: 16)
        base.storeLittleEndian(environmentID.1, at: 24)
    }

    /// Says that `initialize` and the first publication are complete.
    func markReady() { word(0).pointee.store(Self.magic, ordering: .sequentiallyConsistent) }

    /// The number of reader slots in a header, nil if it was never completed.
    static func readersMax(in base: UnsafeRawPointer) -> Int? {
        let magic = base.load(as: UInt64.self)
        guard magic == Self.magic, base.littleEndian(8, as: UInt32.self) == layoutVersion else {
            return nil
        }
        return Int(base.littleEndian(12, as: UInt32.self))
    }

    func belongs(to environmentID: (UInt64, UInt64)) -> Bool {
        Self.belongs(base, to: environmentID)
    }

    /// Whether a header, in the map or read from the file, is of this environment.
    static func belongs(
        _ header: UnsafeRawPointer, to environmentID: (UInt64, UInt64)
    ) -> Bool {
        header.littleEndian(16) == environmentID.0 && header.littleEndian(24) == environmentID.1
    }

    // MARK: The newest commit

    @inline(__always)
    var visible: UInt64 { self[64] }

    /// The newest commit, which the next writer starts from.
    var tip: UInt64 { self[72] }

    /// The commit that the newest durable meta page holds.
    var checkpoint: UInt64 {
        get { self[128] }
        nonmutating set { self[128] = newValue }
    }

    /// A commit whose meta page is being written: after a crash it may be the durable one. 0 if
    /// none is; stays if the process that was writing it died.
    var checkpointing: UInt64 {
        get { self[136] }
        nonmutating set { self[136] = newValue }
    }

    /// Which meta page holds `checkpoint`.
    var metaPage: UInt64 {
        get { self[144] }
        nonmutating set { self[144] = newValue }
    }

    /// Where the log goes on after `checkpoint`.
    var checkpointLogEnd: UInt64 {
        get { self[152] }
        nonmutating set { self[152] = newValue }
    }

    /// How many pages `checkpoint` counts as ever pinned.
    var checkpointPinnedTotal: UInt64 {
        get { self[168] }
        nonmutating set { self[168] = newValue }
    }

    /// Where the mark of a clean close is in the file.
    static let cleanOffset = 184

    /// Marks that all is closed and the meta page of this commit durable. Good as long as the
    /// page cache lives, which is all it is for: after a reboot what is read is durable anyway.
    func markClean(_ transaction: UInt64?) {
        self[Self.cleanOffset] = transaction.map { $0 + 1 } ?? 0
    }

    /// Whether the meta page of `checkpoint` is known to be on disk, not just in the page cache.
    var isRootConfirmed: Bool {
        get { self[208] != 0 }
        nonmutating set { self[208] = newValue ? 1 : 0 }
    }

    /// The newest commit that has no log record: none after it may have one before a checkpoint
    /// has made it durable, as a replay would lack it.
    var unlogged: UInt64 {
        get { self[160] }
        nonmutating set { self[160] = newValue }
    }

    /// The log is on disk up to here.
    var flushed: UInt64 { self[200] }

    func raiseFlushed(to position: UInt64) { raise(word(200), to: position) }

    /// Makes a commit and those before it visible to new readers.
    func raiseVisible(to transaction: UInt64) { raise(word(64), to: transaction) }

    private func raise(_ word: UnsafeMutablePointer<Atomic<UInt64>>, to value: UInt64) {
        var known = word.pointee.load(ordering: .sequentiallyConsistent)
        while known < value {
            let result = word.pointee.compareExchange(
                expected: known, desired: value, ordering: .sequentiallyConsistent)
            if result.exchanged { return }
            known = result.original
        }
    }

    /// How many commits may be ahead of `visible`.
    static let tipLeadMax: UInt64 = 48

    /// The errno of a flush that failed, 0 if none has. Set for all processes, for good.
    var poison: Int32 {
        get { Int32(truncatingIfNeeded: word(192).pointee.load(ordering: .relaxed)) }
        nonmutating set {
            word(192).pointee.store(UInt64(newValue), ordering: .sequentiallyConsistent)
        }
    }

    /// Makes a commit the one that the next writer starts from. Only the holder of the writer's
    /// lock does this.
    func publishTip(_ meta: Meta, _ freeList: FreeList) {
        let words = freeListEntry(meta.transaction)
        FreeList.forEachUsedWord(first: freeList.words[0]) { index in
            words[index].store(freeList.words[index], ordering: .relaxed)
        }
        withUnsafeTemporaryAllocation(byteCount: Meta.size, alignment: 8) { buffer in
            guard let bytes = buffer.baseAddress else { return }
            meta.store(to: bytes)
            let entry = ringEntry(meta.transaction)
            for index in 0..<(Meta.size / 8) {
                entry[index].store(
                    bytes.load(fromByteOffset: index * 8, as: UInt64.self), ordering: .relaxed)
            }
        }
        word(72).pointee.store(meta.transaction, ordering: .sequentiallyConsistent)
    }

    @inline(__always)
    private func freeListEntry(_ transaction: UInt64) -> UnsafeMutablePointer<Atomic<UInt64>> {
        word(Self.freeListsOffset + Int(transaction % Self.ringEntries) * FreeList.size)
    }

    /// Copies the free list of a commit; only good if the tip has not gone a ring ahead afterwards.
    private func copyFreeList(_ transaction: UInt64, to freeList: FreeList) {
        let words = freeListEntry(transaction)
        let first = words[0].load(ordering: .relaxed)
        FreeList.forEachUsedWord(first: first) { index in
            freeList.words[index] = words[index].load(ordering: .relaxed)
        }
        // Another commit may have changed it.
        freeList.words[0] = first
        atomicMemoryFence(ordering: .acquiring)
    }

    /// Copies the free list of the newest commit. With the writer's lock.
    func copyTipFreeList(to freeList: FreeList) { copyFreeList(tip, to: freeList) }

    /// Copies the free list of a commit.
    ///
    /// - Returns: false if it is too old to be known.
    func copyFreeList(of transaction: UInt64, to freeList: FreeList) -> Bool {
        copyFreeList(transaction, to: freeList)
        // The commit that overwrites the entry does so before it is the tip.
        return tip < transaction + Self.ringEntries - 1
    }

    @inline(__always)
    private func ringEntry(_ transaction: UInt64) -> UnsafeMutablePointer<Atomic<UInt64>> {
        let index = Int(transaction % Self.ringEntries)
        return word(Self.ringOffset + index * Self.ringEntrySize)
    }

    /// Copies the meta record of a commit; only good if `visible` is still the same afterwards.
    @inline(__always)
    private func copyMeta(_ transaction: UInt64, to bytes: UnsafeMutableRawPointer) {
        let entry = ringEntry(transaction)
        for index in 0..<(Meta.size / 8) {
            bytes.storeBytes(
                of: entry[index].load(ordering: .relaxed), toByteOffset: index * 8, as: UInt64.self)
        }
        // The loads above stay before the load that says whether they were good.
        atomicMemoryFence(ordering: .acquiring)
    }

    /// The record of the newest commit.
    func copyTipMeta(to bytes: UnsafeMutableRawPointer) {
        while true {
            let transaction = tip
            copyMeta(transaction, to: bytes)
            // The commit that overwrites the entry does so before it is the tip.
            if tip < transaction + Self.ringEntries - 1 { return }
        }
    }

    /// The record of the newest visible commit.
    func copyVisibleMeta(to bytes: UnsafeMutableRawPointer) {
        while true {
            let transaction = visible
            copyMeta(transaction, to: bytes)
            if visible == transaction { return }
        }
    }

    // MARK: Writers

    /// Processes that have the environment open for writing. One that died is counted on, until
    /// all have closed it: the writer's lock then takes a little longer.
    private var writers: UnsafeMutablePointer<Atomic<UInt64>> { word(216) }

    private static let loneWriterOffset = 224

    func countWriter() { writers.pointee.add(1, ordering: .sequentiallyConsistent) }

    func discountWriter() { writers.pointee.subtract(1, ordering: .sequentiallyConsistent) }

    /// Lets a process write that is the only one that could, without the lock that the kernel
    /// keeps: a process that comes counts itself before it looks for a lone writer, a lone writer
    /// names itself before it looks at the count, so one of them sees the other.
    ///
    /// - Returns: false if it is not the only one.
    func beginAlone(_ process: Owner) -> Bool {
        guard writers.pointee.load(ordering: .relaxed) == 1 else { return false }
        self[Self.loneWriterOffset] = process.raw
        if writers.pointee.load(ordering: .sequentiallyConsistent) == 1 { return true }
        endAlone()
        return false
    }

    func endAlone() { self[Self.loneWriterOffset] = 0 }

    /// Whether a process writes without the kernel's lock. Ends its transaction if it has died.
    ///
    /// - Parameter isLocked: asks the kernel whether an entry's process lives.
    func hasLoneWriter(isLocked: (Int) -> Bool) -> Bool {
        let value = self[Self.loneWriterOffset]
        guard value != 0 else { return false }
        let process = Owner(raw: value)
        if !isSuperseded(process), isLocked(process.entry) { return true }
        endAlone()
        return false
    }

    // MARK: Processes

    /// A process's mark on the reader slots it owns: its entry in the table of processes and the
    /// entry's generation. Process ids come back; these do not. Whether the process lives, the
    /// kernel knows: it holds a lock on its entry's byte of `lock.zdb` until it dies.
    struct Owner: Equatable {
        var raw: UInt64

        /// For people to read.
        var processID: Int32 = 0

        init(raw: UInt64) { self.raw = raw }
        init(entry: Int, generation: UInt64) {
            raw = generation << 16 | UInt64(entry + 1)
            processID = getpid()
        }

        static func == (left: Owner, right: Owner) -> Bool { left.raw == right.raw }

        var entry: Int { Int(raw & 0xffff) - 1 }
        var generation: UInt64 { raw >> 16 }
    }

    /// Takes over an entry whose lock this process holds.
    func registerProcess(entry: Int) -> Owner {
        let generation = word(Self.processesOffset + entry * 8).pointee.add(
            1, ordering: .sequentiallyConsistent
        ).newValue
        return Owner(entry: entry, generation: generation)
    }

    /// Whether an entry has been taken over by another process since.
    private func isSuperseded(_ owner: Owner) -> Bool {
        guard owner.entry >= 0, owner.entry < Self.processesMax else { return true }
        return word(Self.processesOffset + owner.entry * 8).pointee.load(
            ordering: .sequentiallyConsistent) != owner.generation
    }

    /// Frees the slots of processes that have died (invariant 5).
    ///
    /// - Parameters:
    ///   - reaper: this process; a slot is its own while it is being cleared, so that a second
    ///     reaper cannot clear what a new reader has just taken.
    ///   - isLocked: asks the kernel whether an entry's process lives.
    /// - Returns: how many slots were freed.
    func reapReaders(reaper: Owner, isLocked: (Int) -> Bool) -> Int {
        var freed = 0
        var known: [Int: Bool] = [:]
        for slot in 0..<slotsInUse {
            let value = owner(slot).pointee.load(ordering: .sequentiallyConsistent)
            let holder = Owner(raw: value)
            guard value != 0, holder != reaper else { continue }
            var isDead = isSuperseded(holder)
            if !isDead {
                let isAlive = known[holder.entry] ?? isLocked(holder.entry)
                known[holder.entry] = isAlive
                isDead = !isAlive
            }
            guard isDead,
                owner(slot).pointee.compareExchange(
                    expected: value, desired: reaper.raw, ordering: .sequentiallyConsistent
                ).exchanged
            else { continue }
            releaseReader(slot)
            freed += 1
        }
        return freed
    }

    // MARK: Readers

    /// Reader slots there are.
    @inline(__always)
    var readers: Int { min(Int(word(264).pointee.load(ordering: .relaxed)), readersMax) }

    /// Says that the file has room for more slots. Under a lock.
    func growReaders(to count: Int) {
        word(264).pointee.store(UInt64(count), ordering: .sequentiallyConsistent)
    }

    /// A reader, for people to look at.
    struct Reader {
        var slot: Int
        var processID: UInt32
        var thread: UInt64
        /// nil if it has been reset.
        var snapshot: UInt64?
    }

    func readerList() -> [Reader] {
        (0..<slotsInUse).compactMap { slot in
            guard owner(slot).pointee.load(ordering: .sequentiallyConsistent) != 0 else {
                return nil
            }
            let start = Self.readersOffset + slot * Self.readerSlotSize
            let snapshot = snapshot(slot).pointee.load(ordering: .sequentiallyConsistent)
            return Reader(
                slot: slot,
                processID: UInt32(
                    truncatingIfNeeded: word(start + 16).pointee.load(ordering: .relaxed)),
                thread: word(start + 24).pointee.load(ordering: .relaxed),
                snapshot: snapshot == Self.noSnapshot ? nil : snapshot)
        }
    }

    private var slotsUsed: UnsafeMutablePointer<Atomic<UInt64>> { word(256) }

    @inline(__always)
    private func owner(_ slot: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        word(Self.readersOffset + slot * Self.readerSlotSize)
    }

    @inline(__always)
    private func snapshot(_ slot: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        word(Self.readersOffset + slot * Self.readerSlotSize + 8)
    }

    /// Takes a reader slot. No lock: a compare-and-swap on a slot this thread had before, or on
    /// the next free one.
    ///
    /// - Returns: nil if all slots are taken.
    @inline(__always)
    func claimReader(_ process: Owner) -> Int? {
        let hint = zp_thread_slot_hints()
        let last = Int(hint?.pointee.reader ?? 0)
        let readers = self.readers
        if last < readers, claim(last, process) { return last }
        for slot in 0..<readers where claim(slot, process) {
            hint?.pointee.reader = UInt32(truncatingIfNeeded: slot)
            return slot
        }
        return nil
    }

    @inline(__always)
    private func claim(_ slot: Int, _ process: Owner) -> Bool {
        let identity = process.raw
        let ownerWord = owner(slot)
        guard ownerWord.pointee.load(ordering: .relaxed) == 0 else { return false }
        // Nothing is pinned until a snapshot is stored; a free slot's snapshot is noSnapshot or,
        // never used, 0, so raise the count of slots to scan only after it says noSnapshot.
        guard
            ownerWord.pointee.compareExchange(
                expected: 0, desired: identity, ordering: .sequentiallyConsistent
            ).exchanged
        else { return false }
        snapshot(slot).pointee.store(Self.noSnapshot, ordering: .sequentiallyConsistent)
        // Only for people to read: neither decides anything.
        word(Self.readersOffset + slot * Self.readerSlotSize + 16).pointee.store(
            UInt64(UInt32(bitPattern: process.processID)), ordering: .relaxed)
        word(Self.readersOffset + slot * Self.readerSlotSize + 24).pointee.store(
            zp_thread_id(), ordering: .relaxed)
        var used = slotsUsed.pointee.load(ordering: .relaxed)
        while used <= UInt64(slot) {
            let result = slotsUsed.pointee.compareExchange(
                expected: used, desired: UInt64(slot) + 1, ordering: .sequentiallyConsistent)
            if result.exchanged { break }
            used = result.original
        }
        return true
    }

    /// Pins the newest commit in a slot and copies its record.
    @inline(__always)
    func pinNewest(slot: Int, to bytes: UnsafeMutableRawPointer) {
        while true {
            let transaction = visible
            snapshot(slot).pointee.store(transaction, ordering: .sequentiallyConsistent)
            copyMeta(transaction, to: bytes)
            if visible == transaction { return }
        }
    }

    /// Marks the tip as a commit that may become the durable root, and copies its record. With
    /// the checkpoint's lock.
    ///
    /// A commit after it is published after the mark, as the tip is still the same then; so
    /// whoever could reuse what that commit freed sees the mark.
    func beginCheckpoint(copyingTo bytes: UnsafeMutableRawPointer, _ freeList: FreeList) {
        while true {
            let transaction = tip
            checkpointing = transaction
            copyMeta(transaction, to: bytes)
            copyFreeList(transaction, to: freeList)
            if tip == transaction { return }
        }
    }

    /// Lets go of a slot's snapshot; the slot stays taken.
    @inline(__always)
    func unpin(slot: Int) {
        snapshot(slot).pointee.store(Self.noSnapshot, ordering: .releasing)
    }

    /// Gives a slot back.
    @inline(__always)
    func releaseReader(_ slot: Int) {
        snapshot(slot).pointee.store(Self.noSnapshot, ordering: .releasing)
        owner(slot).pointee.store(0, ordering: .releasing)
    }

    /// The oldest snapshot that anybody reads, the newest commit if nobody reads.
    func oldestSnapshot() -> UInt64 {
        var oldest = visible
        forEachReader { snapshot in oldest = min(oldest, snapshot) }
        return oldest
    }

    func readerCount() -> Int {
        var count = 0
        forEachReader { _ in count += 1 }
        return count
    }

    private var slotsInUse: Int {
        min(Int(slotsUsed.pointee.load(ordering: .sequentiallyConsistent)), readers)
    }

    private func forEachReader(_ body: (UInt64) -> Void) {
        for slot in 0..<slotsInUse
        where owner(slot).pointee.load(ordering: .sequentiallyConsistent) != 0 {
            body(snapshot(slot).pointee.load(ordering: .sequentiallyConsistent))
        }
    }
}
