import Synchronization

/// How many reader slots `lock.zdb` has room for, as this process has seen by the file's length. What
/// the file says itself is shared memory, which a stray pointer of any program that has it open can
/// change: a slot behind the file's end must not be touched.
struct ReaderTableRoom: ~Copyable {
    private let slots = Atomic<Int>(0)
    /// nil if the table is this process's own.
    private let file: (any StorageFile)?
    private let slotsMax: Int

    /// - Parameter slotsMax: for which the map is long enough.
    init(_ file: (any StorageFile)?, slotsMax: Int) {
        self.file = file
        self.slotsMax = slotsMax
        if file == nil { slots.store(slotsMax, ordering: .relaxed) }
    }

    @inline(__always)
    var known: Int { slots.load(ordering: .relaxed) }

    /// Looks how long the file is now.
    ///
    /// - Returns: whether there are more slots than were known.
    @discardableResult
    @inline(never)
    func look() -> Bool {
        guard let size = try? file?.size(), size > UInt64(SharedState.Layout.readerSlots) else {
            return false
        }
        let room =
            (size - UInt64(SharedState.Layout.readerSlots))
            / UInt64(SharedState.Layout.readerSlotSize)
        let now = Int(min(room, UInt64(slotsMax)))
        // The file does not shrink; another thread may have seen it longer.
        return slots.max(now, ordering: .relaxed).oldValue < now
    }
}
