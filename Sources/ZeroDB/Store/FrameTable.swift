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
    /// Frames of one page that it reaches.
    private(set) var singleFrames = 0

    private struct Slab {
        var memory: UnsafeMutableRawPointer
        var bytes: Int
    }
    private var slabs: [Slab] = []
    private var slab = 0
    private var slabUsed = 0
    private var freeMemory: [UnsafeMutableRawPointer] = []

    /// Bytes of slabs kept between transactions.
    static let keptBytesMax = 16 << 20
    private static let smallSlab = 256 << 10
    private static let largeSlab = 4 << 20

    init(pageSize: Int) {
        self.pageSize = pageSize
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
    /// - Returns: nil if there is no memory.
    mutating func allocatePage() -> Int? {
        guard let memory = allocatePageMemory() else { return nil }
        singleFrames += 1
        return add(memory, pages: 1)
    }

    /// A frame for an overflow run, its memory not cleared.
    mutating func allocateRun(pages: UInt64) -> Int? {
        if pages == 1 { return allocatePage() }
        guard let memory = malloc(Int(pages) * pageSize) else { return nil }
        return add(memory, pages: pages)
    }

    private mutating func add(_ memory: UnsafeMutableRawPointer, pages: UInt64) -> Int {
        dirtyPages += pages
        let frame = Frame(memory: memory, pages: pages, number: 0, level: level)
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
            Glibc.free(memory)
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
            if frames[index].pages == 1 { singleFrames += 1 }
        }
    }

    // MARK: Memory

    private mutating func allocatePageMemory() -> UnsafeMutableRawPointer? {
        if let memory = freeMemory.popLast() { return memory }
        while slab < slabs.count {
            if slabUsed + pageSize <= slabs[slab].bytes {
                let memory = slabs[slab].memory + slabUsed
                slabUsed += pageSize
                return memory
            }
            slab += 1
            slabUsed = 0
        }
        let bytes = slabs.count < 4 ? Self.smallSlab : Self.largeSlab
        guard
            let memory = mmap(
                nil, bytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | Int32(MAP_ANONYMOUS) | Int32(MAP_NORESERVE), -1, 0),
            memory != MAP_FAILED
        else { return nil }
        // Large transactions live in these pages: fewer, larger entries in the TLB.
        if bytes == Self.largeSlab { madvise(memory, bytes, Int32(MADV_HUGEPAGE)) }
        slabs.append(Slab(memory: memory, bytes: bytes))
        slab = slabs.count - 1
        slabUsed = pageSize
        return memory
    }

    /// Whether bytes lie in a page this transaction has changed, and may move when it changes
    /// more.
    func contains(_ address: UnsafeRawPointer) -> Bool {
        slabs.contains { address >= UnsafeRawPointer($0.memory) && address < $0.memory + $0.bytes }
    }

    /// Forgets all frames, at the end of a transaction.
    mutating func reset() {
        for index in 0..<count where frames[index].pages > 1 {
            if let memory = frames[index].memory { Glibc.free(memory) }
        }
        count = 0
        dirtyPages = 0
        singleFrames = 0
        level = 0
        levels.removeAll()
        freeFrames.removeAll(keepingCapacity: freeFrames.count < 4096)
        freeMemory.removeAll(keepingCapacity: freeMemory.count < 4096)
        slab = 0
        slabUsed = 0
        var kept = 0
        slabs.removeAll { slab in
            kept += slab.bytes
            if kept <= Self.keptBytesMax { return false }
            munmap(slab.memory, slab.bytes)
            return true
        }
    }

    func setNumber(_ number: UInt64, of index: Int) { frames[index].number = number }
}
