import Glibc

/// Walks all that a state reaches, each page once, and notes what each is for and what refers to it. What
/// cannot be read is noted and passed over.
///
/// Levels fall along every path and no page is entered twice, so that no damaged file makes it go on forever.
final class PageWalk {
    let subject: PageSubject
    private let meta: Meta
    /// A `PageUse` for each page of the state.
    private let uses: UnsafeMutableBufferPointer<UInt8>
    /// The page whose referrers are collected.
    private let wanted: UInt64?
    private(set) var referrers: [PageReferrer] = []
    /// Of the referrers: the flags of the database, for the order of keys.
    private(set) var flags = DatabaseFlags()
    /// The first page of the overflow run that the wanted page is in.
    private(set) var runStart: UInt64?
    private(set) var problems: [String] = []
    private(set) var problemCount: UInt64 = 0
    private(set) var fill: [PageUse: FillHistogram] = [:]
    private var path: [UInt64] = []

    private static let problemsMax = 100
    private static let referrersMax = 100

    /// - Throws: ENOMEM.
    init(_ subject: PageSubject, wanted: UInt64? = nil) throws(DatabaseError) {
        self.subject = subject
        self.wanted = wanted
        meta = subject.meta
        guard let count = Int(exactly: meta.pageCount), let memory = calloc(max(1, count), 1) else {
            throw DatabaseError(
                systemError: ENOMEM, "note the use of \(subject.meta.pageCount) pages")
        }
        uses = UnsafeMutableBufferPointer(
            start: memory.assumingMemoryBound(to: UInt8.self), count: count)
    }

    deinit { free(uses.baseAddress) }

    /// What a page of the state is for.
    func use(of page: UInt64) -> PageUse {
        guard page < meta.pageCount else { return .behind }
        return PageUse(rawValue: uses[Int(page)]) ?? .unreached
    }

    func run() {
        for page in 0..<Format.metaPageCount { uses[Int(page)] = PageUse.meta.rawValue }
        var databases: [(name: [UInt8], record: TreeRecord, page: UInt64, index: Int)] = []
        walk(meta.catalog, .catalog, root) { page, index, key in
            guard let field = page.value(index), field.kind == .inline,
                field.count == TreeRecord.size
            else { return "entry \(index) has no record of a database" }
            let record = TreeRecord(at: field.bytes)
            guard record.isPlausible else { return "the record of entry \(index) is impossible" }
            databases.append((key, record, page.number, index))
            return nil
        }
        walk(meta.main, .main, root)
        for database in databases {
            let entry = PageReferrer(
                kind: .catalogEntry, tree: .database(database.name), page: database.page,
                index: database.index)
            walk(database.record, .database(database.name), entry)
        }
        walkFreePages()
    }

    private var root: PageReferrer { PageReferrer(kind: .metaRecord, page: subject.metaPage) }

    func tell(_ problem: String) {
        problemCount += 1
        if problems.count < Self.problemsMax { problems.append(problem) }
    }

    // MARK: Trees

    /// Looks at an entry of a leaf; returns what is wrong.
    private typealias OnEntry = (Page, Int, [UInt8]) -> String?

    private func walk(
        _ record: TreeRecord, _ tree: PageTree, _ referrer: PageReferrer, _ onEntry: OnEntry? = nil
    ) {
        guard record.depth > 0 else { return }
        var state = TreeState()
        state.record = record
        var referrer = referrer
        referrer.tree = tree
        visit(state, tree, record.root, level: state.depth - 1, referrer, onEntry)
    }

    private func visit(
        _ state: TreeState, _ tree: PageTree, _ reference: PageReference, level: Int,
        _ referrer: PageReferrer, _ onEntry: OnEntry?
    ) {
        let number = reference.number
        var referrer = referrer
        referrer.path = path
        referrer.expected = PageReferrer.Expectation(
            reference: reference, level: level, layout: state.layout(level: level))
        note(referrer, PageRun(start: number, count: 1), state.record.flags)
        guard enter(number, named: referrer) else { return }
        let page: Page
        do throws(DatabaseError) {
            page = try subject.source.page(
                reference, level: level, layout: state.layout(level: level))
        } catch {
            uses[Int(number)] = PageUse.damaged.rawValue
            return tell(error.message)
        }
        let use = Self.use(of: tree, level: level, state)
        uses[Int(number)] = use.rawValue
        fill[use, default: FillHistogram()].add(
            used: page.layout.contains(.packed) ? page.count * page.width : page.liveSize,
            of: Page.capacity(pageSize: page.size))
        path.append(number)
        defer { path.removeLast() }
        guard level == 0 else {
            for index in 0..<page.count {
                visit(
                    state, tree, page.child(index), level: level - 1,
                    PageReferrer(kind: .branchSlot, tree: tree, page: number, index: index), onEntry
                )
            }
            return
        }
        if !state.isValueTree { visitLeaf(page, tree, state.record, onEntry) }
    }

    private static func use(of tree: PageTree, level: Int, _ state: TreeState) -> PageUse {
        switch tree {
        case .catalog: .catalog
        case .freePages: .freeTree
        default: level > 0 ? .branch : state.isValueTree ? .valueLeaf : .leaf
        }
    }

    private func visitLeaf(
        _ page: Page, _ tree: PageTree, _ record: TreeRecord, _ onEntry: OnEntry?
    ) {
        for index in 0..<page.count {
            if let onEntry, let wrong = onEntry(page, index, page.keyBytes(index) ?? []) {
                tell("page \(page.number) (leaf): \(wrong)")
            }
            guard let field = page.value(index), field.isPlausible else { continue }
            let entry = PageReferrer(
                kind: .leafEntry, tree: tree, page: page.number, index: index)
            switch field.kind {
            case .inline, .inlineValues: break
            case .overflow: visitOverflow(OverflowPointer(at: field.bytes), tree, entry)
            case .valueTree:
                let values = ValueTree(at: field.bytes).state(in: record)
                guard values.depth > 0 else { continue }
                visit(values, tree, values.root, level: values.depth - 1, entry, nil)
            }
        }
    }

    private func visitOverflow(
        _ pointer: OverflowPointer, _ tree: PageTree, _ referrer: PageReferrer
    ) {
        let number = pointer.reference.number
        let run = PageRun(
            start: number,
            count: OverflowPointer.pageCount(
                length: min(pointer.length, UInt64(Format.valueSizeMax)),
                pageSize: subject.source.pageSize))
        guard run.isInside(meta.pageCount) else {
            return tell(
                "an entry refers to \(run.count) pages from \(number), beyond the environment")
        }
        var referrer = referrer
        referrer.path = path
        referrer.expected = PageReferrer.Expectation(
            reference: pointer.reference, level: 0, layout: [], length: pointer.length)
        note(referrer, run, [])
        for page in run.start..<run.end {
            guard enter(page, named: referrer) else { return }
            uses[Int(page)] = PageUse.overflow.rawValue
        }
        do throws(DatabaseError) {
            try subject.source.checkOverflowHeader(pointer)
        } catch {
            for page in run.start..<run.end { uses[Int(page)] = PageUse.damaged.rawValue }
            return tell(error.message)
        }
        fill[.overflow, default: FillHistogram()].add(
            used: Int(pointer.length) + Page.headerSize,
            of: Int(run.count) * subject.source.pageSize, pages: run.count)
    }

    /// Whether a page can be entered: it is in the environment, and nothing has led to it before.
    private func enter(_ page: UInt64, named referrer: PageReferrer) -> Bool {
        guard page >= Format.metaPageCount, page < meta.pageCount else {
            tell(
                "page \(referrer.page ?? 0) refers to page \(page), beyond the environment's "
                    + "\(meta.pageCount) pages")
            return false
        }
        guard uses[Int(page)] == 0 else {
            tell(
                "page \(page) is reachable from two places, one of them page \(referrer.page ?? 0)")
            return false
        }
        // Until it is known what it is.
        uses[Int(page)] = PageUse.damaged.rawValue
        return true
    }

    private func note(_ referrer: PageReferrer, _ run: PageRun, _ flags: DatabaseFlags) {
        guard let wanted, run.start <= wanted, wanted - run.start < run.count,
            referrers.count < Self.referrersMax
        else { return }
        if referrers.isEmpty { self.flags = flags }
        referrers.append(referrer)
        if referrer.expected?.length != nil { runStart = run.start }
    }

    // MARK: Free pages

    private func walkFreePages() {
        let meta = meta
        walk(meta.free, .freePages, root) { [self] page, index, key in
            guard let field = page.value(index), field.kind == .inline else {
                return "entry \(index) is none of the free tree"
            }
            let value = UnsafeRawBufferPointer(start: field.bytes, count: field.count)
            let entry = key.withUnsafeBytes { FreeTreeEntry(key: $0, value: value) }
            let referrer = PageReferrer(
                kind: .freeTreeEntry, tree: .freePages, page: page.number, index: index, path: path)
            switch entry {
            case .available(let region):
                for run in region.runs { mark(run, .available, referrer) }
            case .freed(let freed):
                var referrer = referrer
                referrer.freedRange = freed.range
                for run in freed.runs { mark(run, .waiting, referrer) }
            case nil: return "entry \(index) is none of the free tree"
            }
            return nil
        }
        guard let freeList = subject.freeList else { return }
        var referrer = PageReferrer(kind: .freeList, page: subject.metaPage)
        for run in freeList.availableRuns { mark(run, .available, referrer) }
        freeList.forEachPending { run, range in
            referrer.freedRange = range
            mark(run, .waiting, referrer)
        }
    }

    private func mark(_ run: PageRun, _ use: PageUse, _ referrer: PageReferrer) {
        guard run.isInside(meta.pageCount) else {
            return tell("\(run.count) free pages from \(run.start) are beyond the environment")
        }
        note(referrer, run, [])
        for page in run.start..<run.end {
            guard uses[Int(page)] == 0 else {
                tell("page \(page) is free and in use, or free twice")
                // A few bytes can name as many pages again and again.
                return
            }
            uses[Int(page)] = use.rawValue
        }
    }
}

extension Page {
    /// A copy of a key as the page holds it.
    ///
    /// - Returns: nil if the entry reaches beyond the page.
    func keyBytes(_ index: Int) -> [UInt8]? {
        let buffer = UnsafeMutableRawPointer.allocate(
            byteCount: Format.keyBufferSize(pageSize: size), alignment: 8)
        defer { buffer.deallocate() }
        let length = copyKey(index, to: buffer)
        return length < 0 ? nil : Array(UnsafeRawBufferPointer(start: buffer, count: length))
    }
}
