import Glibc

/// A run of pages.
struct PageRun: Equatable {
    var start: UInt64
    var count: UInt64

    var end: UInt64 { start + count }
}

/// The pages a write transaction has changed, in memory, until commit gives them numbers.
///
/// A frame is named by its index; references to it carry `PageReference.frameBit`. Memory comes
/// from large slabs that are kept from one transaction to the next up to a limit. Only the
/// writer touches this.
struct FrameTable {
    struct Frame {
        /// nil if the frame is free.
        var memory: UnsafeMutableRawPointer?
        /// 1 for a tree page, the run's length for an overflow value.
        var pages: UInt64
        /// Given by commit.
        var number: UInt64
    }

    private let pageSize: Int
    private(set) var frames: UnsafeMutablePointer<Frame>
    private(set) var count = 0
    private var capacity = 256
    private var freeFrames: [Int] = []

    /// Pages in living frames.
    private(set) var dirtyPages: UInt64 = 0
    /// Frames of one page alive.
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
        let frame = Frame(memory: memory, pages: pages, number: 0)
        if let index = freeFrames.popLast() {
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
        count += 1
        return count - 1
    }

    /// Gives up a page that the transaction made and needs no more.
    mutating func free(_ index: Int) {
        guard let memory = memory(index) else { return }
        let pages = frames[index].pages
        dirtyPages -= pages
        if pages == 1 {
            singleFrames -= 1
            freeMemory.append(memory)
        } else {
            Glibc.free(memory)
        }
        frames[index].memory = nil
        freeFrames.append(index)
    }

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
