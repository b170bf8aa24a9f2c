import Glibc

extension RepairWalk {
    /// What is to become of an entry of a leaf.
    enum Entry {
        case sound(RepairCounts)
        /// Its value field has been overwritten.
        case changed(RepairCounts)
        case lost(String)
    }

    /// Looks at the entries of a leaf.
    ///
    /// - Parameters:
    ///   - page: a copy of the page; entries that are lost are taken out of it.
    ///   - isCopied: whether it has to be written anew in any case.
    func leaf(
        _ page: Page, _ wanted: RepairPages.Wanted, _ range: Fences, _ tree: RepairTree,
        isCopied: Bool
    ) throws(DatabaseError) -> [RepairPiece] {
        var counts = RepairCounts()
        counts.leafPages = 1
        var isChanged = isCopied
        var lost: [Int] = []
        for index in 0..<page.count {
            guard let key = key(page, index) else {
                lost.append(index)
                continue
            }
            switch try entry(page, index, key, wanted, range, tree) {
            case .sound(let found): counts += found
            case .changed(let found):
                counts += found
                isChanged = true
            case .lost(let why):
                if case .values = tree.content {
                    lose(Fences(), tree, why)
                } else {
                    lose(key: key, tree, why)
                }
                lost.append(index)
            }
        }
        isChanged = isChanged || !lost.isEmpty
        guard phase == .rebuild || !isChanged else { return [] }
        for index in lost.reversed() { page.removeEntry(index) }
        guard page.count > 0, let first = key(page, 0), let last = key(page, page.count - 1)
        else { return [] }
        var reference = wanted.reference
        if isChanged {
            reference = try pages.append(page.base)
        } else if phase == .rebuild {
            keep(reference.number)
        }
        return [
            RepairPiece(
                low: range.low, reference: reference, counts: counts, first: first, last: last)
        ]
    }

    private func entry(
        _ page: Page, _ index: Int, _ key: [UInt8], _ wanted: RepairPages.Wanted,
        _ range: Fences, _ tree: RepairTree
    ) throws(DatabaseError) -> Entry {
        if case .values(let owner) = tree.content {
            guard let value = page.duplicate(index) else { return .lost("a value is damaged") }
            return .sound(Self.counts(ofPair: owner, value, tree))
        }
        guard let field = page.value(index), field.isPlausible else {
            return .lost("its entry is damaged")
        }
        let value = UnsafeRawBufferPointer(start: field.bytes, count: field.count)
        switch tree.content {
        case .catalog: return database(key, field, value)
        case .freeSpace: return freeEntry(key, field, value)
        case .pairs, .values: break
        }
        guard
            !tree.record.flags.contains(.integerKeys) || key.count == Int(tree.record.keyWidth)
        else { return .lost("the key has another size than those of the database") }
        if tree.record.flags.contains(.duplicates) {
            return try values(page, index, key, field, range, tree)
        }
        switch field.kind {
        case .inline: return .sound(Self.counts(ofEntry: key, value, tree))
        case .overflow: return try overflow(page, index, key, field, tree)
        case .inlineValues, .valueTree:
            return .lost("it has several values in a database without duplicates")
        }
    }

    private static func counts(
        ofPair key: [UInt8], _ value: UnsafeRawBufferPointer, _ tree: RepairTree
    ) -> RepairCounts {
        var counts = RepairCounts()
        counts.entries = 1
        counts.digest = key.withUnsafeBytes {
            ContentDigest(ofKey: $0, reversed: tree.record.flags.reversesKeys, value: value)
        }
        return counts
    }

    private static func counts(
        ofEntry key: [UInt8], _ value: UnsafeRawBufferPointer, _ tree: RepairTree
    ) -> RepairCounts {
        var counts = counts(ofPair: key, value, tree)
        counts.keys = 1
        return counts
    }

    // MARK: Catalog and free tree

    private func database(
        _ name: [UInt8], _ field: Page.ValueField, _ value: UnsafeRawBufferPointer
    ) -> Entry {
        guard field.kind == .inline, value.count == TreeRecord.size,
            case let record = TreeRecord(at: UnsafeRawPointer(field.bytes)), record.isPlausible
        else { return .lost("the record of the database of that name is impossible") }
        databases.append((name, record))
        var counts = RepairCounts()
        counts.entries = 1
        counts.digest = name.withUnsafeBytes { ContentDigest(ofDatabase: $0, record) }
        return .sound(counts)
    }

    private func freeEntry(
        _ key: [UInt8], _ field: Page.ValueField, _ value: UnsafeRawBufferPointer
    ) -> Entry {
        guard field.kind == .inline,
            let entry = key.withUnsafeBytes({ FreeTreeEntry(key: $0, value: value) }),
            entry.isPlausible(pageCount: meta.pageCount, transaction: meta.transaction)
        else { return .lost("it is no entry of the free tree") }
        switch entry {
        case .available(let region):
            freeCounts.available += region.count
            freeRuns += region.runs
        case .freed(let freed):
            let count = freed.runs.reduce(0) { $0 + $1.count }
            freeCounts.pending += count
            if freed.key.holder == nil { freeCounts.young += count }
            freeRuns += freed.runs
        }
        var counts = RepairCounts()
        counts.entries = 1
        return .sound(counts)
    }

    // MARK: Overflow runs

    /// A value in an overflow run: the hash in the entry proves it, whatever else is damaged.
    private func overflow(
        _ page: Page, _ index: Int, _ key: [UInt8], _ field: Page.ValueField, _ tree: RepairTree
    ) throws(DatabaseError) -> Entry {
        var pointer = OverflowPointer(at: field.bytes)
        let number = pointer.reference.number
        guard pointer.length <= UInt64(Format.valueSizeMax) else {
            return .lost("the length of its value is impossible")
        }
        let count = OverflowPointer.pageCount(length: pointer.length, pageSize: pages.pageSize)
        let isFresh =
            phase == .survey ? claimRun(number, count, tree.id) : isUnused(number, count: count)
        guard isFresh || count <= overflowPagesLeft else { return .lost("its value is another's") }
        overflowPagesLeft -= isFresh ? 0 : count
        let length = Page.headerSize + Int(pointer.length)
        guard let memory = malloc(length) else {
            throw DatabaseError(systemError: ENOMEM, "read a value of \(pointer.length) bytes")
        }
        defer { Glibc.free(memory) }
        var counts = RepairCounts()
        let isSound = loadRun(pointer, length, memory) { value in
            counts = Self.counts(ofEntry: key, value, tree)
            return counts.digest == pointer.digest
        }
        guard let isSound else { return .lost("its value, in page \(number), is damaged") }
        counts.overflowPages = count
        if isSound, isFresh {
            if phase == .rebuild { keep(number, count: count) }
            return .sound(counts)
        }
        noteDamage()
        guard phase == .rebuild else { return .lost("") }
        let value = UnsafeRawBufferPointer(
            start: memory + Page.headerSize, count: Int(pointer.length))
        pointer.reference = try pages.append(value: value)
        overwrite(page, index, .overflow, OverflowPointer.size) { pointer.store(to: $0) }
        return .changed(counts)
    }

    /// Reads a run until it has the right value: from the file, with a flipped bit put right, or
    /// from the copy of the environment.
    ///
    /// - Returns: whether it is sound as it is; nil if it cannot be had.
    private func loadRun(
        _ pointer: OverflowPointer, _ length: Int, _ memory: UnsafeMutableRawPointer,
        _ isRight: (UnsafeRawBufferPointer) -> Bool
    ) -> Bool? {
        let number = pointer.reference.number
        let value = UnsafeRawBufferPointer(
            start: memory + Page.headerSize, count: length - Page.headerSize)
        for source in [nil, pages.source] as [(any StorageFile)?] {
            guard pages.read(number, length, into: memory, from: source) else { continue }
            if isRight(value) {
                return source == nil && isRunHeaderRight(pointer, length, memory)
            }
            if source == nil, pages.mend(number, memory, length: length), isRight(value) {
                return false
            }
        }
        return nil
    }

    private func isRunHeaderRight(
        _ pointer: OverflowPointer, _ length: Int, _ memory: UnsafeMutableRawPointer
    ) -> Bool {
        let page = Page(memory, size: pages.pageSize)
        let stored: UInt64 = memory.littleEndian(Format.OverflowHeader.length)
        let encoding: UInt16 = memory.littleEndian(Format.OverflowHeader.encoding)
        return pages.hasChecksum(memory, length) && page.number == pointer.reference.number
            && UInt16(truncatingIfNeeded: page.transaction) == pointer.reference.transactionTag
            && page.kind == .overflow && stored == pointer.length && encoding == 0
    }

    /// Claims the pages of a run.
    ///
    /// - Returns: whether nothing has claimed one of them before.
    private func claimRun(_ number: UInt64, _ count: UInt64, _ id: UInt32) -> Bool {
        guard isInside(number), count <= limit - number else { return false }
        var isFresh = true
        for page in number..<(number + count) where !claim(page, id) { isFresh = false }
        return isFresh
    }

    private func overwrite(
        _ page: Page, _ index: Int, _ kind: ValueKind, _ size: Int,
        _ store: (UnsafeMutableRawPointer) -> Void
    ) {
        withUnsafeTemporaryAllocation(byteCount: size, alignment: 8) { buffer in
            guard let start = buffer.baseAddress else { return }
            store(start)
            _ = page.overwriteValue(
                index,
                with: LeafValue(
                    kind: kind, bytes: UnsafeRawBufferPointer(start: start, count: size)))
        }
    }

    // MARK: Several values

    private func values(
        _ page: Page, _ index: Int, _ key: [UInt8], _ field: Page.ValueField, _ range: Fences,
        _ tree: RepairTree
    ) throws(DatabaseError) -> Entry {
        let value = UnsafeRawBufferPointer(start: field.bytes, count: field.count)
        let isFixedSize = tree.record.flags.contains(.fixedSizeDuplicates)
        let width = isFixedSize ? Int(tree.record.valueWidth) : 0
        let sizes = isFixedSize ? width...width : 0...Format.keySizeMax(pageSize: page.size)
        switch field.kind {
        case .inline:
            guard sizes.contains(value.count) else {
                return .lost("its value has an impossible size")
            }
            return .sound(Self.counts(ofEntry: key, value, tree))
        case .overflow: return .lost("its value is in an overflow run, with duplicates")
        case .inlineValues:
            guard let counts = inlineValues(key, value, width: width, sizes: sizes, tree) else {
                return .lost("its values are impossible")
            }
            return .sound(counts)
        case .valueTree: return try valueTree(page, index, key, field, range, tree)
        }
    }

    private func inlineValues(
        _ key: [UInt8], _ field: UnsafeRawBufferPointer, width: Int, sizes: ClosedRange<Int>,
        _ tree: RepairTree
    ) -> RepairCounts? {
        guard let values = InlineValues(field), values.width == width, values.count > 1 else {
            return nil
        }
        var counts = RepairCounts()
        var previous: UnsafeRawBufferPointer?
        for index in 0..<values.count {
            guard let value = values.duplicate(index), sizes.contains(value.count) else {
                return nil
            }
            if let previous,
                KeyOrder.compare(previous, value, reversed: tree.record.flags.reversesValues) >= 0
            {
                return nil
            }
            previous = value
            counts += Self.counts(ofPair: key, value, tree)
        }
        counts.keys = 1
        return counts
    }

    private func valueTree(
        _ page: Page, _ index: Int, _ key: [UInt8], _ field: Page.ValueField, _ range: Fences,
        _ database: RepairTree
    ) throws(DatabaseError) -> Entry {
        var record = ValueTree(at: field.bytes)
        let tree = RepairTree(values: record, of: key, in: database)
        let root = RepairPages.Wanted(
            reference: record.root, level: Int(record.depth) - 1,
            layout: tree.layout(level: Int(record.depth) - 1), parent: page.transaction)
        let found = try rebuild(
            tree, root, expected: record.digest, isNamed: range.isNamed)
        var counts = found.counts
        counts.keys = 1
        guard let reference = found.root else {
            return .lost("its values are lost")
        }
        let isSame =
            reference == record.root && found.depth == Int(record.depth)
            && counts.entries == record.entries && counts.branchPages == record.branchPages
            && counts.leafPages == record.leafPages && counts.digest == record.digest
        if isSame { return .sound(counts) }
        noteDamage()
        guard phase == .rebuild else { return .lost("") }
        record.root = reference
        record.depth = UInt8(truncatingIfNeeded: found.depth)
        record.entries = counts.entries
        record.branchPages = counts.branchPages
        record.leafPages = counts.leafPages
        record.digest = counts.digest
        overwrite(page, index, .valueTree, ValueTree.size) { record.store(to: $0) }
        return .changed(counts)
    }
}
