import CZeroDBPlatform
import Synchronization

/// The reader table.
extension SharedState {
    /// Reader slots there are, as far as this process has looked.
    @inline(__always)
    var readers: Int { room.pointee.known }

    /// Says that the file has room for more slots. Under a lock.
    func growReaders(to count: Int) {
        word(Layout.readers).pointee.store(UInt64(count), ordering: .sequentiallyConsistent)
    }

    /// A reader, for people to look at.
    struct Reader {
        var slot: Int
        var processID: UInt32
        var thread: UInt64
        /// nil if it has been reset.
        var snapshot: UInt64?
        /// Since it began to see the snapshot.
        var openNanoseconds: UInt64
    }

    func readerList() -> [Reader] {
        (0..<slotsInUse).compactMap { slot in
            guard owner(slot).pointee.load(ordering: .sequentiallyConsistent) != 0 else {
                return nil
            }
            return reader(slot)
        }
    }

    /// What a slot in use says.
    func reader(_ slot: Int) -> Reader {
        let start = slotOffset(slot)
        let snapshot = snapshot(slot).pointee.load(ordering: .sequentiallyConsistent)
        let began = word(start + Layout.slotBegan).pointee.load(ordering: .relaxed)
        return Reader(
            slot: slot,
            processID: UInt32(
                truncatingIfNeeded: word(start + Layout.slotProcessID).pointee.load(
                    ordering: .relaxed)),
            thread: word(start + Layout.slotThread).pointee.load(ordering: .relaxed),
            snapshot: snapshot == Self.noSnapshot ? nil : snapshot,
            openNanoseconds: zp_nanoseconds_since(began))
    }

    @inline(__always)
    private func slotOffset(_ slot: Int) -> Int {
        // There are no more than `readersMax`.
        Layout.readerSlots &+ slot &* Layout.readerSlotSize
    }

    private var slotsUsed: UnsafeMutablePointer<Atomic<UInt64>> { word(Layout.slotsUsed) }

    @inline(__always)
    private func owner(_ slot: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        word(slotOffset(slot) + Layout.slotOwner)
    }

    @inline(__always)
    private func snapshot(_ slot: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        word(slotOffset(slot) + Layout.slotSnapshot)
    }

    /// Takes a reader slot. No lock: a compare-and-swap on a slot this thread had before, or on
    /// the next free one.
    ///
    /// - Returns: nil if all slots are taken.
    @inline(__always)
    func claimReader(_ process: Owner) -> Int? {
        let hint = zp_thread_slot_hints()
        let last = Int(hint?.pointee.reader ?? 0)
        let known = hint?.pointee.thread ?? 0
        let thread = known != 0 ? known : zp_thread_id()
        let readers = self.readers
        if last < readers, claim(last, process, thread) { return last }
        for slot in 0..<readers where claim(slot, process, thread) {
            hint?.pointee.reader = UInt32(truncatingIfNeeded: slot)
            return slot
        }
        return nil
    }

    @inline(__always)
    private func claim(_ slot: Int, _ process: Owner, _ thread: UInt64) -> Bool {
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
        word(slotOffset(slot) + Layout.slotProcessID).pointee.store(
            UInt64(UInt32(bitPattern: process.processID)), ordering: .relaxed)
        word(slotOffset(slot) + Layout.slotThread).pointee.store(thread, ordering: .relaxed)
        var used = slotsUsed.pointee.load(ordering: .relaxed)
        while used <= UInt64(slot) {
            let result = slotsUsed.pointee.compareExchange(
                expected: used, desired: UInt64(slot) + 1, ordering: .sequentiallyConsistent)
            if result.exchanged { break }
            used = result.original
        }
        return true
    }

    /// Pins the newest commit in a slot and copies its record, which is only as good as the shared memory
    /// that it comes from.
    ///
    /// - Returns: the commit; one that no record can be of if there was a newer one each time.
    @inline(__always)
    func pinNewest(slot: Int, to bytes: UnsafeMutableRawPointer) -> UInt64 {
        word(slotOffset(slot) + Layout.slotBegan).pointee.store(zp_ticks(), ordering: .relaxed)
        var triesLeft = Self.copiesMax
        while true {
            let transaction = visible
            snapshot(slot).pointee.store(transaction, ordering: .sequentiallyConsistent)
            copyMeta(transaction, to: bytes)
            if visible == transaction { return transaction }
            triesLeft -= 1
            if triesLeft == 0 { return UInt64.max }
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

    /// The oldest snapshot that is being read; the newest commit if none is.
    func oldestSnapshot() -> UInt64 {
        var oldest = visible
        forEachReader { snapshot in oldest = min(oldest, snapshot) }
        return oldest
    }

    /// The states that may still be needed.
    ///
    /// The newest commit that readers can see comes first, then the snapshots that are being read: a reader
    /// that is missing among those sees that commit or a newer one. For a reader stores its snapshot and then
    /// looks whether that is still the newest visible commit. If its slot is read here before the store, its
    /// look comes after the look here, and `visible` only grows.
    func horizon() -> Horizon {
        let newest = visible
        var snapshots: [UInt64] = []
        forEachReader { snapshot in
            guard snapshot != Self.noSnapshot, snapshot != snapshots.last else { return }
            snapshots.append(snapshot)
        }
        // In this order: a checkpoint that ends in between is then seen as one or the other.
        let underWay = checkpointing
        let durable = checkpoint
        return Horizon(
            visible: newest, snapshots: snapshots,
            roots: (durable, underWay == 0 ? durable : underWay))
    }

    func readerCount() -> Int {
        var count = 0
        forEachReader { _ in count += 1 }
        return count
    }

    private var slotsInUse: Int {
        let used = slotsUsed.pointee.load(ordering: .sequentiallyConsistent)
        // Another process may have made the table larger.
        if used > UInt64(readers) { room.pointee.look() }
        return Int(min(used, UInt64(readers)))
    }

    private func forEachReader(_ body: (UInt64) -> Void) {
        for slot in 0..<slotsInUse
        where owner(slot).pointee.load(ordering: .sequentiallyConsistent) != 0 {
            body(snapshot(slot).pointee.load(ordering: .sequentiallyConsistent))
        }
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
        if freed > 0 { count(.readersReaped, UInt64(freed)) }
        return freed
    }
}
