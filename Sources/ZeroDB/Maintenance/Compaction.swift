import Glibc

/// Making the file shorter: moves pages from its end into free pages further up, by touching them in small
/// transactions that change no content, and cuts off what is free at the end then.
///
/// A step takes the writer's lock for one small transaction, or makes a checkpoint. What is to be moved is
/// looked for in a read transaction before. Each transaction is complete by itself: where a step is the
/// last, for whatever reason, nothing is lost and the next compaction goes on from there.
final class Compaction {
    /// What a compaction is to do.
    struct Options {
        /// Pages to be moved at most.
        var pagesMax = UInt64.max
        /// Pages of the file that are enough.
        var pageCountMin: UInt64 = 0
        /// Of the pages in use, the part that may stay free besides.
        var slackShare: UInt64 = 32
        /// Whether there is to be room for as many pages as may wait for a checkpoint.
        var sparesPinned = false
        /// Larger values of more pages stay where they are.
        var runMax = UInt64.max
        /// What has to be gained for it to begin, as a part of the file.
        var gainShare: UInt64 = 64
        /// Pages that have to be gained at least.
        var gainMin: UInt64 = 64
        /// Pages that may stay free at least.
        var slackMin: UInt64 = 32
        /// Pages that one transaction changes, about. Other writers wait that long.
        var budget: UInt64 = 8
        /// Pages that it looks at, and may fill another with.
        var looksMax = 16
        /// For how long the writer's lock is waited for.
        var wait = WriterWait.forever
        /// Whether a wait that comes to its end is no failure.
        var isPatient = false
        /// Whether the room of free pages that stay in the middle of the file is given back.
        var punchesHoles = false
        /// Bytes of a run that does: file systems keep account of each hole.
        var holeMin: UInt64 = 32 << 10
    }

    enum Step {
        /// Bytes were moved or looked at.
        case worked(bytes: UInt64)
        /// A part of the file was cut off.
        case cutOff
        /// A writer is at work.
        case busy
        case done
    }

    private enum Phase {
        case preparing
        case maturing
        case sweeping
        case finishing
        case punching
        case done
    }

    /// The trees, in the order in which they are swept.
    private enum Place {
        case main
        case named([UInt8])
        case catalog
        case free
    }

    let store: Store
    let options: Options
    private(set) var pagesMoved: UInt64 = 0
    private(set) var bytesPunched: UInt64 = 0
    /// Whether all that could be moved has been.
    private(set) var isFinished = false
    private var phase = Phase.preparing
    private var cutoff: UInt64 = 0
    private var place = Place.main
    private var key: [UInt8]?
    private var fills = false
    private var passes = 0
    private var movedInPass: UInt64 = 0
    private var isFinishing = false
    private var rounds = 0
    /// How often there was no room for what is at `key`.
    private var starved = 0
    private var skipped = 0

    private static let passesMax = 6
    private static let roundsMax = 3
    private static let maturedMax: UInt64 = 192
    private static let looksMax = 4096
    private static let skippedMax = 256

    init(_ store: Store, _ options: Options) {
        self.store = store
        self.options = options
    }

    private var pageSize: UInt64 { UInt64(store.pageSize) }

    /// - Throws: what a commit or a checkpoint throws; nothing is half done then.
    func step() throws(DatabaseError) -> Step {
        do throws(DatabaseError) {
            switch phase {
            case .preparing: return try prepare()
            case .maturing: return try mature()
            case .sweeping: return try sweep()
            case .finishing: return try finish()
            case .punching: return try punch()
            case .done: return .done
            }
        } catch {
            if error.code == .busy, options.isPatient { return .busy }
            throw error
        }
    }

    /// Lets commits take pages wherever they like again.
    func end() {
        if cutoff > 0 { store.shared.allocationLimit = 0 }
    }

    // MARK: Beginning and ending

    private func prepare() throws(DatabaseError) -> Step {
        try store.checkPoison()
        let meta = try store.tipMeta()
        if meta.freePages > meta.takablePages {
            try store.makeCheckpoint(holding: store.shared.tip)
        }
        phase = .maturing
        return .worked(bytes: 0)
    }

    /// Makes pages available that wait and need not any more, and cuts off those at the end.
    private func mature() throws(DatabaseError) -> Step {
        let before = try store.tipMeta()
        let progress = Shrinking.Progress()
        try shrink(
            Shrinking(
                maturedMax: Self.maturedMax, pageCountMin: pageCount(before),
                cutMin: isFinishing
                    ? 1 : max(options.gainMin, before.pageCount / options.gainShare),
                progress: progress))
        if progress.maturedPages >= Self.maturedMax / 4 { return .worked(bytes: pageSize * 8) }
        if isFinishing {
            phase = .finishing
        } else {
            aim(try store.tipMeta())
        }
        return .worked(bytes: pageSize * 8)
    }

    /// Pages that a file of this state should have: those that are in use, and so many free ones that commits
    /// need not make it longer again. Those that wait, or will until the next checkpoint, are no use to them.
    private func pageCount(_ meta: Meta) -> UInt64 {
        let used = meta.pageCount - min(meta.pageCount, meta.freePages)
        var waiting = meta.freePages - meta.takablePages
        if options.sparesPinned { waiting = max(waiting, store.pinnedMax(used: used)) }
        return pageCount(used: used, waiting: waiting)
    }

    private func pageCount(used: UInt64, waiting: UInt64) -> UInt64 {
        let slack = waiting + max(options.slackMin, used / options.slackShare)
        return max(used + slack + Commit.reserve(used), options.pageCountMin)
    }

    /// Whether the file has more pages than it should because more wait than commits alone have waiting: more
    /// may wait as long as there is much room, as there was when the compaction began.
    private func hasMuchWaiting(_ meta: Meta) -> Bool {
        guard options.sparesPinned else { return false }
        let used = meta.pageCount - min(meta.pageCount, meta.freePages)
        let enough = pageCount(used: used, waiting: store.pinnedMax(used: used))
        return meta.pageCount > enough + max(options.gainMin, enough / 16)
    }

    /// Decides how short the file can be, and where the sweep begins.
    private func aim(_ meta: Meta) {
        cutoff = pageCount(meta)
        let gainMin = max(options.gainMin, meta.pageCount / options.gainShare)
        guard meta.pageCount > cutoff + gainMin, passes < Self.passesMax else {
            phase = .finishing
            return
        }
        passes += 1
        movedInPass = 0
        skipped = 0
        place = .main
        key = nil
        store.shared.allocationLimit = cutoff
        phase = .sweeping
        fills = false
        needsSample = true
    }

    private var needsSample = false

    private func finish() throws(DatabaseError) -> Step {
        guard isFinishing else {
            // What the sweep has moved waits for a checkpoint.
            isFinishing = true
            try store.makeCheckpoint(holding: store.shared.tip)
            phase = .maturing
            return .worked(bytes: 0)
        }
        // The shorter state must be on disk, and then the file may be cut off.
        if store.shared.lowered > store.shared.checkpoint {
            try store.makeCheckpoint(holding: store.shared.tip)
        }
        guard try store.cutOffPart(options.wait) == 0 else { return .cutOff }
        let meta = try store.tipMeta()
        let enough = pageCount(meta)
        let gainMin = max(options.gainMin, enough / options.gainShare)
        isFinished = try store.dataFile.size() <= (enough + gainMin) * pageSize
        if isFinished, rounds < Self.roundsMax, hasMuchWaiting(meta) {
            rounds += 1
            passes = 0
            isFinishing = false
            phase = .preparing
            return .worked(bytes: 0)
        }
        end()
        guard options.punchesHoles else {
            phase = .done
            return .done
        }
        phase = .punching
        return .worked(bytes: 0)
    }

    // MARK: Holes

    /// The region in which it goes on.
    private var region: UInt64 = 0
    /// Bytes that lose their room in one step: other writers wait that long.
    private static let punchedMax: UInt64 = 8 << 20
    /// Regions that it looks at in one: each of their runs takes a system call, also where it is a hole.
    private static let punchLooksMax = 64

    /// Gives back the room of some free pages. Nothing needs what is in them, and no transaction takes them
    /// as long as this one has the writer's lock: it is as if one had written zeros to them and had then
    /// failed. Those in the free list, which are taken next, keep theirs.
    private func punch() throws(DatabaseError) -> Step {
        store.beginMaintenance()
        defer { store.endMaintenance() }
        let claim = try Transactions.beginWrite(
            store.state, durability: .relaxed, wait: options.wait)
        defer { Transactions.end(claim) }
        guard let write = claim.state.pointee.write else { return .done }
        let free = FreeTree(
            writer: TreeWriter(
                source: claim.state.pointee.source, workspace: write.pointee.workspace,
                tree: withUnsafeMutablePointer(to: &write.pointee.free) { $0 },
                transaction: claim.state.pointee.id),
            meta: withUnsafeMutablePointer(to: &claim.state.pointee.meta) { $0 }, store: store)
        defer { free.deallocate() }
        let before = bytesPunched
        var looks = Self.punchLooksMax
        var failure: DatabaseError?
        var next: UInt64?
        try free.forEachRegion(from: region) { region in
            guard looks > 0, bytesPunched - before < Self.punchedMax else {
                next = region.number
                return false
            }
            looks -= 1
            do throws(DatabaseError) {
                for run in region.runs { try punch(run) }
            } catch {
                failure = error
            }
            return failure == nil
        }
        if let failure { throw failure }
        guard let next else {
            phase = .done
            return .done
        }
        region = next
        return .worked(bytes: bytesPunched - before)
    }

    private func punch(_ run: PageRun) throws(DatabaseError) {
        let part = run.start * pageSize..<run.end * pageSize
        guard part.upperBound - part.lowerBound >= options.holeMin else { return }
        // What is a hole already is passed by.
        var start = part.lowerBound
        while start < part.upperBound, let data = try store.dataFile.dataRange(from: start),
            data.lowerBound < part.upperBound
        {
            let hole = max(start, data.lowerBound)..<min(part.upperBound, data.upperBound)
            try store.dataFile.punchHole(hole)
            bytesPunched += hole.upperBound - hole.lowerBound
            start = hole.upperBound
        }
    }

    // MARK: Transactions

    /// Runs a transaction that changes no content.
    private func write(
        _ shrinking: Shrinking,
        _ body: (UnsafeMutablePointer<TransactionState>) throws(DatabaseError) -> Void
    ) throws(DatabaseError) -> UInt64 {
        store.beginMaintenance()
        defer { store.endMaintenance() }
        let claim = try Transactions.beginWrite(
            store.state, durability: .relaxed, wait: options.wait)
        var pages: UInt64 = 0
        do throws(DatabaseError) {
            guard let write = claim.state.pointee.write else { return 0 }
            write.pointee.shrinking = shrinking
            write.pointee.workspace.pointee.isLimited = false
            try body(claim.state)
            guard write.pointee.workspace.pointee.isDirty else {
                Transactions.end(claim)
                return 0
            }
            pages = write.pointee.workspace.pointee.frames.pointee.dirtyPages
        } catch {
            Transactions.end(claim)
            throw error
        }
        try Transactions.commit(claim)
        return pages
    }

    /// Changes the free pages only. Where not even the free tree finds a page for its changes, all stays.
    private func shrink(_ shrinking: Shrinking) throws(DatabaseError) {
        do throws(DatabaseError) {
            _ = try write(shrinking) { state in
                state.pointee.write?.pointee.workspace.pointee.isDirty = true
            }
        } catch {
            guard error.code == .full else { throw error }
        }
    }

    // MARK: Sweeping

    private func sweep() throws(DatabaseError) -> Step {
        if needsSample { try sample() }
        var relocation = Relocation(
            cutoff: cutoff, fills: fills, runMax: options.runMax,
            budget: starved < 2 ? options.budget : 1, looks: Self.looksMax)
        guard pagesMoved < options.pagesMax, skipped < Self.skippedMax else { return endSweep() }
        let isFound = try find(&relocation)
        let looked = UInt64(max(0, Self.looksMax - relocation.looks))
        guard isFound else {
            if let next = relocation.next {
                key = next
            } else if try !moveOn() {
                return endSweep()
            }
            return .worked(bytes: looked * pageSize / 4)
        }
        let start = relocation.next
        relocation.looks = options.looksMax
        do throws(DatabaseError) {
            let pages = try write(Shrinking(limit: cutoff, maturedMax: Self.maturedMax / 4)) {
                state throws(DatabaseError) in
                try relocate(state, from: start, &relocation)
            }
            pagesMoved += pages
            store.shared.count(.pagesMoved, pages)
            movedInPass += pages
            starved = 0
            try advance(to: relocation.next)
            return .worked(bytes: (pages + looked / 4) * pageSize)
        } catch {
            guard error.code == .full else { throw error }
            starved += 1
            if starved > 2 {
                // A value that is longer than any free run, for example.
                skipped += 1
                starved = 0
                try advance(to: relocation.next)
            } else {
                key = start
                try store.makeCheckpoint(holding: store.shared.tip)
                try shrink(Shrinking(maturedMax: Self.maturedMax * 4))
                store.shared.allocationLimit = cutoff
            }
            return .worked(bytes: pageSize)
        }
    }

    private func advance(to next: [UInt8]?) throws(DatabaseError) {
        if next != nil {
            key = next
        } else if try !moveOn() {
            _ = endSweep()
        }
    }

    private func endSweep() -> Step {
        // Once more, for what has come to lie there meanwhile.
        if movedInPass > 0, passes < Self.passesMax, pagesMoved < options.pagesMax,
            skipped < Self.skippedMax
        {
            phase = .preparing
        } else {
            phase = .finishing
        }
        return .worked(bytes: 0)
    }

    /// Whether leaves are so sparse on average that they are filled. Each tree decides for itself.
    private func sample() throws(DatabaseError) {
        needsSample = false
        fills = false
        let claim = try Transactions.beginRead(store.state)
        defer { Transactions.end(claim) }
        guard let tree = try tree(claim.state), tree.record.leafPages >= 32 else { return }
        fills = try LeafSample(claim.state.pointee.source, tree).isSparse()
    }

    /// The tree of the place, in a read transaction.
    private func tree(
        _ state: UnsafeMutablePointer<TransactionState>
    ) throws(DatabaseError) -> TreeState? {
        var tree = TreeState()
        tree.status = .present
        switch place {
        case .main: tree.record = state.pointee.meta.main
        case .catalog: tree.record = state.pointee.meta.catalog
        case .free: tree.record = state.pointee.meta.free
        case .named(let name):
            let source = state.pointee.source
            let catalog = state.pointee.meta.catalog
            let record = try name.withBytes { name throws(DatabaseError) -> TreeRecord? in
                guard let bytes = try TreeRead.get(source, catalog, key: name) else { return nil }
                return try TransactionState.record(in: bytes, of: name)
            }
            guard let record else { return nil }
            tree.record = record
        }
        return tree
    }

    private func find(_ relocation: inout Relocation) throws(DatabaseError) -> Bool {
        let claim = try Transactions.beginRead(store.state)
        defer { Transactions.end(claim) }
        guard let tree = try tree(claim.state) else { return false }
        return try TreeRead.findMovable(claim.state.pointee.source, tree, from: key, &relocation)
    }

    /// Goes to the next tree.
    ///
    /// - Returns: false if there is none.
    private func moveOn() throws(DatabaseError) -> Bool {
        key = nil
        needsSample = true
        switch place {
        case .main: return try moveToName(after: nil)
        case .named(let name): return try moveToName(after: name)
        case .catalog: place = .free
        case .free: return false
        }
        return true
    }

    private func moveToName(after name: [UInt8]?) throws(DatabaseError) -> Bool {
        let claim = try Transactions.beginRead(store.state)
        defer { Transactions.end(claim) }
        if let next = try self.name(after: name, claim.state) {
            place = .named(next)
        } else {
            place = .catalog
        }
        return true
    }

    private func name(
        after name: [UInt8]?, _ state: UnsafeMutablePointer<TransactionState>
    ) throws(DatabaseError) -> [UInt8]? {
        var tree = TreeState()
        tree.record = state.pointee.meta.catalog
        guard tree.depth > 0 else { return nil }
        let source = state.pointee.source
        let path = state.pointee.needPath()
        let last = tree.depth - 1
        if let name {
            _ = try (name + [0]).withBytes { key throws(DatabaseError) in
                try TreeRead.descend(source, tree, to: key, path: path)
            }
        } else {
            try TreeRead.descend(
                source, tree, to: .first, path: path, from: 0, reference: tree.root)
        }
        if path[last].index >= Page(path[last].page, size: source.pageSize).count {
            guard try TreeRead.moveToNeighbor(source, tree, forward: true, path: path) else {
                return nil
            }
        }
        return try Relocation.key(
            path[last].index, of: Page(path[last].page, size: source.pageSize), source)
    }

    private func relocate(
        _ state: UnsafeMutablePointer<TransactionState>, from key: [UInt8]?,
        _ relocation: inout Relocation
    ) throws(DatabaseError) {
        guard let write = state.pointee.write else { return }
        let tree: UnsafeMutablePointer<TreeState>
        switch place {
        case .main: tree = state.pointee.trees
        case .catalog: tree = withUnsafeMutablePointer(to: &write.pointee.catalog) { $0 }
        case .free: tree = withUnsafeMutablePointer(to: &write.pointee.free) { $0 }
        case .named(let name):
            let handle = try name.withBytes { name throws(DatabaseError) in
                try store.databaseHandle(name)
            }
            let isThere = try name.withBytes { name throws(DatabaseError) in
                try state.pointee.lookUp(handle, name: name)
            }
            guard isThere else { return }
            tree = state.pointee.trees + handle
        }
        let writer = TreeWriter(
            source: state.pointee.source, workspace: write.pointee.workspace, tree: tree,
            transaction: state.pointee.id)
        try writer.relocate(from: key, &relocation)
    }
}

/// How full some leaves of a tree are.
private struct LeafSample {
    let source: PageSource
    let tree: TreeState

    private static let size = 48

    init(_ source: PageSource, _ tree: TreeState) {
        self.source = source
        self.tree = tree
    }

    /// Whether they are less than seven tenths full on average, as random puts leave them.
    func isSparse() throws(DatabaseError) -> Bool {
        var random: UInt64 = 0x9e37_79b9_7f4a_7c15
        var bytes = 0
        for _ in 0..<Self.size {
            var reference = tree.root
            for level in stride(from: tree.depth - 1, to: 0, by: -1) {
                let page = try source.page(reference, level: level, layout: tree.branchLayout)
                guard page.count > 0, page.slotsAreInBounds else { throw source.badEntry(page) }
                random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                reference = page.child(Int((random >> 33) % UInt64(page.count)))
            }
            bytes += try source.page(reference, level: 0).liveSize
        }
        return bytes < Self.size * Page.capacity(pageSize: source.pageSize) * 68 / 100
    }
}

extension Compaction {
    /// Nanoseconds until the next attempt where a writer is at work.
    private static let busyPause: UInt64 = 20_000_000

    /// How much longer than a step the pause after it is at least: other writers seldom wait for one.
    private static let restShare: UInt64 = 10

    /// Steps of compactions in the background: the function returns the pause after a step, nil at the end.
    static func inBackground(_ store: Store) -> @Sendable () -> UInt64? {
        let rate = store.options.autoCompactRate
        let current = Locked<Current>(Current())
        return { [weak store] in
            guard let store else { return nil }
            return current.withLock { current in
                let compaction = current.compaction ?? begin(store)
                current.compaction = compaction
                var step = Step.done
                let began = SystemCall.monotonicNanoseconds()
                do throws(DatabaseError) {
                    step = try compaction.step()
                } catch {
                    store.reportLongFile(error)
                }
                switch step {
                case .busy: return busyPause
                case .worked(let bytes):
                    let (product, isTooLarge) = bytes.multipliedReportingOverflow(
                        by: 1_000_000_000)
                    let pause = rate == 0 || isTooLarge ? 0 : product / rate
                    let spent = SystemCall.monotonicNanoseconds() - began
                    return max(pause, spent * restShare)
                case .cutOff:
                    return (SystemCall.monotonicNanoseconds() - began) * Store.restShare
                case .done:
                    compaction.end()
                    compaction.reportEnd()
                    current.compaction = nil
                    current.failures = compaction.isFinished ? 0 : current.failures + 1
                    store.noteCompactionEnd(failures: current.failures)
                    return nil
                }
            }
        }
    }

    private func reportEnd() {
        store.report(
            .information,
            "a compaction of \(store.path) in the background has moved \(pagesMoved) pages"
                + (isFinished ? "" : "; it will go on"))
    }

    private struct Current {
        var compaction: Compaction?
        var failures = 0
    }

    private static func begin(_ store: Store) -> Compaction {
        var options = Options()
        options.sparesPinned = true
        options.gainShare = 32
        options.runMax = max(1, (1 << 20) / UInt64(store.pageSize))
        options.wait = Store.maintenanceWait
        options.isPatient = true
        return Compaction(store, options)
    }
}
