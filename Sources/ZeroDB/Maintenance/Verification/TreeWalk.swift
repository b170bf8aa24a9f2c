import Synchronization

/// What all threads of a verification read.
struct VerifySubject: @unchecked Sendable {
    /// With full checks, whatever the environment's mode: what was checked before may have changed.
    let source: PageSource
    let reached: ReachedPages
    let meta: Meta
    /// Whether values in overflow runs are read and digests computed.
    let readsValues: Bool
    let monitor: VerifyMonitor
    /// Called for the pages of trees and overflow runs that are sound. With one thread only.
    let onPages: ((PageRun) -> Void)?
}

/// Walks down trees and checks all that is met. Each thread of a verification has one.
struct TreeWalk: ~Copyable {
    /// Looks at an entry of a leaf: key, value, how that is kept, page; returns what is wrong.
    typealias EntryCheck = (KeyBytes, UnsafeRawBufferPointer, ValueKind, UInt64) -> String?

    let subject: VerifySubject
    /// Whether this is the caller's thread.
    private let isCaller: Bool
    /// Looks at the entries of trees that hold what the engine itself needs.
    var check: EntryCheck?
    /// Branch and leaf pages that were reached.
    private(set) var treePages: UInt64 = 0
    /// Pages of overflow runs that were reached.
    var overflowPages: UInt64 = 0
    /// Large value trees that are left to be walked by all threads together; nil if none is to be left.
    var deferred: [VerifiedTree]?
    let keys: KeyStack
    private let valueKeys: KeyStack
    /// The key, as its tree holds it, of the value tree that is being looked at.
    private var keyOfValues: KeyBytes?
    private var pagesUntold: UInt64 = 0
    /// Whether the caller wants no more.
    private(set) var isStopped = false

    /// Pages between two looks at what other threads and the caller want.
    private static let untoldMax: UInt64 = 64

    /// What the keys of a subtree must be between.
    struct Bounds {
        /// The smallest key it may have, if bounded.
        var low: KeyBytes?
        /// The key that all of its must be below, if bounded.
        var high: KeyBytes?
    }

    init(_ subject: VerifySubject, isCaller: Bool) {
        self.subject = subject
        self.isCaller = isCaller
        keys = .allocate(pageSize: subject.source.pageSize)
        valueKeys = .allocate(pageSize: subject.source.pageSize)
    }

    deinit {
        keys.deallocate()
        valueKeys.deallocate()
    }

    // MARK: Telling

    func report(_ problem: VerifyProblem) {
        if isCaller { subject.monitor.report(problem) } else { subject.monitor.queue(problem) }
    }

    /// Tells of something wrong in a tree.
    func problem(
        _ kind: VerifyProblem.Kind, _ tree: VerifiedTree, _ page: UInt64?, _ bounds: Bounds?,
        entries: UInt64 = 0, writer: UInt64? = nil, _ counts: inout TreeCounts, _ message: String
    ) {
        counts.problems += 1
        var range: VerifyProblem.KeyRange?
        if let keyOfValues {
            range = tree.range(of: keyOfValues)
        } else if let key = tree.key {
            range = key.withUnsafeBytes { tree.range(of: $0) }
        } else if let bounds {
            range = tree.range(from: bounds.low, to: bounds.high)
        }
        report(
            VerifyProblem(
                kind: kind, place: tree.place, page: page, databaseName: tree.databaseName,
                range: range, entries: entries, transaction: writer, message: message))
    }

    /// Tells of something wrong in an entry of a leaf.
    func problem(
        _ kind: VerifyProblem.Kind, _ tree: VerifiedTree, _ page: Page, key: KeyBytes,
        entries: UInt64 = 1, _ counts: inout TreeCounts, _ message: String
    ) {
        counts.problems += 1
        report(
            VerifyProblem(
                kind: kind, place: tree.place, page: page.number, databaseName: tree.databaseName,
                range: tree.range(of: key), entries: entries, transaction: page.transaction,
                message: message))
    }

    /// Tells of a page or a run that could not be had.
    private func lost(
        _ tree: VerifiedTree, _ reference: PageReference, _ error: DatabaseError, _ bounds: Bounds?,
        entries: UInt64, _ counts: inout TreeCounts
    ) {
        counts.losses += 1
        problem(
            VerifyProblem.Kind(error), tree, reference.number, bounds, entries: entries,
            writer: writer(of: reference), &counts, "in \(tree.description): \(error.message)")
    }

    /// The transaction that the header of a page names, if the reference to it bears that out.
    func writer(of reference: PageReference) -> UInt64? {
        let writer = subject.source.birth(of: reference.number)
        guard writer > 0, writer <= subject.meta.transaction,
            UInt16(truncatingIfNeeded: writer) == reference.transactionTag
        else { return nil }
        return writer
    }

    private mutating func tick() {
        pagesUntold += 1
        guard pagesUntold >= Self.untoldMax else { return }
        tellPages()
        if isCaller { subject.monitor.attend() }
        isStopped = subject.monitor.isCancelled
    }

    /// Notes the pages looked at since the last time.
    mutating func tellPages() {
        subject.monitor.add(pages: pagesUntold)
        pagesUntold = 0
    }

    // MARK: Walking

    /// Walks a whole tree or a part of it.
    ///
    /// - Parameter level: of the page that the reference leads to.
    mutating func walk(
        _ tree: VerifiedTree, _ reference: PageReference, level: Int, _ bounds: Bounds
    ) -> TreeCounts {
        var counts = TreeCounts()
        guard let key = tree.key else {
            _ = visit(tree, tree.state, reference, level: level, slot: 0, bounds, &counts)
            return counts
        }
        key.withUnsafeBytes { key in
            keyOfValues = key
            _ = visit(tree, tree.state, reference, level: level, slot: 0, bounds, &counts)
            keyOfValues = nil
        }
        return counts
    }

    /// Looks at a branch only.
    ///
    /// - Returns: the branch; nil if it cannot be looked into.
    mutating func look(
        _ tree: VerifiedTree, _ reference: PageReference, level: Int, _ bounds: Bounds,
        _ counts: inout TreeCounts
    ) -> Page? {
        guard let key = tree.key else {
            return enter(tree, tree.state, reference, level: level, slot: 0, bounds, &counts)
        }
        return key.withUnsafeBytes { key in
            keyOfValues = key
            defer { keyOfValues = nil }
            return enter(tree, tree.state, reference, level: level, slot: 0, bounds, &counts)
        }
    }

    /// - Parameter slot: how many keys the levels above hold in the stack of keys.
    /// - Returns: the entries found below the reference.
    private mutating func visit(
        _ tree: VerifiedTree, _ state: TreeState, _ reference: PageReference, level: Int,
        slot: Int, _ bounds: Bounds, _ counts: inout TreeCounts
    ) -> UInt64 {
        guard
            let page = enter(
                tree, state, reference, level: level, slot: slot, bounds, &counts)
        else { return 0 }
        let before = counts.entries
        guard level > 0 else {
            if state.isValueTree {
                addDuplicates(tree, page, &counts)
            } else {
                visitLeaf(tree, page, slot: slot, bounds, &counts)
            }
            return counts.entries - before
        }
        let stack = state.isValueTree ? valueKeys : keys
        let isCounted = page.layout.contains(.counted)
        for index in 0..<page.count {
            guard !isStopped else { break }
            let losses = counts.losses
            let low = index == 0 ? bounds.low : stack.load(page, index, slot: slot)
            let high =
                index + 1 < page.count
                ? stack.load(page, index + 1, slot: slot + 1) : bounds.high
            if index + 1 < page.count { subject.source.prefetch(page.child(index + 1)) }
            let found = visit(
                tree, state, page.child(index), level: level - 1, slot: slot + 2,
                Bounds(low: low, high: high), &counts)
            if isCounted, found != page.entryCount(index), losses == counts.losses {
                miscounted(
                    tree, page.number, page.entryCount(index), child: index, found,
                    Bounds(low: low, high: high), &counts)
            }
        }
        return counts.entries - before
    }

    /// Tells that a branch counts other entries below a child than there are.
    func miscounted(
        _ tree: VerifiedTree, _ page: UInt64, _ recorded: UInt64, child: Int, _ found: UInt64,
        _ bounds: Bounds?, _ counts: inout TreeCounts
    ) {
        guard !isStopped else { return }
        problem(
            .count, tree, page, bounds, &counts,
            "page \(page) (branch, \(tree.description)): it counts \(recorded) entries below child "
                + "\(child); there are \(found)")
    }

    /// Reaches a page and checks what it is by itself, and that its keys are where they belong.
    private mutating func enter(
        _ tree: VerifiedTree, _ state: TreeState, _ reference: PageReference, level: Int,
        slot: Int, _ bounds: Bounds, _ counts: inout TreeCounts
    ) -> Page? {
        tick()
        guard !isStopped else { return nil }
        let number = reference.number
        guard number < subject.meta.pageCount, subject.reached.insert(number) else {
            counts.losses += 1
            problem(
                .reference, tree, number, bounds,
                entries: VerifiedTree.entries(belowLevel: level, of: state.record), &counts,
                number < subject.meta.pageCount
                    ? "page \(number) (\(tree.description)) is also reachable from another place"
                    : "\(tree.description) refers to page \(number), beyond the environment")
            return nil
        }
        let page: Page
        do throws(DatabaseError) {
            page = try subject.source.page(
                reference, level: level, layout: state.layout(level: level))
        } catch {
            lost(
                tree, reference, error, bounds,
                entries: VerifiedTree.entries(belowLevel: level, of: state.record), &counts)
            return nil
        }
        treePages += 1
        if let onPages = subject.onPages { onPages(PageRun(start: number, count: 1)) }
        if level == 0 { counts.leafPages += 1 } else { counts.branchPages += 1 }
        if level > 0 || state.isValueTree {
            checkOrder(
                tree, page, state.isValueTree ? valueKeys : keys, slot: slot, bounds, &counts)
        }
        if level == 0, state.valueWidth > 0, page.width != state.valueWidth {
            problem(
                .structure, tree, number, bounds, writer: page.transaction, &counts,
                "page \(number) (leaf, \(tree.description)): its values have \(page.width) bytes, "
                    + "expected \(state.valueWidth)")
        }
        return page
    }

    private func addDuplicates(
        _ tree: VerifiedTree, _ page: Page, _ counts: inout TreeCounts
    ) {
        counts.entries += UInt64(page.count)
        guard subject.readsValues, let key = keyOfValues else { return }
        let isReversed = tree.record.flags.reversesKeys
        for index in 0..<page.count {
            guard let value = page.duplicate(index) else { continue }
            counts.digest += ContentDigest(ofKey: key, reversed: isReversed, value: value)
        }
    }

    // MARK: Values of a key

    /// Walks the tree of a key's values, or leaves that for later.
    mutating func visitValueTree(
        _ tree: VerifiedTree, _ page: Page, _ index: Int, key: KeyBytes, _ values: ValueTree,
        _ counts: inout TreeCounts
    ) {
        if let count = deferred?.count, count < Self.deferredMax,
            values.leafPages >= Self.deferredLeavesMin
        {
            deferred?.append(
                VerifiedTree(values, of: key, in: tree, entry: index, of: page.number))
            // What its record says, which is compared with what there is when it is walked.
            counts.entries &+= values.entries
            counts.branchPages &+= values.branchPages
            counts.leafPages &+= values.leafPages
            counts.digest += values.digest
            return
        }
        var found = TreeCounts()
        keyOfValues = key
        _ = visit(
            tree, values.state(in: tree.record), values.root, level: Int(values.depth) - 1,
            slot: 0, Bounds(), &found)
        if !isSame(values, found) {
            compareValues(
                VerifiedTree(values, of: key, in: tree, entry: index, of: page.number), values,
                &found)
        }
        keyOfValues = nil
        counts += found
    }

    private func isSame(_ values: ValueTree, _ found: TreeCounts) -> Bool {
        values.entries == found.entries && values.branchPages == found.branchPages
            && values.leafPages == found.leafPages
            && (values.digest == found.digest || !subject.readsValues)
    }

    /// Compares the record of a value tree with what there is.
    mutating func compareValues(
        _ tree: VerifiedTree, _ values: ValueTree, _ found: inout TreeCounts
    ) {
        guard !isStopped else { return }
        let counts = found
        compare(tree, "entries", values.entries, counts.entries, &found)
        if counts.losses == 0 {
            compare(tree, "branch pages", values.branchPages, counts.branchPages, &found)
            compare(tree, "leaf pages", values.leafPages, counts.leafPages, &found)
        }
        if subject.readsValues, counts.problems == 0, values.digest != counts.digest {
            problem(
                .digest, tree, tree.page, nil, &found,
                "the record of \(tree.description) has the digest \(values.digest); they have "
                    + "\(counts.digest)")
        }
    }

    /// Compares a count of a record with what there is.
    func compare(
        _ tree: VerifiedTree, _ what: String, _ recorded: UInt64, _ counted: UInt64,
        _ counts: inout TreeCounts
    ) {
        guard recorded != counted, !isStopped else { return }
        let missing = what == "entries" && recorded > counted ? recorded - counted : 0
        problem(
            .count, tree, tree.page, nil, entries: missing, &counts,
            "the record of \(tree.description) counts \(recorded) \(what); there are \(counted)")
    }

    /// Value trees of so many leaves are walked by all threads together.
    private static let deferredLeavesMin: UInt64 = 1024
    private static let deferredMax = 4096
}

extension VerifyProblem.Kind {
    /// What an error says of a page.
    init(_ error: DatabaseError) {
        switch error.damage {
        case .checksum: self = .checksum
        case .lostWrite: self = .lostWrite
        case .misplaced: self = .misplaced
        case .unreadable: self = .unreadable
        case .reference: self = .reference
        case .order: self = .order
        case .unspecified: self = .structure
        }
    }
}
