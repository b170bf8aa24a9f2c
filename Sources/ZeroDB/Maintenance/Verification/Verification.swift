import Synchronization

/// Proves that a snapshot is sound: checksums, structure, order of keys, counts, digests, and that every
/// page is reachable from exactly one place (invariant 7). A read transaction like any other.
///
/// The trees are cut into subtrees, which as many threads walk as are wanted. They share the set of pages
/// reached, so that a page that two of them reach is noticed; digests are sums, and so are counts.
final class Verification {
    let meta: Meta
    let options: VerifyOptions
    let monitor: VerifyMonitor
    var report = VerifyReport()
    private let freeList: FreeList
    /// Recovery mode loads no free pages.
    private let knowsFreeSpace: Bool
    let subject: VerifySubject
    /// A byte map of its own: pages that the process fetched before may be lost since.
    private let fetched: UnsafeMutablePointer<UInt8>
    /// Pages found free that had been reached before.
    private var namedTwice: UInt64 = 0
    /// Pages or runs that could not be looked into, and what hangs below them.
    var losses: UInt64 = 0

    /// - Parameters:
    ///   - meta: a state that stays as it is meanwhile.
    ///   - onPages: called for the pages of trees and overflow runs that are sound. Not with more than
    ///     one thread.
    init(
        _ known: PageSource, _ meta: Meta, _ freeList: FreeList, options: VerifyOptions,
        monitor: VerifyMonitor, knowsFreeSpace: Bool = true, onPages: ((PageRun) -> Void)? = nil
    ) {
        self.knowsFreeSpace = knowsFreeSpace
        self.meta = meta
        self.freeList = freeList
        self.options = options
        self.monitor = monitor
        fetched = .allocate(capacity: Int(meta.pageCount))
        fetched.initialize(repeating: 0, count: Int(meta.pageCount))
        let source = PageSource(
            map: known.map, pageSize: known.pageSize, pageShift: known.pageShift,
            seed: known.seed, mode: .full,
            verified: UnsafeMutableRawPointer(fetched).assumingMemoryBound(to: Atomic<UInt8>.self),
            pageCount: meta.pageCount, fetcher: known.fetcher, frames: nil)
        subject = VerifySubject(
            source: source, reached: .allocate(count: meta.pageCount), meta: meta,
            readsValues: options.level == .everything, monitor: monitor, onPages: onPages)
    }

    /// Verifies everything on the caller's thread.
    convenience init(
        _ known: PageSource, _ meta: Meta, _ freeList: FreeList,
        onPages: @escaping (PageRun) -> Void, onProblem: @escaping (VerifyProblem) -> Void
    ) {
        var options = VerifyOptions()
        options.threads = 1
        self.init(
            known, meta, freeList, options: options, monitor: VerifyMonitor(onProblem: onProblem),
            onPages: onPages)
    }

    deinit {
        subject.reached.deallocate()
        fetched.deallocate()
    }

    // MARK: The whole snapshot

    /// - Throws: `notFound` if there is no database of the name that is to be verified; ECANCELED if
    ///   the caller wants no more.
    func run() throws(DatabaseError) {
        report.transaction = meta.transaction
        report.pages = meta.pageCount
        for page in 0..<Format.metaPageCount { _ = subject.reached.insert(page) }
        var walk = TreeWalk(subject, isCaller: true)
        defer {
            report.treePages += walk.treePages
            report.overflowPages += walk.overflowPages
            report.problems = monitor.problems
        }
        let catalog = options.scope == .mainDatabase ? [] : walkCatalog(&walk)
        let databases = try databases(catalog)
        countPages(databases)
        monitor.tellProgress()
        try monitor.checkCancelled()
        if options.level == .headers {
            for tree in databases { lookAtRoot(tree, &walk) }
        } else {
            try walkAll(databases, &walk)
        }
        if options.scope == .environment, knowsFreeSpace { verifyFreeSpace(&walk) }
        walk.tellPages()
        try monitor.checkCancelled()
    }

    /// The databases that are to be verified.
    private func databases(
        _ catalog: [VerifiedTree]
    ) throws(DatabaseError) -> [VerifiedTree] {
        let main = VerifiedTree.main(meta.main)
        switch options.scope {
        case .environment:
            report.databases = UInt64(catalog.count)
            return [main] + catalog
        case .mainDatabase: return [main]
        case .namedDatabase(let name):
            let found = catalog.filter { $0.databaseName == name }
            report.databases = UInt64(found.count)
            // In a damaged catalog it may be, but cannot be had.
            guard !found.isEmpty || losses > 0 else {
                throw DatabaseError(
                    .notFound, "there is no database \"\(String(decoding: name, as: UTF8.self))\"")
            }
            return found
        }
    }

    private func countPages(_ databases: [VerifiedTree]) {
        func pages(_ record: TreeRecord) -> UInt64 {
            record.branchPages + record.leafPages + record.overflowPages
        }
        switch (options.scope, options.level) {
        case (.environment, .trees), (.environment, .everything):
            monitor.pagesTotal = meta.pageCount
        case (_, .headers):
            monitor.pagesTotal =
                pages(meta.catalog) + pages(meta.free) + UInt64(databases.count)
                + Format.metaPageCount
        default:
            monitor.pagesTotal =
                pages(meta.catalog)
                + databases.reduce(Format.metaPageCount) {
                    $0 &+ pages($1.record)
                }
        }
        monitor.add(pages: Format.metaPageCount)
    }

    /// Walks the tree of the databases' names.
    ///
    /// - Returns: the databases.
    private func walkCatalog(_ walk: inout TreeWalk) -> [VerifiedTree] {
        var databases: [VerifiedTree] = []
        walk.check = { key, value, kind, _ in
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
            databases.append(.named(Array(key), record))
            return nil
        }
        let catalog = VerifiedTree(
            meta.catalog, place: .catalog, description: "the catalog")
        walkAlone(catalog, &walk)
        walk.check = nil
        return databases
    }

    /// Walks a tree that the engine itself needs.
    func walkAlone(_ tree: VerifiedTree, _ walk: inout TreeWalk) {
        var counts = TreeCounts()
        if tree.record.depth > 0 {
            counts = walk.walk(
                tree, tree.record.root, level: Int(tree.record.depth) - 1, TreeWalk.Bounds())
        }
        finish(tree, &counts, walk, hasDigest: false)
    }

    private func lookAtRoot(_ tree: VerifiedTree, _ walk: inout TreeWalk) {
        report.entries &+= tree.record.entries
        guard tree.record.depth > 0 else { return }
        var counts = TreeCounts()
        _ = walk.look(
            tree, tree.record.root, level: Int(tree.record.depth) - 1, TreeWalk.Bounds(), &counts)
        losses += counts.losses
    }

    /// Compares the record of a tree with what was found in it.
    func finish(
        _ tree: VerifiedTree, _ counts: inout TreeCounts, _ walk: borrowing TreeWalk,
        hasDigest: Bool
    ) {
        let (record, found) = (tree.record, counts)
        losses += found.losses
        guard !walk.isStopped else { return }
        walk.compare(tree, "entries", record.entries, found.entries, &counts)
        // What is behind a damaged page has been told of already.
        if found.losses == 0 {
            if record.flags.contains(.duplicates) {
                walk.compare(tree, "keys", record.keys, found.keys, &counts)
            }
            walk.compare(tree, "branch pages", record.branchPages, found.branchPages, &counts)
            walk.compare(tree, "leaf pages", record.leafPages, found.leafPages, &counts)
            walk.compare(
                tree, "overflow pages", record.overflowPages, found.overflowPages, &counts)
        }
        guard hasDigest, subject.readsValues, counts.problems == 0, record.digest != found.digest
        else { return }
        walk.problem(
            .digest, tree, nil, TreeWalk.Bounds(), &counts,
            "the record of \(tree.description) has the digest \(record.digest); its entries have "
                + "\(found.digest): some are lost, or not what was put")
    }

    /// Compares the digest of the environment with that of its databases.
    ///
    /// - Parameter isKnown: whether what is damaged otherwise has not been told of already.
    func finishDigest(_ digest: ContentDigest, isKnown: Bool) {
        guard subject.readsValues, options.scope == .environment else { return }
        report.digest = digest
        guard isKnown, digest != meta.digest else { return }
        tell(
            .digest, .environment, nil,
            "the meta page gives the environment the digest \(meta.digest); its databases have "
                + "\(digest)")
    }

    func tell(
        _ kind: VerifyProblem.Kind, _ place: VerifyProblem.Place, _ page: UInt64?,
        _ message: String
    ) {
        monitor.report(VerifyProblem(kind: kind, place: place, page: page, message: message))
    }
}

// MARK: - Free pages

extension Verification {
    private func verifyFreeSpace(_ walk: inout TreeWalk) {
        var runs: [(PageRun, UInt64)] = []
        var available: UInt64 = 0
        var pending: UInt64 = 0
        var young: UInt64 = 0
        let transaction = meta.transaction
        walk.check = { key, value, kind, page in
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
        walkAlone(
            VerifiedTree(meta.free, place: .freePages, description: "the free tree"), &walk)
        walk.check = nil
        if walk.isStopped { return }
        for (run, page) in runs {
            markFree(run, namedBy: "page \(page) (leaf, the free tree)", page)
        }
        verifyFreeList()
        if available != meta.availablePages {
            tell(
                .freePages, .freePages, nil,
                "the meta page counts \(meta.availablePages) available pages; there are \(available)"
            )
        }
        if pending != meta.pendingPages {
            tell(
                .freePages, .freePages, nil,
                "the meta page counts \(meta.pendingPages) pending pages; there are \(pending)")
        }
        if young != meta.youngPages {
            tell(
                .freePages, .freePages, nil,
                "the meta page counts \(meta.youngPages) young pages; there are \(young)")
        }
        if options.level != .headers { reportUnreached() }
    }

    private func verifyFreeList() {
        let place = "the free list"
        for run in freeList.availableRuns { markFree(run, namedBy: place, nil) }
        var pending: [PageRun] = []
        freeList.forEachPending { run, _ in pending.append(run) }
        for run in pending { markFree(run, namedBy: place, nil) }
        let counted = (UInt64(meta.freeListAvailable), UInt64(meta.freeListPending))
        if counted != (freeList.availablePages, freeList.pendingPages) {
            tell(
                .freePages, .freePages, nil,
                "the meta page counts \(counted.0) available and \(counted.1) pending pages in "
                    + "\(place); there are \(freeList.availablePages) and \(freeList.pendingPages)")
        }
    }

    private func markFree(_ run: PageRun, namedBy place: String, _ page: UInt64?) {
        guard run.count > 0, run.count <= meta.pageCount, run.start >= Format.metaPageCount,
            run.start <= meta.pageCount - run.count
        else {
            tell(
                .freePages, .freePages, page,
                "\(place) names \(run.count) free pages from \(run.start), "
                    + "beyond the \(meta.pageCount) pages of the environment")
            return
        }
        monitor.add(pages: run.count)
        for free in run.start..<run.end {
            if subject.reached.insert(free) {
                report.freePages += 1
                continue
            }
            tell(
                .freePages, .freePages, free,
                "page \(free) is free and also reachable from another place")
            // Each page is named once by what is sound. Of what is not, so much will do: a few bytes
            // name 65535 pages, and can name the same ones as often as there is room in the file.
            namedTwice += 1
            guard namedTwice < meta.pageCount else { return }
        }
    }

    /// Tells of the pages that have no use.
    private func reportUnreached() {
        var start: UInt64?
        var pages: UInt64 = 0
        for page in 0...meta.pageCount {
            let isLost = page < meta.pageCount && !subject.reached.contains(page)
            if isLost { pages += 1 }
            if isLost, start == nil { start = page }
            if !isLost, let first = start {
                start = nil
                guard losses == 0 else { continue }
                tell(
                    .freePages, .freePages, first,
                    page - first == 1
                        ? "page \(first) is reachable from nowhere"
                        : "pages \(first) to \(page - 1) are reachable from nowhere")
            }
        }
        // What hangs below a damaged page cannot be told from what has no use.
        guard losses > 0, pages > 0 else { return }
        tell(
            .freePages, .freePages, nil,
            "\(pages) pages are reachable from nowhere: they hang below damaged pages, or have no use"
        )
    }
}
