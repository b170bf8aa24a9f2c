/// What the pages of a snapshot are for, and who keeps those that are free from being used again.
public struct SpaceUse: Sendable {
    /// A database and the room that it takes.
    public struct DatabaseUse: Sendable, Equatable {
        /// Nil for the main database.
        public var name: [UInt8]?
        /// Its counts.
        public var statistics: DatabaseStatistics
        /// How full its leaves are, from 0 to 1; nil if it has none that can be read.
        public var fill: Double?
        /// Whether all of its leaves were looked at. If not, `fill` is that of some, from all over it.
        public var isFillExact = true
    }

    /// A state that keeps free pages.
    public struct Pin: Sendable, Equatable {
        /// The transaction whose state it is.
        public var transaction: UInt64
        /// Whether it is what a crash would leave. If not, a reader sees it.
        public var isDurable: Bool
        /// Free pages that it needs.
        public var pages: UInt64
        /// Those of them that no other state needs.
        public var alone: UInt64
    }

    /// The transaction whose state it is.
    public var transaction: UInt64
    /// Pages of the state.
    public var pages: UInt64
    /// The main database, then the others.
    public var databases: [DatabaseUse] = []
    /// Pages of the tree of the databases' names.
    public var catalogPages: UInt64
    /// Pages of the tree of free pages.
    public var freeTreePages: UInt64
    /// Free pages that can be used at once.
    public var availablePages: UInt64
    /// Free pages that were needed when they were freed, and may still be.
    public var waitingPages: UInt64
    /// The states that keep free pages, the oldest first.
    public var pins: [Pin] = []
    /// What could not be looked at.
    public var problems: [String] = []
}

/// Finding out what a snapshot uses, without a look at all of its pages.
struct SpaceSurvey {
    private let source: PageSource
    private let meta: Meta
    private let leavesMax: UInt64
    private var trees: SoundTrees
    private var use: SpaceUse

    /// - Parameter leavesMax: leaves of a database that are looked at for its fill.
    init(_ source: PageSource, _ meta: Meta, leavesMax: UInt64) {
        self.source = source
        self.meta = meta
        self.leavesMax = leavesMax
        trees = SoundTrees(source)
        use = SpaceUse(
            transaction: meta.transaction, pages: meta.pageCount,
            catalogPages: meta.catalog.branchPages &+ meta.catalog.leafPages,
            freeTreePages: meta.free.branchPages &+ meta.free.leafPages,
            availablePages: meta.takablePages, waitingPages: meta.freePages - meta.takablePages)
    }

    /// - Parameters:
    ///   - name: of the only database that is looked at; empty for the main one, nil for all.
    ///   - states: those that may need free pages.
    ///   - durable: those of them that a crash would leave.
    mutating func run(
        database name: [UInt8]?, _ freeList: FreeList?, states: [UInt64], durable: Set<UInt64>
    ) -> SpaceUse {
        defer { trees.deallocate() }
        if name == nil || name == [] { add(nil, meta.main) }
        if name != [] {
            for (found, record) in catalog() where name == nil || name == found {
                add(found, record)
            }
        }
        countPins(freeList, states: states, durable: durable)
        return use
    }

    // MARK: Databases

    private mutating func catalog() -> [([UInt8], TreeRecord)] {
        var found: [([UInt8], TreeRecord)] = []
        walk(meta.catalog) { trees, leaf in
            for index in 0..<leaf.count {
                guard let field = leaf.value(index), field.kind == .inline,
                    field.count == TreeRecord.size
                else { continue }
                let record = TreeRecord(at: field.bytes)
                if record.isPlausible { found.append((trees.key(of: leaf, index), record)) }
            }
        }
        return found
    }

    private mutating func walk(
        _ record: TreeRecord, _ body: (inout SoundTrees, Page) -> Void
    ) {
        var tree = TreeState()
        tree.record = record
        var problems: [String] = []
        do throws(DatabaseError) {
            try trees.walk(tree) { error, _, _ in
                problems.append(error.message)
            } _: { trees, leaf throws(DatabaseError) in
                body(&trees, leaf)
            }
        } catch {
            problems.append(error.message)
        }
        use.problems += problems.prefix(max(0, Self.problemsMax - use.problems.count))
    }

    private mutating func add(_ name: [UInt8]?, _ record: TreeRecord) {
        var found = SpaceUse.DatabaseUse(
            name: name, statistics: DatabaseStatistics(record, pageSize: source.pageSize))
        var fill = FillHistogram()
        var state = TreeState()
        state.record = record
        if record.depth > 0 {
            found.isFillExact = sample(
                state, record.root, level: Int(record.depth) - 1, leavesMax, &fill)
        }
        found.fill = fill.fill
        use.databases.append(found)
    }

    /// Looks at some leaves, spread evenly over those of a tree.
    ///
    /// - Parameter budget: how many at most.
    /// - Returns: whether these are all.
    private mutating func sample(
        _ state: TreeState, _ reference: PageReference, level: Int, _ budget: UInt64,
        _ fill: inout FillHistogram
    ) -> Bool {
        let page: Page
        do throws(DatabaseError) {
            page = try source.page(reference, level: level, layout: state.layout(level: level))
        } catch {
            if use.problems.count < Self.problemsMax { use.problems.append(error.message) }
            return false
        }
        guard level > 0 else {
            fill.add(used: page.liveSize, of: Page.capacity(pageSize: page.size))
            return true
        }
        let count = UInt64(page.count)
        let looked = max(1, min(count, budget))
        var isExact = looked == count
        for place in 0..<looked {
            let part = budget * (place + 1) / looked - budget * place / looked
            let index = Int(count * place / looked)
            if !sample(state, page.child(index), level: level - 1, max(1, part), &fill) {
                isExact = false
            }
        }
        return isExact
    }

    private static let problemsMax = 100

    // MARK: Free pages

    private mutating func countPins(
        _ freeList: FreeList?, states: [UInt64], durable: Set<UInt64>
    ) {
        let states = Set(states).union(durable).sorted()
        // From one place to the next: how many more pages are needed.
        var changes = [Int64](repeating: 0, count: states.count + 1)
        var alone = [UInt64](repeating: 0, count: states.count)
        func place(of transaction: UInt64) -> Int {
            var (low, high) = (0, states.count)
            while low < high {
                let middle = (low + high) / 2
                if states[middle] < transaction { low = middle + 1 } else { high = middle }
            }
            return low
        }
        func count(_ range: StateRange, _ run: PageRun) {
            let (first, end) = (place(of: range.birth), place(of: range.end))
            guard first < end else { return }
            let pages = Int64(truncatingIfNeeded: run.count)
            changes[first] &+= pages
            changes[end] &-= pages
            if end - first == 1 { alone[first] &+= run.count }
        }
        walk(meta.free) { trees, leaf in
            for index in 0..<leaf.count {
                guard let field = leaf.value(index), field.kind == .inline else { continue }
                let value = UnsafeRawBufferPointer(start: field.bytes, count: field.count)
                trees.key(of: leaf, index).withUnsafeBytes { key in
                    guard case .freed(let freed) = FreeTreeEntry(key: key, value: value) else {
                        return
                    }
                    for run in freed.runs { count(freed.range, run) }
                }
            }
        }
        freeList?.forEachPending { run, range in count(range, run) }
        var pages: Int64 = 0
        for (index, state) in states.enumerated() {
            pages &+= changes[index]
            guard pages > 0 else { continue }
            use.pins.append(
                SpaceUse.Pin(
                    transaction: state, isDurable: durable.contains(state), pages: UInt64(pages),
                    alone: alone[index]))
        }
    }
}
