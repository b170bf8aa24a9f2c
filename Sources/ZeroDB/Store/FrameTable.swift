import Glibc

/// The pages a write transaction has changed, in memory, until commit gives them numbers.
///
/// A frame is named by its index; references to it carry `PageReference.frameBit`. Memory comes
/// from large slabs that are kept from one transaction to the next up to a limit. Only the
/// writer touches this.
///
/// In a nested transaction a page of an outer one is copied to a frame before it changes, as a page
/// of the snapshot is. The outer one's frame stays as it is, for the nested transaction to be taken
/// back, until its commit frees it.
struct FrameTable {
    struct Frame {
        /// nil if the frame is free.
        var memory: UnsafeMutableRawPointer?
        /// 1 for a tree page, the run's length for an overflow value.
        var pages: UInt64
        /// Given by commit.
        var number: UInt64
        /// The level that made it and may change it.
        var level: Int
        /// Whether it holds a large value and not a page of a tree.
        var isValue = false
    }

    /// What taking back a nested transaction, or giving it to its parent, needs to know.
    private struct Level {
        /// Frames that it has made, some perhaps twice, some perhaps freed again.
        var made: [Int] = []
        /// Frames of outer levels that it no longer reaches.
        var replaced: [Int] = []
    }

    private let pageSize: Int
    private(set) var frames: UnsafeMutablePointer<Frame>
    private(set) var count = 0
    private var capacity = 256
    private var freeFrames: [Int] = []
    /// How many transactions the one at work is nested in.
    private(set) var level = 0
    /// Those of levels 1 to `level`.
    private var levels: [Level] = []

    /// Pages in frames that the transaction at work reaches.
    private(set) var dirtyPages: UInt64 = 0
    /// Of those, pages of large values.
    private(set) var valuePages: UInt64 = 0
    /// Frames of one page that it reaches.
    private(set) var singleFrames = 0

    private struct Slab {
        var memory: UnsafeMutableRawPointer
        var bytes: Int
        var isSpilled = false
    }
    private var slabs: [Slab] = [] {
        didSet { noteSlabs() }
    }
    /// From the beginning of the first to the end of the last in the order of addresses.
    private var slabRange: Range<UInt> = 0..<0
    private var slab = 0
    private var slabUsed = 0
    private var freeMemory: [UnsafeMutableRawPointer] = []
    /// Memory of runs in slabs that were given up, by the number of their pages.
    private var freeRuns: [UInt64: [UnsafeMutableRawPointer]] = [:]
    /// Bytes of a run that lies in a slab, of which a large one holds three: there memory costs less than
    /// from `malloc`, whose pages the system makes one by one.
    private static let slabRunBytesMax = UInt64(largeSlab / 3)

    /// Bytes of slabs that are kept between transactions in any case, and at most.
    private static let keptBytesMin = 16 << 20
    private static let keptBytesMax = 64 << 20
    /// Bytes of slabs that large transactions have used, the less the longer ago.
    private var keptBytes = keptBytesMin
    private static let smallSlab = 256 << 10
    private static let largeSlab = 4 << 20

    /// Bytes that pages and values may take in memory; beyond, they are in `spill`.
    private let memoryMax: UInt64
    /// Bytes that they take there.
    private var memoryBytes: UInt64 = 0
    private let spill: SpillFile
    /// Bytes that this transaction keeps there.
    var spilledBytes: UInt64 { UInt64(spill.used) }

    /// - Parameters:
    ///   - memoryMax: bytes of memory, beyond which pages are kept in a file.
    ///   - spill: that file.
    init(pageSize: Int, memoryMax: UInt64, spill: SpillFile) {
        self.pageSize = pageSize
        self.memoryMax = memoryMax
        self.spill = spill
        frames = .allocate(capacity: capacity)
    }

    /// Gives all memory back. The table is unusable afterwards.
    mutating func deallocate() {
        reset()
        for slab in slabs { munmap(slab.memory, slab.bytes) }
        slabs = []
        frames.deallocate()
    }

    @inline(__always)
    func memory(_ index: Int) -> UnsafeMutableRawPointer? {
        guard index < count else { return nil }
        return frames[index].memory
    }

    /// A frame for a tree page, its memory not cleared.
    ///
    /// - Throws: ENOMEM; beyond `memoryMax`, what keeps the file from having more pages.
    mutating func allocatePage() throws(DatabaseError) -> Int {
        let memory = try allocatePageMemory()
        singleFrames += 1
        return add(memory, pages: 1, isValue: false)
    }

    /// A frame for an overflow run, its memory not cleared.
    ///
    /// - Throws: as `allocatePage`.
    mutating func allocateRun(pages: UInt64) throws(DatabaseError) -> Int {
        valuePages += pages
        do throws(DatabaseError) {
            if pages == 1 {
                let memory = try allocatePageMemory()
                singleFrames += 1
                return add(memory, pages: 1, isValue: true)
            }
            return add(try allocateRunMemory(pages), pages: pages, isValue: true)
        } catch {
            valuePages -= pages
            throw error
        }
    }

    private mutating func allocateRunMemory(
        _ pages: UInt64
    ) throws(DatabaseError) -> UnsafeMutableRawPointer {
        let bytes = pages * UInt64(pageSize)
        if bytes <= Self.slabRunBytesMax {
            if let memory = freeRuns[pages]?.popLast() { return memory }
            // Where memory comes to its limit, in the file, which values leave as they are copied.
            if hasRoomInSlab(Int(bytes)) || hasKeptSlab(Int(bytes))
                || hasMemory(UInt64(Self.largeSlab))
            {
                return try allocateInSlab(Int(bytes))
            }
        }
        // Pages of trees are in memory whatever values take: that is counted first.
        if slabs.isEmpty { slabs.append(try makeSlab(Self.smallSlab)) }
        if !hasMemory(bytes) { releaseKeptSlabs() }
        guard hasMemory(bytes) else { return try spill.allocate(Int(bytes)) }
        guard let memory = malloc(Int(bytes)) else {
            throw DatabaseError(systemError: ENOMEM, "allocate \(pages) pages for a value")
        }
        memoryBytes += bytes
        return memory
    }

    private func hasMemory(_ bytes: UInt64) -> Bool {
        bytes <= memoryMax && memoryBytes <= memoryMax - bytes
    }

    private mutating func add(
        _ memory: UnsafeMutableRawPointer, pages: UInt64, isValue: Bool
    ) -> Int {
        dirtyPages += pages
        let frame = Frame(memory: memory, pages: pages, number: 0, level: level, isValue: isValue)
        if let index = freeFrames.popLast() {
            // One of this level's that was freed is on its list already.
            if level > 0, frames[index].level != level { levels[level - 1].made.append(index) }
            frames[index] = frame
            return index
        }
        if count == capacity {
            let larger = UnsafeMutablePointer<Frame>.allocate(capacity: capacity * 2)
            larger.initialize(from: frames, count: count)
            frames.deallocate()
            frames = larger
            capacity *= 2
        }
        (frames + count).initialize(to: frame)
        if level > 0 { levels[level - 1].made.append(count) }
        count += 1
        return count - 1
    }

    /// Gives up a page that the transaction made, or one it is nested in, and needs no more.
    mutating func free(_ index: Int) {
        guard index < count, frames[index].memory != nil else { return }
        let pages = frames[index].pages
        dirtyPages -= pages
        if frames[index].isValue { valuePages -= pages }
        if pages == 1 { singleFrames -= 1 }
        if level > 0, frames[index].level != level {
            levels[level - 1].replaced.append(index)
        } else {
            release(index)
        }
    }

    /// Gives back the memory of a frame that has been counted out.
    private mutating func release(_ index: Int) {
        guard let memory = frames[index].memory else { return }
        if frames[index].pages == 1 {
            freeMemory.append(memory)
        } else {
            releaseRun(memory, frames[index].pages)
        }
        frames[index].memory = nil
        freeFrames.append(index)
    }

    // MARK: Nesting

    /// Whether a page is a frame that the transaction at work may change in place.
    @inline(__always)
    func isOwn(_ reference: PageReference) -> Bool {
        reference.isFrame && (level == 0 || isOfLevel(reference.frameIndex))
    }

    @inline(never)
    private func isOfLevel(_ index: Int) -> Bool { index < count && frames[index].level == level }

    /// Begins a nested transaction.
    mutating func beginLevel() {
        levels.append(Level())
        level += 1
    }

    /// Gives what the nested transaction has made to the one it is nested in.
    mutating func joinLevel() {
        guard let ended = levels.popLast() else { return }
        level -= 1
        for index in ended.made { frames[index].level = level }
        if level > 0 { levels[level - 1].made += ended.made }
        for index in ended.replaced {
            if frames[index].level == level {
                release(index)
            } else {
                levels[level - 1].replaced.append(index)
            }
        }
    }

    /// Takes back what the nested transaction has made and replaced.
    mutating func dropLevel() {
        guard let ended = levels.popLast() else { return }
        for index in ended.made {
            free(index)
            // No level's: the next level to take it puts it on its list.
            frames[index].level = 0
        }
        level -= 1
        for index in ended.replaced {
            dirtyPages += frames[index].pages
            if frames[index].isValue { valuePages += frames[index].pages }
            if frames[index].pages == 1 { singleFrames += 1 }
        }
    }

    // MARK: Memory

    private mutating func releaseRun(_ memory: UnsafeMutableRawPointer, _ pages: UInt64) {
        let bytes = pages * UInt64(pageSize)
        if contains(memory) {
            freeRuns[pages, default: []].append(memory)
        } else if spill.contains(memory) {
            spill.release(memory, Int(bytes))
        } else {
            Glibc.free(memory)
            memoryBytes -= bytes
        }
    }

    /// Copies a part of a large value into its frame. What is in a file does not stay in memory.
    func copy(
        _ source: UnsafeRawPointer, _ count: Int, to address: UnsafeMutableRawPointer
    ) {
        if spill.contains(address) {
            spill.copy(source, count, to: address)
        } else {
            memcpy(address, source, count)
        }
    }

    /// Says that a frame's memory is not used for some time.
    func relieve(_ memory: UnsafeMutableRawPointer, _ pages: UInt64) {
        if spill.contains(memory) { spill.relieve(memory, Int(pages) * pageSize) }
    }

    private mutating func allocatePageMemory() throws(DatabaseError) -> UnsafeMutableRawPointer {
        if let memory = freeMemory.popLast() { return memory }
        return try allocateInSlab(pageSize)
    }

    /// Whether the slab in use has room for so many bytes that are not in the file.
    private func hasRoomInSlab(_ bytes: Int) -> Bool {
        slab < slabs.count && !slabs[slab].isSpilled && slabUsed + bytes <= slabs[slab].bytes
    }

    /// Whether a slab that earlier transactions left, and that this one has not come to, has so many bytes.
    private func hasKeptSlab(_ bytes: Int) -> Bool {
        slabs.dropFirst(slab + 1).contains { !$0.isSpilled && bytes <= $0.bytes }
    }

    /// Gives back the slabs that this transaction has not come to, so that their memory can be a value's.
    private mutating func releaseKeptSlabs() {
        guard slab + 1 < slabs.count else { return }
        for kept in slabs[(slab + 1)...] {
            munmap(kept.memory, kept.bytes)
            memoryBytes -= UInt64(kept.bytes)
        }
        slabs.removeSubrange((slab + 1)...)
    }

    /// - Parameter bytes: whole pages, not more than a large slab has.
    private mutating func allocateInSlab(
        _ bytes: Int
    ) throws(DatabaseError) -> UnsafeMutableRawPointer {
        while slab < slabs.count {
            if slabUsed + bytes <= slabs[slab].bytes {
                let memory = slabs[slab].memory + slabUsed
                slabUsed += bytes
                return memory
            }
            // What a run leaves is used by pages.
            while slabUsed < slabs[slab].bytes, bytes > pageSize {
                freeMemory.append(slabs[slab].memory + slabUsed)
                slabUsed += pageSize
            }
            slab += 1
            slabUsed = 0
        }
        let isSmall = slabs.count < 4 && bytes <= Self.smallSlab
        let made = try makeSlab(isSmall ? Self.smallSlab : Self.largeSlab)
        slabs.append(made)
        slab = slabs.count - 1
        slabUsed = bytes
        return made.memory
    }

    private mutating func makeSlab(_ bytes: Int) throws(DatabaseError) -> Slab {
        guard hasMemory(UInt64(bytes)) || slabs.isEmpty else {
            return Slab(memory: try spill.allocate(bytes), bytes: bytes, isSpilled: true)
        }
        guard
            let memory = mmap(
                nil, bytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | Int32(MAP_ANONYMOUS) | Int32(MAP_NORESERVE), -1, 0),
            memory != MAP_FAILED
        else { throw DatabaseError(systemError: ENOMEM, "allocate \(bytes) bytes for pages") }
        // Large transactions live in these pages: fewer, larger entries in the TLB.
        if bytes == Self.largeSlab { madvise(memory, bytes, Int32(MADV_HUGEPAGE)) }
        memoryBytes += UInt64(bytes)
        return Slab(memory: memory, bytes: bytes)
    }

    /// Whether bytes lie in a page that this transaction has changed, and may move when it changes
    /// more, or beside such pages.
    func contains(_ address: UnsafeRawPointer) -> Bool {
        slabRange.contains(UInt(bitPattern: address))
            && slabs.contains {
                address >= UnsafeRawPointer($0.memory) && address < $0.memory + $0.bytes
            }
    }

    private mutating func noteSlabs() {
        var start = UInt.max
        var end: UInt = 0
        for slab in slabs {
            start = min(start, UInt(bitPattern: slab.memory))
            end = max(end, UInt(bitPattern: slab.memory) + UInt(slab.bytes))
        }
        slabRange = start < end ? start..<end : 0..<0
    }

    /// Forgets all frames, at the end of a transaction.
    mutating func reset() {
        for index in 0..<count where frames[index].pages > 1 {
            guard let memory = frames[index].memory, !spill.contains(memory), !contains(memory)
            else { continue }
            Glibc.free(memory)
        }
        count = 0
        dirtyPages = 0
        valuePages = 0
        singleFrames = 0
        level = 0
        levels.removeAll()
        freeFrames.removeAll(keepingCapacity: freeFrames.count < 4096)
        freeMemory.removeAll(keepingCapacity: freeMemory.count < 4096)
        freeRuns.removeAll()
        // Memory from the system costs a transaction of many pages a tenth of its time.
        let used = slabs.prefix(slab + 1).reduce(0) { $1.isSpilled ? $0 : $0 + $1.bytes }
        let wanted = max(used, keptBytes - keptBytes / 8)
        let keptMax = min(max(wanted, Self.keptBytesMin), Self.keptBytesMax)
        keptBytes = keptMax
        slab = 0
        slabUsed = 0
        var kept = 0
        slabs.removeAll { slab in
            if slab.isSpilled { return true }
            kept += slab.bytes
            if kept <= keptMax { return false }
            kept -= slab.bytes
            munmap(slab.memory, slab.bytes)
            return true
        }
        memoryBytes = UInt64(kept)
        spill.reset()
    }

    func setNumber(_ number: UInt64, of index: Int) { frames[index].number = number }
}
