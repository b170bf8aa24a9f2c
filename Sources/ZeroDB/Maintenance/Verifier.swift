import Synchronization

/// What a verification found.
public struct VerifyReport: Sendable, Equatable {
    /// Pages of the snapshot, meta pages included.
    public var pages: UInt64 = 0
    /// Branch and leaf pages reached through the trees.
    public var treePages: UInt64 = 0
    /// Pages reached through overflow runs.
    public var overflowPages: UInt64 = 0
    /// Free pages.
    public var freePages: UInt64 = 0
    /// Entries in the main and all named databases.
    public var entries: UInt64 = 0
    /// Named databases.
    public var databases: UInt64 = 0
    /// 0: the environment is sound.
    public var problems: UInt64 = 0
    /// Of the environment, counted anew from all its entries.
    public var digest = ContentDigest()
}

/// Proves that a snapshot is sound: checksums, structure, order of keys, counts, and that every
/// page is reachable from exactly one place (invariant 7). A read transaction like any other.
struct Verifier: ~Copyable {
    private let source: PageSource
    /// A byte map of its own: pages that the process fetched before may be lost since.
    private let fetched: UnsafeMutablePointer<UInt8>
    private let meta: Meta
    private let freeList: FreeList
    private var reached: PageBitmap
    private(set) var report = VerifyReport()
    private let onProblem: (UInt64?, String) -> Void
    private let onPages: (PageRun) -> Void
    private var keys: KeyStack
    /// Pages found free that had been reached before.
    private var namedTwice: UInt64 = 0
    /// The key, as its tree holds it, of the value tree that is being looked at.
    private var keyOfValues = KeyBytes(start: nil, count: 0)
    private var keyOfValuesIsReversed = false

    /// Counts of one tree, to compare with its record.
    private struct TreeCounts {
        var entries: UInt64 = 0
        var branchPages: UInt64 = 0
        var leafPages: UInt64 = 0
        var overflowPages: UInt64 = 0
        var keys: UInt64 = 0
        var digest = ContentDigest()
    }

    init(
        _ transaction: UnsafeMutablePointer<TransactionState>, _ freeList: FreeList,
        onProblem: @escaping (UInt64?, String) -> Void
    ) {
        self.init(
            transaction.pointee.source, transaction.pointee.meta, freeList, onProblem: onProblem)
    }

    /// - Parameters:
    ///   - meta: a state that stays as it is meanwhile.
    ///   - onPages: called for the pages of trees and overflow runs that are sound.
    init(
        _ known: PageSource, _ meta: Meta, _ freeList: FreeList,
        onPages: @escaping (PageRun) -> Void = { _ in },
        onProblem: @escaping (UInt64?, String) -> Void
    ) {
        // Full checks whatever the environment's mode: what was checked before may have changed.
        fetched = .allocate(capacity: Int(meta.pageCount))
        fetched.initialize(repeating: 0, count: Int(meta.pageCount))
        source = PageSource(
            map: known.map, pageSize: known.pageSize, pageShift: known.pageShift,
            seed: known.seed, mode: .full,
            verified: UnsafeMutableRawPointer(fetched).assumingMemoryBound(to: Atomic<UInt8>.self),
            pageCount: meta.pageCount, fetcher: known.fetcher, frames: nil)
        self.meta = meta
        self.onPages = onPages
        self.freeList = freeList
        reached = PageBitmap(count: meta.pageCount)
        keys = KeyStack(pageSize: known.pageSize)
        self.onProblem = onProblem
    }

    deinit {
        keys.deallocate()
        fetched.deallocate()
    }

    mutating func problem(_ page: UInt64?, _ message: String) {
        report.problems += 1
        onProblem(page, message)
    }

    // MARK: The whole snapshot

    mutating func run() {
        report.pages = meta.pageCount
        let problems = report.problems
        for page in 0..<Format.metaPageCount { _ = reached.insert(page) }
        verifyDatabase("the main database", name: KeyBytes(start: nil, count: 0), meta.main)
        verifyCatalog()
        // What is damaged otherwise has been told already.
        if report.digest != meta.digest, report.problems == problems {
            problem(
                nil,
                "the meta page gives the environment the digest \(meta.digest); its databases have "
                    + "\(report.digest)")
        }
        verifyFreeSpace()
        reportUnreached()
    }

    private mutating func verifyDatabase(
        _ description: String, name: KeyBytes, _ record: TreeRecord
    ) {
        let problems = report.problems
        var counted = record
        counted.digest = verifyTree(description, record) { _, _, _, _ in nil }
        if counted.digest != record.digest, report.problems == problems {
            problem(
                nil,
                "the record of \(description) has the digest \(record.digest); its entries have "
                    + "\(counted.digest): some are lost, or not what was put")
        }
        report.digest += ContentDigest(ofDatabase: name, counted)
        report.entries &+= record.entries
    }

    private mutating func verifyCatalog() {
        var databases: [([UInt8], TreeRecord)] = []
        verifyTree("the catalog", meta.catalog) { key, value, kind, _ in
            let name = String(decoding: key, as: UTF8.self)
            guard kind == .inline else {
                return "the record of database \"\(name)\" is in an overflow run"
            }
            guard value.count == TreeRecord.size, let start = value.baseAddress else {
                return "the record of database \"\(name)\" has \(value.count) bytes"
            }
            let record = TreeRecord(at: start)
            guard record.isPlausible else {
                return "the record of database \"\(name)\" is impossible"
            }
            databases.append((Array(key), record))
            return nil
        }
        for (name, record) in databases {
            report.databases += 1
            name.withUnsafeBytes {
                verifyDatabase(
                    "database \"\(String(decoding: name, as: UTF8.self))\"", name: $0, record)
            }
        }
    }

    private mutating func verifyFreeSpace() {
        var runs: [(PageRun, UInt64)] = []
        var available: UInt64 = 0
        var pending: UInt64 = 0
        var young: UInt64 = 0
        let transaction = meta.transaction
        verifyTree("the free tree", meta.free) { key, value, kind, page in
            guard kind == .inline else { return "an entry of the free tree is in an overflow run" }
            switch FreeTreeEntry(key: key, value: value) {
            case .available(let region):
                available &+= region.count
                for run in region.runs { runs.append((run, page)) }
            case .freed(let freed):
                if let problem = freed.problem(transaction: transaction) { return problem }
                for run in freed.runs {
                    pending &+= run.count
                    if freed.key.holder == nil { young &+= run.count }
                    runs.append((run, page))
                }
            case nil:
                return "it holds an unknown entry of the free tree"
            }
            return nil
        }
        for (run, page) in runs {
            markFree(run, namedBy: "page \(page) (leaf, the free tree)", page)
        }
        verifyFreeList()
        if available != meta.availablePages {
            problem(
                nil,
                "the meta page counts \(meta.availablePages) available pages; there are \(available)"
            )
        }
        if pending != meta.pendingPages {
            problem(
                nil, "the meta page counts \(meta.pendingPages) pending pages; there are \(pending)"
            )
        }
        if young != meta.youngPages {
            problem(nil, "the meta page counts \(meta.youngPages) young pages; there are \(young)")
        }
    }

    private mutating func verifyFreeList() {
        let place = "the free list"
        for run in freeList.availableRuns { markFree(run, namedBy: place, nil) }
        var pending: [PageRun] = []
        freeList.forEachPending { run, _ in pending.append(run) }
        for run in pending { markFree(run, namedBy: place, nil) }
        let counted = (UInt64(meta.freeListAvailable), UInt64(meta.freeListPending))
        if counted != (freeList.availablePages, freeList.pendingPages) {
            problem(
                nil,
                "the meta page counts \(counted.0) available and \(counted.1) pending pages in "
                    + "\(place); there are \(freeList.availablePages) and \(freeList.pendingPages)")
        }
    }

    private mutating func markFree(_ run: PageRun, namedBy place: String, _ page: UInt64?) {
        guard run.count > 0, run.count <= meta.pageCount, run.start >= Format.metaPageCount,
            run.start <= meta.pageCount - run.count
        else {
            problem(
                page,
                "\(place) names \(run.count) free pages from \(run.start), "
                    + "beyond the \(meta.pageCount) pages of the environment")
            return
        }
        for free in run.start..<run.end {
            if reached.insert(free) {
                report.freePages += 1
                continue
            }
            problem(free, "page \(free) is free and also reachable from another place")
            // Each page is named once by what is sound. Of what is not, so much will do: a few bytes
            // name 65535 pages, and can name the same ones as often as there is room in the file.
            namedTwice += 1
            guard namedTwice < meta.pageCount else { return }
        }
    }

    private mutating func reportUnreached() {
        var start: UInt64?
        for page in 0...meta.pageCount {
            let isLost = page < meta.pageCount && !reached.contains(page)
            if isLost, start == nil { start = page }
            if !isLost, let first = start {
                problem(
                    first,
                    page - first == 1
                        ? "page \(first) is reachable from nowhere"
                        : "pages \(first) to \(page - 1) are reachable from nowhere")
                start = nil
            }
        }
    }

    // MARK: A tree

    /// Looks at an entry of a leaf: key, value, how that is kept, page; returns what is wrong.
    private typealias EntryCheck = (KeyBytes, UnsafeRawBufferPointer, ValueKind, UInt64) -> String?

    /// - Returns: the digest of the entries that it finds.
    @discardableResult
    private mutating func verifyTree(
        _ name: String, _ record: TreeRecord, check: EntryCheck
    ) -> ContentDigest {
        var counts = TreeCounts()
        var tree = TreeState()
        tree.record = record
        if record.depth > 0 {
            _ = verifyPage(
                name, tree, record.root, level: Int(record.depth) - 1, slot: 0, low: nil,
                high: nil, &counts, check)
        }
        if record.flags.contains(.duplicates) { compare(name, "keys", record.keys, counts.keys) }
        compare(name, "entries", record.entries, counts.entries)
        compare(name, "branch pages", record.branchPages, counts.branchPages)
        compare(name, "leaf pages", record.leafPages, counts.leafPages)
        compare(name, "overflow pages", record.overflowPages, counts.overflowPages)
        return counts.digest
    }

    private mutating func compare(
        _ name: String, _ what: String, _ recorded: UInt64, _ counted: UInt64
    ) {
        guard recorded != counted else { return }
        problem(nil, "the record of \(name) counts \(recorded) \(what); there are \(counted)")
    }

    /// - Parameters:
    ///   - slot: how many keys the levels above hold in `keys`.
    ///   - low: the smallest key the page may have, if bounded.
    ///   - high: the key that all of the page's must be below, if bounded.
    /// - Returns: the entries it found below the reference.
    private mutating func verifyPage(
        _ name: String, _ tree: TreeState, _ reference: PageReference, level: Int, slot: Int,
        low: KeyBytes?, high: KeyBytes?, _ counts: inout TreeCounts, _ check: EntryCheck
    ) -> UInt64 {
        let number = reference.number
        guard number < meta.pageCount, reached.insert(number) else {
            problem(
                number,
                number < meta.pageCount
                    ? "page \(number) (\(name)) is also reachable from another place"
                    : "\(name) refers to page \(number), beyond the environment")
            return 0
        }
        let page: Page
        do throws(DatabaseError) {
            page = try source.page(reference, level: level, layout: tree.layout(level: level))
        } catch {
            problem(number, "in \(name): \(error.message)")
            return 0
        }
        report.treePages += 1
        onPages(PageRun(start: number, count: 1))
        if level == 0 { counts.leafPages += 1 } else { counts.branchPages += 1 }
        verifyOrder(name, page, slot: slot, low: low, high: high)
        let before = counts.entries
        if level == 0 {
            if tree.isValueTree {
                counts.entries += UInt64(page.count)
                if tree.valueWidth > 0, page.width != tree.valueWidth {
                    problem(
                        number,
                        "page \(number) (leaf, \(name)): its values have \(page.width) bytes, "
                            + "expected \(tree.valueWidth)")
                }
                for index in 0..<page.count {
                    guard let value = page.duplicate(index) else { continue }
                    counts.digest += ContentDigest(
                        ofKey: keyOfValues, reversed: keyOfValuesIsReversed, value: value)
                }
            } else {
                verifyLeaf(name, tree, page, slot: slot, &counts, check)
            }
            return counts.entries - before
        }
        for index in 0..<page.count {
            let childLow = index == 0 ? low : keys.load(page, index, slot: slot)
            let childHigh =
                index + 1 < page.count ? keys.load(page, index + 1, slot: slot + 1) : high
            let found = verifyPage(
                name, tree, page.child(index), level: level - 1, slot: slot + 2, low: childLow,
                high: childHigh, &counts, check)
            if page.layout.contains(.counted), page.entryCount(index) != found {
                problem(
                    number,
                    "page \(number) (branch, \(name)): it counts \(page.entryCount(index)) entries "
                        + "below child \(index); there are \(found)")
            }
        }
        return counts.entries - before
    }

    private mutating func verifyOrder(
        _ name: String, _ page: Page, slot: Int, low: KeyBytes?, high: KeyBytes?
    ) {
        let first = page.isLeaf ? 0 : 1
        guard first < page.count else { return }
        var previous = low
        // Equal to the lower bound is allowed for the first key only.
        var mayEqual = true
        for index in first..<page.count {
            guard let key = keys.load(page, index, slot: slot + index % 2) else {
                problem(page.number, "page \(page.number) (\(name)): key \(index) is damaged")
                return
            }
            if let previous {
                let order = KeyOrder.compare(previous, key, reversed: false)
                if order > 0 || (order == 0 && !mayEqual) {
                    problem(
                        page.number,
                        "page \(page.number) (\(page.isLeaf ? "leaf" : "branch"), \(name)): key "
                            + "\(index) is not after the one before it")
                }
            }
            if let high, KeyOrder.compare(key, high, reversed: false) >= 0 {
                problem(
                    page.number,
                    "page \(page.number) (\(page.isLeaf ? "leaf" : "branch"), \(name)): key "
                        + "\(index) is not below its parent's next separator")
            }
            previous = key
            mayEqual = false
        }
    }

    private mutating func verifyLeaf(
        _ name: String, _ tree: TreeState, _ page: Page, slot: Int, _ counts: inout TreeCounts,
        _ check: EntryCheck
    ) {
        for index in 0..<page.count {
            counts.keys += 1
            guard let key = keys.load(page, index, slot: slot), let field = page.value(index) else {
                problem(
                    page.number, "page \(page.number) (leaf, \(name)): entry \(index) is damaged")
                continue
            }
            var value = UnsafeRawBufferPointer(start: field.bytes, count: field.count)
            if tree.record.flags.contains(.integerKeys), key.count != Int(tree.record.keyWidth) {
                problem(
                    page.number,
                    "page \(page.number) (leaf, \(name)): key \(index) has \(key.count) bytes in a "
                        + "database of integers of \(tree.record.keyWidth)")
            }
            if tree.record.flags.contains(.duplicates) {
                verifyValues(name, tree, page, index, key, field, &counts)
                continue
            }
            counts.entries += 1
            if field.kind == .inlineValues || field.kind == .valueTree {
                problem(
                    page.number,
                    "page \(page.number) (leaf, \(name)): entry \(index) has several values in a "
                        + "database without duplicates")
                continue
            }
            if field.kind == .overflow {
                let pointer = OverflowPointer(at: field.bytes)
                guard let bytes = verifyOverflow(name, pointer, &counts) else { continue }
                value = bytes
            }
            let digest = ContentDigest(
                ofKey: key, reversed: tree.record.flags.reversesKeys, value: value)
            counts.digest += digest
            if field.kind == .overflow, OverflowPointer(at: field.bytes).digest != digest {
                problem(
                    page.number,
                    "page \(page.number) (leaf, \(name)): entry \(index) does not have the digest of "
                        + "its key and value")
            }
            if let wrong = check(key, value, field.kind, page.number) {
                problem(page.number, "page \(page.number) (leaf, \(name)): \(wrong)")
            }
        }
    }

    /// The values of a key, where it may have several.
    private mutating func verifyValues(
        _ name: String, _ tree: TreeState, _ page: Page, _ index: Int, _ key: KeyBytes,
        _ field: Page.ValueField, _ counts: inout TreeCounts
    ) {
        let isReversed = tree.record.flags.reversesKeys
        let place = "page \(page.number) (leaf, \(name)): entry \(index)"
        let value = UnsafeRawBufferPointer(start: field.bytes, count: field.count)
        let isFixedSize = tree.record.flags.contains(.fixedSizeDuplicates)
        let width = isFixedSize ? Int(tree.record.valueWidth) : 0
        let sizes = isFixedSize ? width...width : 0...Format.keySizeMax(pageSize: source.pageSize)
        switch field.kind {
        case .inline:
            counts.entries += 1
            counts.digest += ContentDigest(ofKey: key, reversed: isReversed, value: value)
            if !sizes.contains(value.count) {
                problem(page.number, place + " has a value of \(value.count) bytes")
            }
        case .overflow:
            problem(page.number, place + " has a value in an overflow run, with duplicates")
        case .inlineValues:
            guard let values = InlineValues(value) else {
                problem(page.number, place + " has impossible values")
                return
            }
            counts.entries += UInt64(values.count)
            if values.width != width {
                problem(
                    page.number,
                    place + " has values of \(values.width) bytes each, expected \(width) (0: any)")
            }
            if values.count < 2 { problem(page.number, place + " has one value as several") }
            var previous: UnsafeRawBufferPointer?
            for duplicate in 0..<values.count {
                guard let bytes = values.duplicate(duplicate) else {
                    problem(page.number, place + ", value \(duplicate) is damaged")
                    return
                }
                if !isFixedSize, !sizes.contains(bytes.count) {
                    problem(
                        page.number, place + ", value \(duplicate) has \(bytes.count) bytes")
                }
                if let previous,
                    KeyOrder.compare(
                        previous, bytes, reversed: tree.record.flags.reversesValues) >= 0
                {
                    problem(
                        page.number, place + ", value \(duplicate) is not after the one before it")
                }
                previous = bytes
                counts.digest += ContentDigest(ofKey: key, reversed: isReversed, value: bytes)
            }
        case .valueTree:
            let values = ValueTree(at: field.bytes)
            var found = TreeCounts()
            // The keys that the levels above hold on to stay where they are.
            let keysAbove = keys
            keys = KeyStack(pageSize: source.pageSize)
            keyOfValues = key
            keyOfValuesIsReversed = isReversed
            _ = verifyPage(
                name, values.state(in: tree.record), values.root, level: Int(values.depth) - 1,
                slot: 0,
                low: nil, high: nil, &found
            ) { _, _, _, _ in nil }
            keys.deallocate()
            keys = keysAbove
            let place = name + ", the values of entry \(index) of page \(page.number)"
            compare(place, "entries", values.entries, found.entries)
            compare(place, "branch pages", values.branchPages, found.branchPages)
            compare(place, "leaf pages", values.leafPages, found.leafPages)
            if values.digest != found.digest {
                problem(
                    page.number,
                    "the record of \(place) has the digest \(values.digest); they have "
                        + "\(found.digest)")
            }
            counts.entries += found.entries
            counts.digest += found.digest
            counts.branchPages += found.branchPages
            counts.leafPages += found.leafPages
        }
    }

    private mutating func verifyOverflow(
        _ name: String, _ pointer: OverflowPointer, _ counts: inout TreeCounts
    ) -> UnsafeRawBufferPointer? {
        let start = pointer.reference.number
        let pages = OverflowPointer.pageCount(
            length: min(pointer.length, UInt64(Format.valueSizeMax)), pageSize: source.pageSize)
        counts.overflowPages += pages
        // Before the checksum: entries that share a run must not have it computed for each.
        if start >= Format.metaPageCount, start < meta.pageCount, pages <= meta.pageCount - start {
            for number in start..<(start + pages) {
                guard reached.insert(number) else {
                    problem(
                        number, "page \(number) (\(name)) is also reachable from another place")
                    return nil
                }
                report.overflowPages += 1
            }
        }
        do throws(DatabaseError) {
            let bytes = try source.overflow(pointer)
            onPages(PageRun(start: start, count: pages))
            return bytes
        } catch {
            problem(start, "in \(name): \(error.message)")
            return nil
        }
    }
}

/// Buffers for the keys that a walk down a tree holds on to: two a level and two for the page it
/// is in.
private struct KeyStack {
    private let bytes: UnsafeMutableRawPointer
    private let keySize: Int

    init(pageSize: Int) {
        keySize = Format.keyBufferSize(pageSize: pageSize)
        bytes = .allocate(byteCount: keySize * 2 * (Format.depthMax + 2), alignment: 8)
    }

    func deallocate() { bytes.deallocate() }

    func load(_ page: Page, _ index: Int, slot: Int) -> KeyBytes? {
        let buffer = bytes + slot * keySize
        let length = page.copyKey(index, to: buffer)
        return length < 0 ? nil : KeyBytes(start: buffer, count: length)
    }
}

/// A set of page numbers.
private struct PageBitmap {
    private var words: [UInt64]
    private let count: UInt64

    init(count: UInt64) {
        self.count = count
        words = Array(repeating: 0, count: Int(count / 64 + 1))
    }

    func contains(_ page: UInt64) -> Bool {
        page < count && words[Int(page / 64)] & (1 << (page % 64)) != 0
    }

    /// - Returns: false if it was in already, or cannot be.
    mutating func insert(_ page: UInt64) -> Bool {
        guard page < count, !contains(page) else { return false }
        words[Int(page / 64)] |= 1 << (page % 64)
        return true
    }
}
