/// The pages no transaction needs, kept in a tree of their own with three kinds of entry:
///
/// - **pending** `00 | transaction u64 | sequence u32` → runs that transaction freed. Readers of
///   the snapshots before it may still need them, and so may the durable root.
/// - **young** `01 | transaction u64 | sequence u32` → the oldest writer of these pages, and runs
///   that were written after the durable root and freed again: only readers can need them.
/// - **available** `02 | first page u64` → a number of pages that nobody needs.
///
/// (Numbers in keys are big-endian, so that they sort.) A page written by transaction `b` and
/// freed by `t` belongs to the snapshots from `b` to before `t`. It becomes available when no
/// reader's and no durable snapshot is among those (invariant 1), and only as many pages at a
/// time as are wanted, so that a commit's work does not grow with the amount of free space. Available
/// runs are coalesced and handed out by next fit: a commit's pages lie next to each other, and
/// so do the changes to this tree.
struct FreeSpace {
    private let writer: TreeWriter
    private let meta: UnsafeMutablePointer<Meta>
    private let pagesMax: UInt64
    /// A key and a value on their way into the tree.
    private let buffer: UnsafeMutableRawPointer
    private var sequence: UInt32 = 0

    private static let pendingTag: UInt8 = 0
    private static let youngTag: UInt8 = 1
    private static let availableTag: UInt8 = 2
    /// Runs in one pending entry: few enough that the entry stays inside any leaf.
    private static let runsPerEntry = 100
    /// A run in a pending entry: 48 bits of page number, 16 of length.
    private static let runSize = 8
    private static let runLengthMax: UInt64 = 0xffff
    /// How many available runs a search for a long one looks at before it extends the file.
    private static let searchMax = 512
    private static let valueOffset = 16
    /// What a young entry has in front of its runs.
    private static let birthSize = 8

    enum Entry {
        /// `birth` is nil for pages that the durable root may need.
        case pending(transaction: UInt64, sequence: UInt32, birth: UInt64?, runs: [PageRun])
        case available(PageRun)
    }

    /// - Parameter meta: the state being made; its counts and page count are kept up to date.
    init(writer: TreeWriter, meta: UnsafeMutablePointer<Meta>, pagesMax: UInt64) {
        self.writer = writer
        self.meta = meta
        self.pagesMax = pagesMax
        buffer = .allocate(
            byteCount: Self.valueOffset + Self.birthSize + Self.runsPerEntry * Self.runSize,
            alignment: 8)
    }

    func deallocate() { buffer.deallocate() }

    private var source: PageSource { writer.source }
    private var path: Path { writer.path }

    // MARK: Entries

    private func pendingKey(
        _ transaction: UInt64, _ sequence: UInt32, isYoung: Bool
    ) -> KeyBytes {
        buffer.storeBytes(of: isYoung ? Self.youngTag : Self.pendingTag, as: UInt8.self)
        buffer.storeBytes(of: transaction.bigEndian, toByteOffset: 1, as: UInt64.self)
        buffer.storeBytes(of: sequence.bigEndian, toByteOffset: 9, as: UInt32.self)
        return KeyBytes(start: buffer, count: 13)
    }

    private func availableKey(_ start: UInt64) -> KeyBytes {
        buffer.storeBytes(of: Self.availableTag, as: UInt8.self)
        buffer.storeBytes(of: start.bigEndian, toByteOffset: 1, as: UInt64.self)
        return KeyBytes(start: buffer, count: 9)
    }

    /// Reads an entry of the free-space tree.
    ///
    /// - Returns: nil if it is not one.
    static func parse(key: KeyBytes, value: UnsafeRawBufferPointer) -> Entry? {
        guard let keyStart = key.baseAddress, let valueStart = value.baseAddress, key.count >= 9
        else { return nil }
        let number = UInt64(bigEndian: keyStart.loadUnaligned(fromByteOffset: 1, as: UInt64.self))
        switch (key[0], key.count) {
        case (availableTag, 9):
            guard value.count == 8 else { return nil }
            let count: UInt64 = valueStart.littleEndian(0)
            // Beyond this the sums of pages would not hold.
            guard number < PageReference.numberLimit, count < PageReference.numberLimit else {
                return nil
            }
            return .available(PageRun(start: number, count: count))
        case (pendingTag, 13), (youngTag, 13):
            let isYoung = key[0] == youngTag
            guard value.count % runSize == 0, value.count >= runSize || !isYoung else {
                return nil
            }
            let sequence = UInt32(
                bigEndian: keyStart.loadUnaligned(fromByteOffset: 9, as: UInt32.self))
            var runs: [PageRun] = []
            runs.reserveCapacity(value.count / runSize)
            let first = isYoung ? birthSize : 0
            for offset in stride(from: first, to: value.count, by: runSize) {
                let word: UInt64 = valueStart.littleEndian(offset)
                runs.append(PageRun(start: word & PageReference.numberMask, count: word >> 48))
            }
            return .pending(
                transaction: number, sequence: sequence,
                birth: isYoung ? valueStart.littleEndian(0) : nil, runs: runs)
        default: return nil
        }
    }

    /// The entry a path ends at.
    private func entry(at path: Path) throws(DatabaseError) -> Entry {
        let step = path[writer.tree.pointee.depth - 1]
        let leaf = Page(step.page, size: source.pageSize)
        let keyBuffer = writer.write.pointee.scratch.firstKey
        let length = leaf.copyKey(step.index, to: keyBuffer)
        guard length > 0 else { throw source.broken(leaf) }
        let value = try TreeRead.value(source, leaf, step.index, writer.tree.pointee.record)
        guard
            let entry = Self.parse(key: KeyBytes(start: keyBuffer, count: length), value: value)
        else {
            throw source.corrupted(leaf.number, "page", "it holds an unknown free-space entry")
        }
        return entry
    }

    private func entry(atOrAfter key: KeyBytes) throws(DatabaseError) -> Entry? {
        let tree = writer.tree.pointee
        guard tree.depth > 0 else { return nil }
        let position = try TreeRead.descend(source, tree, to: key, path: path)
        let leaf = Page(path[tree.depth - 1].page, size: source.pageSize)
        if position.index >= leaf.count {
            guard try TreeRead.moveToNeighbor(source, tree, forward: true, path: path) else {
                return nil
            }
        }
        return try entry(at: path)
    }

    /// The first available run that starts at or after a page.
    private func available(atOrAfter start: UInt64) throws(DatabaseError) -> PageRun? {
        guard case .available(let run) = try entry(atOrAfter: availableKey(start)) else {
            return nil
        }
        return run
    }

    /// The last available run that starts before a page.
    private func available(before start: UInt64) throws(DatabaseError) -> PageRun? {
        let tree = writer.tree.pointee
        guard tree.depth > 0 else { return nil }
        let position = try TreeRead.descend(source, tree, to: availableKey(start), path: path)
        if position.index > 0 {
            path[tree.depth - 1].index = position.index - 1
        } else if try !TreeRead.moveToNeighbor(source, tree, forward: false, path: path) {
            return nil
        }
        guard case .available(let run) = try entry(at: path) else { return nil }
        return run
    }

    private func putAvailable(_ run: PageRun) throws(DatabaseError) {
        let key = availableKey(run.start)
        (buffer + Self.valueOffset).storeLittleEndian(run.count, at: 0)
        _ = try writer.put(
            key, UnsafeRawBufferPointer(start: buffer + Self.valueOffset, count: 8),
            mode: .overwrite)
    }

    private func deleteAvailable(_ start: UInt64) throws(DatabaseError) {
        _ = try writer.delete(availableKey(start))
    }

    private func impossible(_ run: PageRun, _ problem: String) -> DatabaseError {
        DatabaseError(
            .corrupted, page: run.start,
            "corrupted free space: pages \(run.start) to \(run.end &- 1) \(problem); run "
                + "zerodb-check")
    }

    /// Adds a run, joined with its neighbours.
    private func insert(_ run: PageRun) throws(DatabaseError) {
        var run = run
        let pageCount = meta.pointee.pageCount
        guard run.start >= Format.metaPageCount, run.count > 0, run.count <= pageCount,
            run.start <= pageCount - run.count
        else { throw impossible(run, "are outside the file") }
        if let next = try available(atOrAfter: run.start) {
            guard next.start >= run.end else { throw impossible(next, "are free twice") }
            if next.start == run.end {
                try deleteAvailable(next.start)
                run.count += next.count
            }
        }
        if let before = try available(before: run.start) {
            guard before.end <= run.start else { throw impossible(before, "are free twice") }
            if before.end == run.start {
                run = PageRun(start: before.start, count: before.count + run.count)
            }
        }
        try putAvailable(run)
    }

    // MARK: Pending

    /// Records runs that this transaction freed.
    ///
    /// - Parameter birth: the oldest writer of young pages; nil for pages that the durable root
    ///   may need.
    mutating func recordPending(
        _ runs: ArraySlice<PageRun>, birth: UInt64?
    ) throws(DatabaseError) {
        let start = buffer + (Self.valueOffset + (birth == nil ? 0 : Self.birthSize))
        var count = 0
        for run in runs {
            var rest = run
            while rest.count > 0 {
                let length = min(rest.count, Self.runLengthMax)
                start.storeLittleEndian(length << 48 | rest.start, at: count * Self.runSize)
                rest = PageRun(start: rest.start + length, count: rest.count - length)
                meta.pointee.pendingPages += length
                if birth != nil {
                    meta.pointee.youngPages += length
                } else {
                    meta.pointee.pinnedTotal &+= length
                }
                count += 1
                if count == Self.runsPerEntry {
                    try putPending(writer.transaction, count, birth: birth)
                    count = 0
                }
            }
        }
        if count > 0 { try putPending(writer.transaction, count, birth: birth) }
    }

    /// Puts an entry whose runs are in the buffer.
    private mutating func putPending(
        _ transaction: UInt64, _ count: Int, birth: UInt64?
    ) throws(DatabaseError) {
        let key = pendingKey(transaction, sequence, isYoung: birth != nil)
        sequence += 1
        var size = count * Self.runSize
        if let birth {
            (buffer + Self.valueOffset).storeLittleEndian(birth, at: 0)
            size += Self.birthSize
        }
        _ = try writer.put(
            key, UnsafeRawBufferPointer(start: buffer + Self.valueOffset, count: size),
            mode: .overwrite)
    }

    /// What may still need freed pages.
    struct Horizon {
        /// The oldest snapshot anybody reads.
        var oldestReader: UInt64
        /// The commits that may be the durable root.
        var roots: (UInt64, UInt64)

        /// Whether pages freed by `transaction` are needed by nobody.
        ///
        /// - Parameter birth: the oldest writer of them; nil if unknown, and then old.
        func allows(transaction: UInt64, birth: UInt64?) -> Bool {
            guard transaction <= oldestReader else { return false }
            return clears(roots.0, transaction, birth) && clears(roots.1, transaction, birth)
        }

        /// Whether a root is after the pages were freed, or before they were written.
        func clears(_ root: UInt64, _ transaction: UInt64, _ birth: UInt64?) -> Bool {
            if root >= transaction { return true }
            guard let birth else { return false }
            return root < birth
        }
    }

    /// Moves pending runs to available space until `wanted` pages are there.
    mutating func mature(_ horizon: Horizon, wanted: UInt64) throws(DatabaseError) {
        for isYoung in [true, false] {
            while meta.pointee.availablePages < wanted {
                guard
                    case .pending(let transaction, let sequence, let birth, let runs) =
                        try entry(atOrAfter: pendingKey(0, 0, isYoung: isYoung)),
                    (birth != nil) == isYoung, transaction <= horizon.oldestReader
                else { break }
                if horizon.allows(transaction: transaction, birth: birth) {
                    try release(transaction, sequence, isYoung: isYoung, runs)
                } else if isYoung {
                    // A checkpoint has come between the writing and the freeing of these pages:
                    // they wait for the next like all others, and hold up none behind them.
                    try makeOld(transaction, sequence, runs)
                } else {
                    break
                }
            }
        }
    }

    private mutating func release(
        _ transaction: UInt64, _ sequence: UInt32, isYoung: Bool, _ runs: [PageRun]
    ) throws(DatabaseError) {
        _ = try writer.delete(pendingKey(transaction, sequence, isYoung: isYoung))
        for run in runs {
            try insert(run)
            try countPending(run, isYoung: isYoung)
            meta.pointee.pendingPages -= run.count
            meta.pointee.availablePages += run.count
        }
    }

    private mutating func makeOld(
        _ transaction: UInt64, _ sequence: UInt32, _ runs: [PageRun]
    ) throws(DatabaseError) {
        _ = try writer.delete(pendingKey(transaction, sequence, isYoung: true))
        let start = buffer + Self.valueOffset
        for (index, run) in runs.enumerated() {
            try countPending(run, isYoung: true)
            meta.pointee.pinnedTotal &+= run.count
            start.storeLittleEndian(run.count << 48 | run.start, at: index * Self.runSize)
        }
        // The sequence is the one of the young entry: a transaction numbers both kinds together.
        let key = pendingKey(transaction, sequence, isYoung: false)
        _ = try writer.put(
            key, UnsafeRawBufferPointer(start: start, count: runs.count * Self.runSize),
            mode: .overwrite)
    }

    /// Checks and takes back the counts of pending pages.
    private func countPending(_ run: PageRun, isYoung: Bool) throws(DatabaseError) {
        guard meta.pointee.pendingPages >= run.count,
            !isYoung || meta.pointee.youngPages >= run.count
        else { throw impossible(run, "are more than the meta page counts") }
        if isYoung { meta.pointee.youngPages -= run.count }
    }

    // MARK: Allocation

    /// Takes single pages: available ones next to the last that were taken, then new ones at the
    /// end of the file.
    ///
    /// - Throws: `full`.
    func take(_ count: UInt64) throws(DatabaseError) -> [PageRun] {
        var needed = count
        var taken: [PageRun] = []
        while needed > 0 {
            var run = try available(atOrAfter: meta.pointee.allocationCursor)
            if run == nil { run = try available(atOrAfter: 0) }
            guard let run else { break }
            let length = min(run.count, needed)
            try remove(length, from: run)
            taken.append(PageRun(start: run.start, count: length))
            needed -= length
        }
        if needed > 0 { taken.append(try extendFile(by: needed)) }
        return taken
    }

    /// Takes pages that follow one another. Where available space has no such run, more of the
    /// pending is made available and joined with it before the file grows.
    ///
    /// - Throws: `full`.
    mutating func takeRun(of count: UInt64, _ horizon: Horizon) throws(DatabaseError) -> PageRun {
        var more = max(count * 4, 64)
        while true {
            if let run = try findAnywhere(count) {
                try remove(count, from: run)
                return PageRun(start: run.start, count: count)
            }
            let before = meta.pointee.availablePages
            try mature(horizon, wanted: before + more)
            guard meta.pointee.availablePages > before else { return try extendFile(by: count) }
            more *= 4
        }
    }

    private func findAnywhere(_ count: UInt64) throws(DatabaseError) -> PageRun? {
        guard meta.pointee.availablePages >= count else { return nil }
        if let run = try find(count, from: meta.pointee.allocationCursor) { return run }
        return try find(count, from: 0)
    }

    private func find(_ count: UInt64, from start: UInt64) throws(DatabaseError) -> PageRun? {
        guard try available(atOrAfter: start) != nil else { return nil }
        let tree = writer.tree.pointee
        for _ in 0..<Self.searchMax {
            guard case .available(let run) = try entry(at: path) else { return nil }
            if run.count >= count { return run }
            // The next search goes on from here: in time all runs are looked at.
            meta.pointee.allocationCursor = run.end
            let step = tree.depth - 1
            if path[step].index + 1 < Page(path[step].page, size: source.pageSize).count {
                path[step].index += 1
            } else if try !TreeRead.moveToNeighbor(source, tree, forward: true, path: path) {
                return nil
            }
        }
        return nil
    }

    private func remove(_ count: UInt64, from run: PageRun) throws(DatabaseError) {
        guard run.start >= Format.metaPageCount, run.count <= meta.pointee.pageCount,
            run.start <= meta.pointee.pageCount - run.count,
            meta.pointee.availablePages >= count
        else { throw impossible(run, "cannot be free") }
        try deleteAvailable(run.start)
        if run.count > count {
            try putAvailable(PageRun(start: run.start + count, count: run.count - count))
        }
        meta.pointee.availablePages -= count
        meta.pointee.allocationCursor = run.start + count
    }

    private func extendFile(by count: UInt64) throws(DatabaseError) -> PageRun {
        let start = meta.pointee.pageCount
        guard start <= pagesMax, count <= pagesMax - start else {
            throw DatabaseError(
                .full,
                "the transaction needs \(count) new pages of \(source.pageSize) bytes, but the "
                    + "environment has \(start) of the \(pagesMax) that max_size allows; open it "
                    + "with a larger max_size")
        }
        meta.pointee.pageCount = start + count
        return PageRun(start: start, count: count)
    }
}
