import Glibc
import Synchronization

/// The newest commits, and how far they are durable.
extension SharedState {
    @inline(__always)
    var visible: UInt64 { self[Layout.visible] }

    /// The newest commit, which the next writer starts from.
    var tip: UInt64 { self[Layout.tip] }

    /// About how many pages the newest commit's state has. Nothing is checked.
    var roughPageCount: UInt64 {
        let word = ringEntry(tip)[Meta.pageCountOffset / 8].load(ordering: .relaxed)
        return UInt64(littleEndian: word)
    }

    /// The commit that the newest durable meta page holds.
    var checkpoint: UInt64 {
        get { self[Layout.checkpoint] }
        nonmutating set { self[Layout.checkpoint] = newValue }
    }

    /// A commit whose meta page is being written: after a crash it may be the durable one. 0 if
    /// none is; stays if the process that was writing it died.
    var checkpointing: UInt64 {
        get { self[Layout.checkpointing] }
        nonmutating set { self[Layout.checkpointing] = newValue }
    }

    /// Which meta page holds `checkpoint`.
    var metaPage: UInt64 {
        get { self[Layout.metaPage] }
        nonmutating set { self[Layout.metaPage] = newValue }
    }

    /// Where the log goes on after `checkpoint`.
    var checkpointLogEnd: UInt64 {
        get { self[Layout.checkpointLogEnd] }
        nonmutating set { self[Layout.checkpointLogEnd] = newValue }
    }

    /// How many pages `checkpoint` counts as ever pinned.
    var checkpointPinnedTotal: UInt64 {
        get { self[Layout.checkpointPinnedTotal] }
        nonmutating set { self[Layout.checkpointPinnedTotal] = newValue }
    }

    /// Marks that all is closed and the meta page of this commit durable. Good as long as the
    /// page cache lives, which is all it is for: after a reboot what is read is durable anyway.
    ///
    /// While the machine is not started anew, the mark also says that nothing was written to the log after
    /// the commit. A power cut can bring back an old mark, but not with the same `boot`.
    func markClean(_ transaction: UInt64, boot: UInt64) {
        self[Layout.cleanBoot] = boot
        self[Layout.clean] = transaction &+ 1
    }

    /// Says that somebody may write again.
    func clearCleanMark() { self[Layout.clean] = 0 }

    /// Whether the meta page of `checkpoint` is known to be on disk, not just in the page cache.
    var isRootConfirmed: Bool {
        get { self[Layout.isRootConfirmed] != 0 }
        nonmutating set { self[Layout.isRootConfirmed] = newValue ? 1 : 0 }
    }

    /// The newest commit that has no log record: none after it may have one before a checkpoint
    /// has made it durable, as a replay would lack it.
    var unlogged: UInt64 {
        get { self[Layout.unlogged] }
        nonmutating set { self[Layout.unlogged] = newValue }
    }

    /// The log is on disk up to here.
    var flushed: UInt64 { self[Layout.flushed] }

    func raiseFlushed(to position: UInt64) { raise(word(Layout.flushed), to: position) }

    /// Makes a commit and those before it visible to new readers.
    func raiseVisible(to transaction: UInt64) { raise(word(Layout.visible), to: transaction) }

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
        get {
            let error = word(Layout.poison).pointee.load(ordering: .relaxed)
            if error == 0 { return 0 }
            // No system has larger numbers: what is there was not put there by `newValue`.
            return error <= 4095 ? Int32(truncatingIfNeeded: error) : EIO
        }
        nonmutating set {
            word(Layout.poison).pointee.store(
                UInt64(UInt32(bitPattern: newValue)), ordering: .sequentiallyConsistent)
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
            for index in 0..<(Meta.usedSize / 8) {
                entry[index].store(
                    bytes.load(fromByteOffset: index * 8, as: UInt64.self), ordering: .relaxed)
            }
        }
        word(Layout.tip).pointee.store(meta.transaction, ordering: .sequentiallyConsistent)
    }

    @inline(__always)
    private func freeListEntry(_ transaction: UInt64) -> UnsafeMutablePointer<Atomic<UInt64>> {
        word(Layout.freeLists + Int(transaction % Layout.ringEntries) * FreeList.size)
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
    ///
    /// - Parameter meta: the newest commit's record.
    /// - Throws: `corrupted` if it cannot be that.
    func copyTipFreeList(to freeList: FreeList, of meta: Meta) throws(DatabaseError) {
        copyFreeList(meta.transaction, to: freeList)
        try check(freeList, of: meta)
    }

    /// Copies the free list of a commit.
    ///
    /// - Parameter meta: the commit's record.
    /// - Returns: false if it is too old to be known.
    /// - Throws: `corrupted` if it cannot be that.
    func copyFreeList(of meta: Meta, to freeList: FreeList) throws(DatabaseError) -> Bool {
        copyFreeList(meta.transaction, to: freeList)
        guard isInRing(meta.transaction) else { return false }
        try check(freeList, of: meta)
        return true
    }

    private func check(_ freeList: FreeList, of meta: Meta) throws(DatabaseError) {
        guard freeList.isUsable(pageCount: meta.pageCount, transaction: meta.transaction),
            freeList.availablePages == UInt64(meta.freeListAvailable),
            freeList.pendingPages == UInt64(meta.freeListPending)
        else {
            freeList.clear()
            throw Self.damaged("the free list of transaction \(meta.transaction) cannot be")
        }
    }

    /// Whether the entry of a commit has not been overwritten. The commit that does so does it before it
    /// is the tip.
    private func isInRing(_ transaction: UInt64) -> Bool {
        tip &- transaction < Layout.ringEntries - 1
    }

    @inline(__always)
    private func ringEntry(_ transaction: UInt64) -> UnsafeMutablePointer<Atomic<UInt64>> {
        let index = Int(transaction % Layout.ringEntries)
        return word(Layout.metas + index * Layout.metaSize)
    }

    /// Copies the meta record of a commit without the zeros at its end; only good if `visible` is still
    /// the same afterwards.
    @inline(__always)
    func copyMeta(_ transaction: UInt64, to bytes: UnsafeMutableRawPointer) {
        let entry = ringEntry(transaction)
        for index in 0..<(Meta.usedSize / 8) {
            bytes.storeBytes(
                of: entry[index].load(ordering: .relaxed), toByteOffset: index * 8, as: UInt64.self)
        }
        // The loads above stay before the load that says whether they were good.
        atomicMemoryFence(ordering: .acquiring)
    }

    /// How often a record is copied anew because it may have been overwritten meanwhile. That takes at
    /// least a commit each time: so many in a row are none.
    static let copiesMax = 10_000

    /// Copies the record of the newest commit.
    ///
    /// - Returns: it.
    /// - Throws: `corrupted` if what is there is none.
    @discardableResult
    func copyTipMeta(to bytes: UnsafeMutableRawPointer) throws(DatabaseError) -> Meta {
        for _ in 0..<Self.copiesMax {
            let transaction = tip
            copyMeta(transaction, to: bytes)
            if isInRing(transaction) { return try Self.meta(at: bytes, of: transaction) }
        }
        throw Self.damaged("its newest transaction is \(tip)")
    }

    /// The record of the newest commit.
    ///
    /// - Throws: `corrupted` if what is there is none.
    func tipMeta() throws(DatabaseError) -> Meta {
        try withMetaBytes { bytes throws(DatabaseError) in try copyTipMeta(to: bytes) }
    }

    /// The record of the newest visible commit.
    ///
    /// - Throws: `corrupted` if what is there is none.
    func visibleMeta() throws(DatabaseError) -> Meta {
        try withMetaBytes { bytes throws(DatabaseError) in
            for _ in 0..<Self.copiesMax {
                let transaction = visible
                copyMeta(transaction, to: bytes)
                if visible == transaction { return try Self.meta(at: bytes, of: transaction) }
            }
            throw Self.damaged("its newest visible transaction is \(visible)")
        }
    }

    /// Reads a record that was copied from the ring, and checks it as if it came from disk.
    static func meta(
        at bytes: UnsafeRawPointer, of transaction: UInt64
    ) throws(DatabaseError) -> Meta {
        do throws(Meta.Problem) {
            let meta = try Meta(at: bytes, page: nil)
            if meta.transaction == transaction { return meta }
        } catch {}
        throw damaged("the record of transaction \(transaction) does not check")
    }

    private func withMetaBytes(
        _ body: (UnsafeMutableRawPointer) throws(DatabaseError) -> Meta
    ) throws(DatabaseError) -> Meta {
        let bytes = UnsafeMutableRawPointer.allocate(byteCount: Meta.size, alignment: 8)
        defer { bytes.deallocate() }
        // What is copied to it leaves out the zeros at the end.
        memset(bytes, 0, Meta.size)
        return try body(bytes)
    }

    /// Marks the tip as a commit that may become the durable root, and copies its record. With
    /// the checkpoint's lock.
    ///
    /// A commit after it is published after the mark, as the tip is still the same then; so
    /// a writer that could reuse what that commit freed sees the mark.
    ///
    /// - Throws: `corrupted` if what is there is none.
    func beginCheckpoint(_ freeList: FreeList) throws(DatabaseError) -> Meta {
        try withMetaBytes { bytes throws(DatabaseError) in
            for _ in 0..<Self.copiesMax {
                let transaction = tip
                checkpointing = transaction
                copyMeta(transaction, to: bytes)
                copyFreeList(transaction, to: freeList)
                guard tip == transaction else { continue }
                let meta = try Self.meta(at: bytes, of: transaction)
                try check(freeList, of: meta)
                return meta
            }
            throw Self.damaged("its newest transaction is \(tip)")
        }
    }
}
