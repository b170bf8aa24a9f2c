import Synchronization

/// Walking the trees of databases on several threads.
extension Verification {
    /// A page of a tree whose subtree is walked by itself; or, above such, a branch that has been looked at.
    private struct Node {
        let tree: VerifiedTree
        let reference: PageReference
        let level: Int
        let low: [UInt8]?
        let high: [UInt8]?
        /// Where the branch above is among the nodes; -1 for a root.
        let parent: Int
        /// Which child of that it is, and how many entries that counts below it, if it does.
        let child: Int
        let expected: UInt64?
        /// Where the tree is among the trees.
        let owner: Int
        var isSplit = false
        var counts = TreeCounts()
    }

    /// Walks databases, and compares their records with what is in them.
    func walkAll(_ databases: [VerifiedTree], _ walk: inout TreeWalk) throws(DatabaseError) {
        let threads = threadCount
        if threads > 1 { walk.deferred = [] }
        var (found, valueTrees) = walkTrees(databases, &walk, threads)
        walk.deferred = nil
        // Value trees have none below them.
        let foundValues = walkTrees(valueTrees, &walk, threads).found
        valueTrees = []
        try monitor.checkCancelled()
        var digest = ContentDigest()
        var isSound = true
        for values in foundValues { isSound = isSound && values.problems == 0 }
        for (index, tree) in databases.enumerated() {
            report.entries &+= tree.record.entries
            finish(tree, &found[index], walk, hasDigest: true)
            isSound = isSound && found[index].problems == 0
            var counted = tree.record
            counted.digest = found[index].digest
            let name = tree.databaseName ?? []
            name.withUnsafeBytes { digest += ContentDigest(ofDatabase: $0, counted) }
        }
        finishDigest(digest, isKnown: isSound && losses == 0)
    }

    /// How many threads are to work.
    private var threadCount: Int {
        guard subject.onPages == nil else { return 1 }
        guard options.threads == 0 else { return min(options.threads, VerifyOptions.threadsMax) }
        let bytes = meta.pageCount << UInt64(subject.source.pageShift)
        return bytes >= Self.threadedBytesMin ? min(2, JoinedThread.processors) : 1
    }

    /// Bytes of an environment for which a second thread pays.
    private static let threadedBytesMin: UInt64 = 32 << 20
    /// Leaves of a tree that is split.
    private static let splitLeavesMin: UInt64 = 512
    /// Subtrees that are enough for each thread.
    private static let subtreesMin = 32

    /// Walks trees.
    ///
    /// - Returns: what was found in each of them, and the value trees that were left.
    private func walkTrees(
        _ trees: [VerifiedTree], _ walk: inout TreeWalk, _ threads: Int
    ) -> (found: [TreeCounts], left: [VerifiedTree]) {
        guard !trees.isEmpty else { return ([], []) }
        var nodes = split(trees, &walk, threads)
        let subtrees = nodes.indices.filter { !nodes[$0].isSplit }
        let work = Work(subtrees.map { nodes[$0] })
        run(work, &walk, min(threads, subtrees.count))
        for (place, index) in subtrees.enumerated() { nodes[index].counts += work.found[place] }
        var found = [TreeCounts](repeating: TreeCounts(), count: trees.count)
        // Children come after their parents.
        for index in nodes.indices.reversed() {
            var node = nodes[index]
            if let expected = node.expected, expected != node.counts.entries,
                node.counts.losses == 0
            {
                walk.miscounted(
                    node.tree, nodes[node.parent].reference.number, expected, child: node.child,
                    node.counts.entries, nil, &node.counts)
            }
            if node.parent >= 0 {
                nodes[node.parent].counts += node.counts
            } else {
                found[node.owner] += node.counts
            }
        }
        for (index, tree) in trees.enumerated() {
            if let values = tree.values { walk.compareValues(tree, values, &found[index]) }
        }
        var left = work.left
        left.append(contentsOf: walk.deferred ?? [])
        if walk.deferred != nil { walk.deferred = [] }
        return (found, left)
    }

    // MARK: Splitting

    /// Cuts trees into subtrees, those of large trees at branches that it looks at.
    private func split(
        _ trees: [VerifiedTree], _ walk: inout TreeWalk, _ threads: Int
    ) -> [Node] {
        var nodes: [Node] = []
        for (index, tree) in trees.enumerated() where tree.state.depth > 0 {
            var first = nodes.count
            var level = tree.state.depth - 1
            nodes.append(
                Node(
                    tree: tree, reference: tree.state.root, level: level, low: nil, high: nil,
                    parent: -1, child: 0, expected: nil, owner: index))
            guard threads > 1, tree.state.record.leafPages >= Self.splitLeavesMin else { continue }
            while level > 1, nodes.count - first < threads * Self.subtreesMin {
                let end = nodes.count
                for place in first..<end { look(at: place, &nodes, &walk) }
                first = end
                level -= 1
            }
        }
        return nodes
    }

    /// Looks at a branch and adds its children to the nodes.
    private func look(at place: Int, _ nodes: inout [Node], _ walk: inout TreeWalk) {
        let node = nodes[place]
        nodes[place].isSplit = true
        withBounds(node) { bounds in
            guard
                let page = walk.look(
                    node.tree, node.reference, level: node.level, bounds, &nodes[place].counts)
            else { return }
            let keys = walk.keys
            for index in 0..<page.count {
                let low = index == 0 ? node.low : keys.load(page, index, slot: 0).map { Array($0) }
                let high =
                    index + 1 < page.count
                    ? keys.load(page, index + 1, slot: 0).map { Array($0) } : node.high
                nodes.append(
                    Node(
                        tree: node.tree, reference: page.child(index), level: node.level - 1,
                        low: low, high: high, parent: place, child: index,
                        expected: page.layout.contains(.counted) ? page.entryCount(index) : nil,
                        owner: node.owner))
            }
        }
    }

    private func withBounds(_ node: Node, _ body: (TreeWalk.Bounds) -> Void) {
        // An empty array has no address, and stands for no bound there.
        (node.low ?? []).withUnsafeBytes { low in
            (node.high ?? []).withUnsafeBytes { high in
                body(
                    TreeWalk.Bounds(
                        low: node.low == nil ? nil : low, high: node.high == nil ? nil : high))
            }
        }
    }

    // MARK: Threads

    /// Subtrees that threads take one after the other.
    private final class Work: @unchecked Sendable {
        let nodes: [Node]
        private let next = Atomic<Int>(0)
        private let mutex = Mutex()
        /// What was found in each. A place is written by the thread that took it.
        private let places: UnsafeMutablePointer<TreeCounts>
        // Under `mutex`, until the threads have ended.
        private(set) var left: [VerifiedTree] = []
        private(set) var treePages: UInt64 = 0
        private(set) var overflowPages: UInt64 = 0

        init(_ nodes: [Node]) {
            self.nodes = nodes
            places = .allocate(capacity: max(1, nodes.count))
            places.initialize(repeating: TreeCounts(), count: nodes.count)
        }

        deinit { places.deallocate() }

        var found: UnsafeBufferPointer<TreeCounts> {
            UnsafeBufferPointer(start: places, count: nodes.count)
        }

        func take() -> Int? {
            let place = next.add(1, ordering: .relaxed).oldValue
            return place < nodes.count ? place : nil
        }

        func put(_ counts: TreeCounts, at place: Int) { places[place] = counts }

        func add(_ walk: borrowing TreeWalk) {
            mutex.withLock {
                left.append(contentsOf: walk.deferred ?? [])
                treePages += walk.treePages
                overflowPages += walk.overflowPages
            }
        }
    }

    /// Walks subtrees on this thread and on others.
    private func run(_ work: Work, _ walk: inout TreeWalk, _ threads: Int) {
        var others: [JoinedThread] = []
        let (subject, defers) = (subject, walk.deferred != nil)
        for _ in 1..<max(1, threads) {
            monitor.threadBegins()
            let other = JoinedThread {
                var own = TreeWalk(subject, isCaller: false)
                if defers { own.deferred = [] }
                Self.walk(work, &own)
                work.add(own)
                subject.monitor.threadEnds()
            }
            // Fewer will do.
            guard let other else {
                monitor.threadEnds()
                break
            }
            others.append(other)
        }
        Self.walk(work, &walk)
        monitor.waitForThreads()
        for other in others { other.join() }
        report.treePages += work.treePages
        report.overflowPages += work.overflowPages
    }

    private static func walk(_ work: Work, _ walk: inout TreeWalk) {
        while !walk.isStopped, let place = work.take() {
            let node = work.nodes[place]
            (node.low ?? []).withUnsafeBytes { low in
                (node.high ?? []).withUnsafeBytes { high in
                    let counts = walk.walk(
                        node.tree, node.reference, level: node.level,
                        TreeWalk.Bounds(
                            low: node.low == nil ? nil : low, high: node.high == nil ? nil : high))
                    work.put(counts, at: place)
                }
            }
        }
        walk.tellPages()
    }
}
