import Glibc

/// Copies the trees of a snapshot one behind the other, without free pages: what is below a page
/// lies in front of it, in the order of keys. The copy is an environment of its own.
///
/// Where each tree will end is known beforehand, from the counts of its record. So meta pages can
/// be written first, to a stream too, and a tree that has other pages than its record counts is
/// noticed.
final class CompactCopy {
    private let source: PageSource
    private let meta: Meta
    private let writer: CopyWriter
    private let monitor: CopyMonitor
    /// Of the copy.
    private(set) var copied: Meta
    private let seed: UInt64
    private var next = Format.metaPageCount
    /// Page numbers of the tree that is being copied are below.
    private var end = Format.metaPageCount
    /// The roots of the databases, by the order of the catalog.
    private var roots: [PageReference] = []
    private var rootsUsed = 0
    /// Pages on the way down.
    private var buffers: [UnsafeMutableRawPointer] = []
    private let part: UnsafeMutableRawBufferPointer
    private var partUsed = 0
    /// Pages written.
    private var written = Format.metaPageCount

    private static let partSize = 1 << 20

    /// A tree as it is walked.
    private struct Tree {
        var record: TreeRecord
        var leafLayout: PageLayout = []
        var branchLayout: PageLayout
        var isCatalog = false

        init(_ record: TreeRecord) {
            self.record = record
            branchLayout = record.flags.branchLayout
        }

        func layout(level: Int) -> PageLayout { level == 0 ? leafLayout : branchLayout }
    }

    init(
        _ source: PageSource, _ meta: Meta, _ writer: CopyWriter, _ monitor: CopyMonitor
    ) throws(DatabaseError) {
        self.source = source
        self.meta = meta
        self.writer = writer
        self.monitor = monitor
        copied = try Self.emptied(meta)
        seed = copied.checksumSeed
        part = try allocateBuffer(Self.partSize + source.pageSize, to: "copy the environment")
    }

    deinit {
        free(part.baseAddress)
        for buffer in buffers { buffer.deallocate() }
    }

    /// The record of a state without free pages, without a log, and with an id of its own.
    private static func emptied(_ meta: Meta) throws(DatabaseError) -> Meta {
        var copied = meta
        copied.environmentID = try MetaPages.newEnvironmentID()
        copied.availablePages = 0
        copied.pendingPages = 0
        copied.youngPages = 0
        copied.freeListAvailable = 0
        copied.freeListPending = 0
        copied.allocationCursor = 0
        copied.pinnedTotal = 0
        copied.free = TreeRecord()
        copied.logEnd = 0
        copied.logChecksum = 0
        copied.logSegment = 0
        copied.loggedTransaction = 0
        return copied
    }

    // MARK: Whole environment

    /// - Parameter judge: called before the end of the copy is written; throws if what was copied
    ///   is damaged.
    func run(
        _ judge: () throws(DatabaseError) -> Void
    ) throws(DatabaseError) {
        let databases = try namedDatabases()
        var place = Format.metaPageCount
        copied.main.root = try Self.plannedRoot(of: meta.main, behind: &place)
        for record in databases { roots.append(try Self.plannedRoot(of: record, behind: &place)) }
        copied.catalog.root = try Self.plannedRoot(of: meta.catalog, behind: &place)
        copied.pageCount = place
        let freeList = FreeList.allocate()
        defer { freeList.deallocate() }
        freeList.clear()
        try writer.writeMeta(copied, freeList)
        try copy(Tree(meta.main), to: copied.main.root)
        for (record, root) in zip(databases, roots) { try copy(Tree(record), to: root) }
        var catalog = Tree(meta.catalog)
        catalog.isCatalog = true
        try copy(catalog, to: copied.catalog.root)
        try judge()
        try flush()
        try writer.end(at: copied.pageCount << UInt64(source.pageShift))
        try monitor.tell(copied.pageCount, of: copied.pageCount, isLast: true)
    }

    private static func pages(_ record: TreeRecord) -> UInt64 {
        record.branchPages &+ record.leafPages &+ record.overflowPages
    }

    /// Where the root of a tree will be.
    private static func plannedRoot(
        of record: TreeRecord, behind place: inout UInt64
    ) throws(DatabaseError) -> PageReference {
        guard record.depth > 0 else { return .none }
        guard record.isPlausible, pages(record) < PageReference.numberLimit - place else {
            throw DatabaseError(
                .corrupted, page: record.root.number,
                "the record of a database counts \(pages(record)) pages; run zerodb-check")
        }
        place += pages(record)
        return PageReference(raw: record.root.raw & ~PageReference.numberMask | (place - 1))
    }

    /// The records of the named databases, in the order of their names.
    private func namedDatabases() throws(DatabaseError) -> [TreeRecord] {
        var found: [TreeRecord] = []
        guard meta.catalog.depth > 0 else { return found }
        try addRecords(
            below: meta.catalog.root, level: Int(meta.catalog.depth) - 1, to: &found)
        return found
    }

    private func addRecords(
        below reference: PageReference, level: Int, to found: inout [TreeRecord]
    ) throws(DatabaseError) {
        let page = try source.page(reference, level: level)
        guard page.slotsAreInBounds else { throw source.badEntry(page) }
        // A damaged catalog may lead to the same pages again and again.
        guard found.count + page.count <= meta.catalog.entries || level > 0 else {
            throw miscounted(Tree(meta.catalog))
        }
        for index in 0..<page.count {
            if level == 0 {
                found.append(try record(page, index))
            } else {
                try addRecords(below: page.child(index), level: level - 1, to: &found)
            }
        }
    }

    private func record(_ page: Page, _ index: Int) throws(DatabaseError) -> TreeRecord {
        guard let value = page.value(index), value.kind == .inline,
            value.count == TreeRecord.size,
            case let record = TreeRecord(at: UnsafeRawPointer(value.bytes)), record.isPlausible
        else {
            throw source.corrupted(page.number, "page", "the record of a database is impossible")
        }
        return record
    }

    // MARK: Trees

    private func copy(_ tree: Tree, to root: PageReference) throws(DatabaseError) {
        guard tree.record.depth > 0 else { return }
        end = next + Self.pages(tree.record)
        let found = try copy(tree, tree.record.root, level: Int(tree.record.depth) - 1, depth: 0)
        guard found == root, next == end else { throw miscounted(tree) }
    }

    private func miscounted(_ tree: Tree) -> DatabaseError {
        DatabaseError(
            .corrupted, page: tree.record.root.number,
            "the record of the tree with the root \(tree.record.root.number) counts other pages than "
                + "there are; run zerodb-check")
    }

    /// Copies what a reference leads to, behind all that is below.
    ///
    /// - Parameter depth: pages above, those of the tree around a value tree included.
    /// - Returns: the reference to the copy.
    private func copy(
        _ tree: Tree, _ reference: PageReference, level: Int, depth: Int
    ) throws(DatabaseError) -> PageReference {
        let page = try source.page(reference, level: level, layout: tree.layout(level: level))
        guard page.slotsAreInBounds else { throw source.badEntry(page) }
        let buffer = buffer(depth)
        memcpy(buffer, page.base, source.pageSize)
        let new = Page(buffer, size: source.pageSize)
        if level > 0 {
            for index in 0..<page.count {
                if index + 1 < page.count { source.prefetch(page.child(index + 1)) }
                new.setChild(
                    index,
                    try copy(tree, page.child(index), level: level - 1, depth: depth + 1))
            }
        } else if tree.isCatalog {
            try copyRecords(page, new)
        } else if !page.layout.contains(.valueLeaf) {
            try copyValues(tree, page, new, depth: depth)
        }
        return try append(new, tree, reference)
    }

    private func copyRecords(_ page: Page, _ new: Page) throws(DatabaseError) {
        for index in 0..<page.count {
            var record = try record(page, index)
            guard rootsUsed < roots.count, let value = new.value(index) else {
                throw source.badEntry(page)
            }
            record.root = roots[rootsUsed]
            rootsUsed += 1
            record.store(to: value.bytes)
        }
    }

    /// Copies what the entries of a leaf lead to.
    private func copyValues(
        _ tree: Tree, _ page: Page, _ new: Page, depth: Int
    ) throws(DatabaseError) {
        var index = page.firstIndirectValue(from: 0)
        while index < page.count {
            guard let value = page.value(index), value.isPlausible, let place = new.value(index)
            else { throw source.badEntry(page) }
            switch value.kind {
            case .inline, .inlineValues: break
            case .overflow:
                var pointer = OverflowPointer(at: value.bytes)
                pointer.reference = try copyRun(tree, pointer)
                pointer.store(to: place.bytes)
            case .valueTree:
                var values = ValueTree(at: value.bytes)
                let state = values.state(in: tree.record)
                var below = tree
                below.leafLayout = state.leafLayout
                values.root = try copy(
                    below, values.root, level: Int(values.depth) - 1, depth: depth + 1)
                values.store(to: place.bytes)
            }
            index = page.firstIndirectValue(from: index + 1)
        }
    }

    private func buffer(_ depth: Int) -> UnsafeMutableRawPointer {
        while buffers.count <= depth {
            buffers.append(.allocate(byteCount: source.pageSize, alignment: 64))
        }
        return buffers[depth]
    }

    // MARK: Pages of the copy

    /// Takes numbers.
    private func take(_ count: UInt64, _ tree: Tree) throws(DatabaseError) -> UInt64 {
        guard count <= end - next else { throw miscounted(tree) }
        defer { next += count }
        return next
    }

    private func append(
        _ page: Page, _ tree: Tree, _ reference: PageReference
    ) throws(DatabaseError) -> PageReference {
        let number = try take(1, tree)
        seal(page.base, length: source.pageSize, number)
        try put(UnsafeRawBufferPointer(start: page.base, count: source.pageSize))
        try monitor.tell(number, of: copied.pageCount)
        return PageReference(raw: reference.raw & ~PageReference.numberMask | number)
    }

    private func seal(_ start: UnsafeMutableRawPointer, length: Int, _ number: UInt64) {
        start.storeLittleEndian(number, at: Format.Header.number)
        start.storeLittleEndian(
            Checksum.ofPage(start, length: length, seed: seed), at: Format.Header.checksum)
    }

    private func copyRun(
        _ tree: Tree, _ pointer: OverflowPointer
    ) throws(DatabaseError) -> PageReference {
        let value = try source.overflow(pointer)
        let pages = OverflowPointer.pageCount(length: pointer.length, pageSize: source.pageSize)
        let number = try take(pages, tree)
        let length = Page.headerSize + value.count
        let run = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Int(pages) << source.pageShift, alignment: 64)
        defer { run.deallocate() }
        guard let start = run.baseAddress, let from = value.baseAddress else {
            throw source.outOfBounds(pointer.reference)
        }
        memcpy(start, from - Page.headerSize, length)
        memset(start + length, 0, run.count - length)
        seal(start, length: length, number)
        try put(UnsafeRawBufferPointer(run))
        return PageReference(
            raw: pointer.reference.raw & ~PageReference.numberMask | number)
    }

    private func put(_ bytes: UnsafeRawBufferPointer) throws(DatabaseError) {
        if bytes.count > part.count - partUsed { try flush() }
        guard bytes.count <= part.count else {
            try writer.write(bytes, at: written << UInt64(source.pageShift))
            written += UInt64(bytes.count >> source.pageShift)
            return
        }
        UnsafeMutableRawBufferPointer(rebasing: part[partUsed...]).copyMemory(from: bytes)
        partUsed += bytes.count
    }

    private func flush() throws(DatabaseError) {
        guard partUsed > 0 else { return }
        try writer.write(
            UnsafeRawBufferPointer(rebasing: part[..<partUsed]),
            at: written << UInt64(source.pageShift))
        written += UInt64(partUsed >> source.pageShift)
        partUsed = 0
    }
}
