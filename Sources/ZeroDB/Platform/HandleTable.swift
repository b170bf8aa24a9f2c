import CZeroDBPlatform
import Glibc
import Synchronization

/// Names for objects that callers hold by a number they may keep too long.
///
/// A handle is an index and the generation of its slot. Slots lie in memory that is reserved
/// once and never given back, and so do the objects in them: a handle that was closed, or was
/// never one, fails the comparison of generations instead of reaching freed memory. Taking a
/// slot is one compare-and-swap, usually on a slot the same thread had before; no lock.
///
/// ```
/// handle: generation 40 | index 20 | kind 4
/// ```
package struct HandleTable<Object: ~Copyable>: @unchecked Sendable {
    package let table: UnsafeMutablePointer<zp_handle_table>

    private static var slotSize: Int { Int(ZP_HANDLE_SLOT_SIZE) }

    package struct Claim {
        package var index: Int
        package var handle: UInt64
    }

    /// A table of the process, `make` or not.
    @inline(__always)
    package init(_ table: UnsafeMutablePointer<zp_handle_table>) { self.table = table }

    /// A table of its own, forever.
    package init(kind: UInt64, capacity: Int) {
        table = .allocate(capacity: 1)
        table.initialize(to: zp_handle_table())
        make(kind: kind, capacity: capacity)
    }

    /// Makes the table's slots, if there are none. Without memory for them nothing can be claimed.
    package func make(kind: UInt64, capacity: Int) {
        guard slots == nil else { return }
        zp_lock_process()
        defer { zp_unlock_process() }
        guard slots == nil else { return }
        let capacity = min(capacity, 1 << Int(ZP_HANDLE_INDEX_BITS))
        // Pages of the table come into being when they are touched.
        let size = capacity * Self.slotSize
        let memory = mmap(
            nil, size, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | Int32(MAP_ANONYMOUS) | Int32(MAP_NORESERVE), -1, 0)
        guard let memory, memory != MAP_FAILED else { return }
        table.pointee.kind = kind
        table.pointee.capacity = Int64(capacity)
        // The slots last: a thread that sees them sees the rest.
        zp_set_handle_slots(table, memory)
        zp_declare_roots(memory, size)
    }

    @inline(__always)
    var slots: UnsafeMutableRawPointer? { zp_handle_slots(table) }

    private var capacity: Int { Int(table.pointee.capacity) }

    @inline(__always)
    var highWater: UnsafeMutablePointer<Atomic<Int>> {
        UnsafeMutableRawPointer(zp_handle_high_water(table))
            .assumingMemoryBound(to: Atomic<Int>.self)
    }

    /// A slot's word: generation << 1 | in use.
    @inline(__always)
    func word(
        _ slots: UnsafeMutableRawPointer, _ index: Int
    ) -> UnsafeMutablePointer<Atomic<UInt64>> {
        field(slots, index, Int(ZP_HANDLE_WORD_OFFSET)).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    @inline(__always)
    private func field(
        _ slots: UnsafeMutableRawPointer, _ index: Int, _ offset: Int
    ) -> UnsafeMutableRawPointer {
        slots + (index * Self.slotSize + offset)
    }

    @inline(__always)
    func objectWord(
        _ slots: UnsafeMutableRawPointer, _ index: Int
    ) -> UnsafeMutablePointer<Atomic<UInt>> {
        field(slots, index, Int(ZP_HANDLE_OBJECT_OFFSET)).assumingMemoryBound(to: Atomic<UInt>.self)
    }

    @inline(__always)
    private func tryClaim(_ slots: UnsafeMutableRawPointer, _ index: Int) -> Claim? {
        let word = word(slots, index)
        let value = word.pointee.load(ordering: .relaxed)
        guard value & 1 == 0,
            word.pointee.compareExchange(
                expected: value, desired: value | 1, ordering: .sequentiallyConsistent
            ).exchanged
        else { return nil }
        return Claim(index: index, handle: handle(index, value))
    }

    @inline(__always)
    func handle(_ index: Int, _ word: UInt64) -> UInt64 {
        zp_handle(table, Int64(index), word)
    }

    /// Takes a slot, `hint` if it is free.
    ///
    /// - Returns: nil if all are taken.
    @inline(__always)
    package func claim(hint: Int) -> Claim? {
        guard let slots else { return nil }
        if hint < highWater.pointee.load(ordering: .relaxed), let claim = tryClaim(slots, hint) {
            return claim
        }
        return claimAny(slots)
    }

    @inline(never)
    private func claimAny(_ slots: UnsafeMutableRawPointer) -> Claim? {
        // A few slots that may be free again, then a new one, then all.
        let used = highWater.pointee.load(ordering: .relaxed)
        for index in 0..<min(used, 32) {
            if let claim = tryClaim(slots, index) { return claim }
        }
        while true {
            let next = highWater.pointee.load(ordering: .relaxed)
            guard next < capacity else { break }
            let raised = highWater.pointee.compareExchange(
                expected: next, desired: next + 1, ordering: .sequentiallyConsistent)
            if raised.exchanged, let claim = tryClaim(slots, next) { return claim }
        }
        for index in 0..<capacity {
            if let claim = tryClaim(slots, index) { return claim }
        }
        return nil
    }

    @inline(__always)
    private func tagWord(
        _ slots: UnsafeMutableRawPointer, _ index: Int
    ) -> UnsafeMutablePointer<Atomic<UInt>> {
        field(slots, index, Int(ZP_HANDLE_TAG_OFFSET)).assumingMemoryBound(to: Atomic<UInt>.self)
    }

    /// Says what a slot in use belongs to; 0 while it is free or has not been said.
    @inline(__always)
    package func setTag(_ tag: UInt, at index: Int) {
        guard let slots else { return }
        tagWord(slots, index).pointee.store(tag, ordering: .sequentiallyConsistent)
    }

    /// Says the same again when another thread has had reason to ask: less than `setTag` costs.
    @inline(__always)
    package func confirmTag(_ tag: UInt, at index: Int) {
        guard let slots else { return }
        tagWord(slots, index).pointee.store(tag, ordering: .releasing)
    }

    /// What a slot belongs to, 0 if it is free or that has not been said.
    package func tag(at index: Int) -> UInt {
        guard let slots else { return 0 }
        return tagWord(slots, index).pointee.load(ordering: .sequentiallyConsistent)
    }

    /// How many slots in use have a tag.
    package func count(tagged tag: UInt) -> Int {
        (0..<count).count { self.tag(at: $0) == tag }
    }

    /// Makes the handle of a slot dead; the slot stays taken.
    package func invalidate(_ index: Int) {
        guard let slots else { return }
        word(slots, index).pointee.wrappingAdd(2, ordering: .sequentiallyConsistent)
    }

    /// Gives a slot back if it still has this handle: of two threads that do so, one does it.
    ///
    /// - Returns: whether it had.
    @discardableResult
    package func release(handle: UInt64) -> Bool {
        let index = Self.index(of: handle)
        guard let slots, index < count else { return false }
        let word = word(slots, index)
        let value = word.pointee.load(ordering: .acquiring)
        guard value & 1 == 1, self.handle(index, value) == handle else { return false }
        // Taken still, by nobody who could know its handle.
        guard
            word.pointee.compareExchange(
                expected: value, desired: value &+ 2, ordering: .sequentiallyConsistent
            ).exchanged
        else { return false }
        release(index)
        return true
    }

    /// Gives a slot back; its handle is dead from now on, its object stays for the next.
    @inline(__always)
    package func release(_ index: Int) {
        guard let slots else { return }
        tagWord(slots, index).pointee.store(0, ordering: .releasing)
        let word = word(slots, index)
        let value = word.pointee.load(ordering: .relaxed)
        word.pointee.store((value &+ 2) & ~1, ordering: .releasing)
    }

    /// The object that a slot keeps, from this owner or one before.
    @inline(__always)
    package func object(at index: Int) -> UnsafeMutablePointer<Object>? {
        guard let slots else { return nil }
        let address = objectWord(slots, index).pointee.load(ordering: .acquiring)
        return UnsafeMutablePointer(bitPattern: address)
    }

    package func setObject(_ object: UnsafeMutablePointer<Object>, at index: Int) {
        guard let slots else { return }
        objectWord(slots, index).pointee.store(UInt(bitPattern: object), ordering: .releasing)
    }

    @inline(__always)
    package static func index(of handle: UInt64) -> Int {
        Int(zp_handle_index(handle))
    }

    /// The object a handle names; nil if the handle is dead or never was one.
    @inline(__always)
    package func resolve(_ handle: UInt64) -> UnsafeMutablePointer<Object>? {
        zp_resolve_handle(table, handle)?.assumingMemoryBound(to: Object.self)
    }

    /// The handle of a slot in use, nil if it is free.
    package func handle(at index: Int) -> UInt64? {
        guard let slots else { return nil }
        let word = word(slots, index).pointee.load(ordering: .sequentiallyConsistent)
        return word & 1 == 1 ? handle(index, word) : nil
    }

    /// Slots that have ever been used are below.
    package var count: Int { highWater.pointee.load(ordering: .sequentiallyConsistent) }
}
