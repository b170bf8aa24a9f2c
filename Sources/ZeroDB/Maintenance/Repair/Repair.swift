import CZeroDBPlatform
import Glibc

/// Mends an environment in place (docs/internals/repair.md). The steps:
///
/// 1. The newest usable meta record is read, and its trees are surveyed. If they are damaged, new ones are
///    made of what is proved to belong to them. New pages go behind the end of the file.
/// 2. The log is replayed on top of that, which takes new pages behind the end too.
/// 3. The free pages are recorded anew, the result is surveyed, what is about to change is copied, and then
///    one write of a meta page makes the new state the newest.
///
/// Until that write the environment is as it was, and after it it is mended.
final class Repair: @unchecked Sendable {
    let path: PathBytes
    let options: RepairOptions
    let fileSystem: any FileSystem
    var report = RepairReport()

    // What `prepare` finds.
    private var before: RepairMeta?
    private var sizeBefore: UInt64 = 0
    private(set) var pages: RepairPages?
    private var walk: RepairWalk?
    private var ids: [[UInt8]: UInt32] = [:]
    private var log = RepairLog.Condition.empty
    /// Whether a new state is written.
    private var isChanging = false
    private var isPublished = false
    /// No transaction that the file or log tells of is newer.
    private var newestSeen: UInt64 = 0
    private var source: (any StorageFile)?

    private static let catalogID: UInt32 = 1
    private static let freeID: UInt32 = 2
    private static let mainID: UInt32 = 3

    init(path: PathBytes, options: RepairOptions, fileSystem: any FileSystem) {
        self.path = path
        self.options = options
        self.fileSystem = fileSystem
    }

    /// - Throws: `busy` if anything has the environment open; `corrupted` where nothing can be mended, or
    ///   only by cutting off the log; `invalidFile`, `versionMismatch`, `unsupported`, or a system error.
    ///   Then nothing has changed but the length of the data file, at most.
    func run() throws(DatabaseError) -> RepairReport {
        let error = zp_watch_forks()
        guard error == 0 else { throw DatabaseError(systemError: error, "watch for forks") }
        Transactions.prepare()
        if let path = options.sourcePath {
            source = try fileSystem.openDirectory(PathBytes(path), create: nil)
                .open(StoreOpening.dataName, access: .readOnly, create: false, mode: 0)
        }
        defer { source?.close() }
        var opening = EnvironmentOptions()
        opening.createsIfMissing = false
        opening.usesThread = false
        opening.writerWaitMilliseconds = 200
        opening.root = { (file, directory) throws(DatabaseError) in
            try self.prepare(file, directory)
        }
        let store = try Store(path: path, options: opening, fileSystem: fileSystem)
        defer { store.release() }
        do throws(DatabaseError) {
            try finish(store)
        } catch {
            if !isPublished { cutOff(store.dataFile) }
            throw error
        }
        return report
    }

    /// Takes away what was written behind the end.
    private func cutOff(_ file: any StorageFile) {
        guard let size = try? file.size(), size > sizeBefore else { return }
        try? file.truncate(to: sizeBefore)
    }

    // MARK: The trees

    /// Surveys what is there and rebuilds the trees if anything is damaged.
    ///
    /// - Returns: the state to replay the log on.
    private func prepare(
        _ file: any StorageFile, _ directory: any StorageDirectory
    ) throws(DatabaseError) -> MetaPages.Loaded {
        sizeBefore = try file.size()
        do throws(DatabaseError) {
            let before = try RepairMeta(file)
            self.before = before
            return try prepare(before, file, LogDirectory(in: directory))
        } catch {
            cutOff(file)
            throw error
        }
    }

    private func prepare(
        _ before: RepairMeta, _ file: any StorageFile, _ directory: LogDirectory
    ) throws(DatabaseError) -> MetaPages.Loaded {
        var meta = before.meta
        let pageSize = Int(meta.pageSize)
        // The last one may have been cut off in a part that nothing needs.
        let inFile = (sizeBefore + UInt64(pageSize) - 1) / UInt64(pageSize)
        // No reference of the damaged state can take a page of this transaction for its own: it is newer.
        let pages = try RepairPages(
            file, pageSize: pageSize, seed: meta.checksumSeed, next: inFile,
            stamp: meta.transaction + 1, source: source)
        self.pages = pages
        let walk = RepairWalk(
            pages, meta, limit: min(meta.pageCount, inFile),
            previousCheckpoint: before.previousCheckpoint)
        self.walk = walk
        log = try RepairLog.look(after: meta, in: directory)
        newestSeen = meta.transaction
        if case .damaged(let damage) = log { try checkLog(damage) }
        if !before.lostPages.isEmpty {
            newestSeen = newestTransaction(pages, inFile: inFile, meta)
            lose(
                "both copies of the record in meta page \(before.lostPages[0]) are damaged: commits after "
                    + "transaction \(meta.transaction) may be lost, as far as the log does not have them"
            )
        }
        let isSpaceSound = try surveySpace(walk, before)
        try survey(walk)
        let whole = sizeBefore / UInt64(pageSize)
        if whole < meta.pageCount { walk.noteDamage() }
        let isDamaged = walk.damages > 0
        var isChanging = isDamaged || !isSpaceSound || !before.lostPages.isEmpty
        if case .empty = log {} else { isChanging = true }
        self.isChanging = isChanging
        guard isChanging else { return MetaPages.Loaded(meta: meta, page: before.page) }
        if meta.pageCount > whole {
            report.actions.append(
                "the file had \(whole) of \(meta.pageCount) pages; what was in the others is lost")
        }
        if isDamaged { try rebuild(walk, &meta) }
        meta.free = TreeRecord()
        meta.availablePages = 0
        meta.pendingPages = 0
        meta.youngPages = 0
        meta.freeListAvailable = 0
        meta.freeListPending = 0
        meta.pageCount = pages.next
        try pages.keepRoom(pages.next)
        return MetaPages.Loaded(meta: meta, page: before.page)
    }

    private func lose(_ description: String) {
        report.losses.append(RepairLoss(database: nil, description: description))
    }

    private func checkLog(_ damage: String) throws(DatabaseError) {
        guard !options.truncatesLog else { return }
        throw DatabaseError(
            .corrupted,
            "the log is damaged: \(damage); it can be cut off there (--truncate-log), which loses the "
                + "transactions behind")
    }

    /// The newest transaction that a page of the file tells of.
    private func newestTransaction(_ pages: RepairPages, inFile: UInt64, _ meta: Meta) -> UInt64 {
        let buffer = pages.borrow()
        defer { pages.giveBack(buffer) }
        let page = Page(buffer, size: pages.pageSize)
        var newest = meta.transaction
        for number in Format.metaPageCount..<max(inFile, Format.metaPageCount)
        where pages.read(number, pages.pageSize, into: buffer) && page.number == number
            && page.transaction > newest && page.transaction - meta.transaction < 1 << 32
            && pages.hasChecksum(buffer, pages.pageSize)
        {
            newest = page.transaction
        }
        return newest
    }

    private func tree(
        _ name: [UInt8], _ record: TreeRecord
    ) -> RepairTree {
        let id = name.isEmpty ? Self.mainID : ids[name] ?? UInt32(clamping: ids.count) + 4
        if !name.isEmpty { ids[name] = id }
        return RepairTree(id: id, name: name, content: .pairs, record: record)
    }

    private func catalog(_ meta: Meta) -> (tree: RepairTree, digest: ContentDigest) {
        var digest = meta.digest
        digest -= ContentDigest(ofMain: meta.main)
        return (
            RepairTree(id: Self.catalogID, name: nil, content: .catalog, record: meta.catalog),
            digest
        )
    }

    private func survey(_ walk: RepairWalk) throws(DatabaseError) {
        let meta = walk.meta
        let catalog = catalog(meta)
        try walk.survey(catalog.tree, digest: catalog.digest)
        try walk.survey(tree([], meta.main), digest: meta.main.digest)
        for (name, record) in walk.databases {
            try walk.survey(tree(name, record), digest: record.digest)
        }
        try walk.surveyNamed()
        // What is neither used nor free.
        guard let free = walk.free else { return }
        for page in Format.metaPageCount..<max(walk.limit, Format.metaPageCount)
        where walk.owners[Int(page)] == 0 && !free.contains(page) { return walk.noteDamage() }
    }

    /// Surveys the free pages, first of all: what is named there is evidence of what trees do not
    /// own, if nothing is wrong with it.
    private func surveySpace(
        _ walk: RepairWalk, _ before: RepairMeta
    ) throws(DatabaseError) -> Bool {
        let meta = walk.meta
        let tree = RepairTree(id: Self.freeID, name: nil, content: .freeSpace, record: meta.free)
        try walk.survey(tree, digest: nil)
        var free = PageSet(count: walk.limit)
        var isSound = walk.damages == 0 && before.freeRuns != nil
        isSound =
            isSound && walk.freeCounts.available == meta.availablePages
            && walk.freeCounts.pending == meta.pendingPages
            && walk.freeCounts.young == meta.youngPages
        for run in walk.freeRuns + (before.freeRuns ?? []) where isSound {
            guard run.isInside(meta.pageCount) else {
                isSound = false
                break
            }
            for page in min(run.start, walk.limit)..<min(run.end, walk.limit)
            where walk.owners[Int(page)] != 0 || !free.insert(page) {
                isSound = false
                break
            }
        }
        if isSound {
            walk.free = free
        } else {
            report.actions.append("the record of the free pages was damaged; it was made anew")
        }
        return isSound
    }

    // MARK: Rebuilding

    private func rebuild(_ walk: RepairWalk, _ meta: inout Meta) throws(DatabaseError) {
        let surveyed = walk.databases
        walk.phase = .rebuild
        try judge(walk, surveyed)
        walk.databases = []
        let catalog = catalog(meta)
        let start = walk.mark()
        let rebuilt = try walk.rebuild(
            catalog.tree, walk.wantedRoot(of: catalog.tree, parent: meta.transaction),
            expected: catalog.digest, isNamed: false)
        if !rebuilt.isProved, !walk.hasLost(since: start), meta.catalog.depth > 0 {
            lose("the digest of the environment does not fit its databases: some may be missing")
        }
        // The catalog is small: it is written as a whole if anything of it changes.
        let databases = walk.databases
        var entries: [(name: [UInt8], record: TreeRecord)] = []
        let main = try rebuild(walk, tree([], meta.main), isSurveyed: true)
        let known = Set(surveyed.map(\.name))
        for (name, record) in databases {
            let record = try rebuild(
                walk, tree(name, record), isSurveyed: known.contains(name))
            entries.append((name, record))
        }
        let isSame =
            rebuilt.root == meta.catalog.root
            && zip(entries, databases).allSatisfy { $0.record == $1.record }
        if !isSame || meta.catalog.entries != UInt64(entries.count) {
            meta.catalog = try writeCatalog(walk, entries, like: meta.catalog)
        } else {
            meta.catalog.branchPages = rebuilt.counts.branchPages
            meta.catalog.leafPages = rebuilt.counts.leafPages
            meta.catalog.overflowPages = 0
        }
        meta.main = main
        meta.digest = ContentDigest(ofMain: main)
        for (name, record) in entries {
            meta.digest += name.withUnsafeBytes { ContentDigest(ofDatabase: $0, record) }
        }
        report.losses += walk.losses.map(\.told)
    }

    private func writeCatalog(
        _ walk: RepairWalk, _ entries: [(name: [UInt8], record: TreeRecord)], like old: TreeRecord
    ) throws(DatabaseError) -> TreeRecord {
        let stored = entries.map { entry in
            var bytes = [UInt8](repeating: 0, count: TreeRecord.size)
            bytes.withUnsafeMutableBytes { buffer in
                if let start = buffer.baseAddress { entry.record.store(to: start) }
            }
            return (key: entry.name, value: bytes)
        }
        return try walk.write(stored, like: old)
    }

    /// Finds out to which trees the pages belong that several claim, as far as digests prove it.
    private func judge(
        _ walk: RepairWalk, _ databases: [(name: [UInt8], record: TreeRecord)]
    ) throws(DatabaseError) {
        guard !walk.contestedTrees.isEmpty else { return }
        let trees = [tree([], walk.meta.main)] + databases.map { tree($0.name, $0.record) }
        for tree in trees where walk.contestedTrees.contains(tree.id) && tree.record.depth > 0 {
            let start = walk.mark()
            let root = walk.wantedRoot(of: tree, parent: walk.meta.transaction)
            let found = try walk.rebuild(
                tree, root, expected: tree.record.digest, isNamed: false)
            walk.goBack(to: start)
            if found.isProved, found.usesContested {
                walk.proved.insert(tree.id)
                continue
            }
            var isRefuted = found.isProved
            if !isRefuted { isRefuted = try walk.isRefuted(tree, root) }
            if isRefuted { walk.disproved.insert(tree.id) }
        }
    }

    /// Rebuilds a database.
    ///
    /// - Returns: its record.
    private func rebuild(
        _ walk: RepairWalk, _ tree: RepairTree, isSurveyed: Bool
    ) throws(DatabaseError) -> TreeRecord {
        let old = tree.record
        var record = old
        let start = walk.mark()
        var found = RepairWalk.Rebuilt()
        if old.depth > 0 {
            found = try walk.rebuild(
                tree, walk.wantedRoot(of: tree, parent: walk.meta.transaction),
                expected: old.digest,
                isNamed: !isSurveyed)
        }
        let isEmpty = old.depth == 0 && old.digest == ContentDigest()
        if !found.isProved, !isEmpty, walk.suspects.contains(where: { $0 == tree.name }) {
            walk.goBack(to: start)
            found = RepairWalk.Rebuilt()
            walk.lose(
                RepairWalk.Fences(entries: old.entries), tree,
                "its record is in a damaged page, and its digest does not prove it")
        }
        record.root = found.root ?? .none
        record.depth = UInt8(truncatingIfNeeded: found.root == nil ? 0 : found.depth)
        record.entries = found.counts.entries
        record.branchPages = found.counts.branchPages
        record.leafPages = found.counts.leafPages
        record.overflowPages = found.counts.overflowPages
        record.keys = old.flags.contains(.duplicates) ? found.counts.keys : 0
        record.digest = found.counts.digest
        guard record != old else { return record }
        let missing = old.entries - min(old.entries, record.entries)
        walk.noteEntries(missing, since: start)
        if !found.hasLost, record.digest != old.digest {
            let why = "its content is not what its digest says, and nothing shows where"
            walk.losses.append(
                RepairWalk.Loss(
                    told: RepairLoss(
                        database: tree.name, entries: missing == 0 ? nil : missing,
                        description: "\(tree.title): \(why)"),
                    fences: nil, reason: why))
        }
        report.actions.append(
            "\(tree.title) was rebuilt: \(record.entries) of \(old.entries) entries are there")
        return record
    }

    // MARK: The end

    private func finish(_ store: Store) throws(DatabaseError) {
        guard let before, let pages else { return }
        guard isChanging else { return try mendCopies(before, store, pages) }
        let isLossy = !report.losses.isEmpty
        let leniency = ReplayLeniency(isLossy: isLossy)
        let outcome = try RepairLog.replay(store, leniency)
        if let damage = outcome.damage { try checkLog(damage) }
        noteReplay(outcome, leniency)
        var meta = try store.tipMeta()
        var segments: [String] = []
        if outcome.damage != nil {
            let rest = try RepairLog.rest(
                of: store.logDirectory, after: meta.transaction, seed: meta.checksumSeed)
            segments = try store.logDirectory.bases().map { LogSegment.name(base: $0) }
            noteTruncation(rest.lost, after: meta.transaction)
            meta.logEnd = max(meta.logEnd, (rest.end + 4095) & ~4095)
            meta.logSegment = meta.logEnd
            newestSeen = max(newestSeen, rest.lost.last?.transaction ?? 0)
        }
        pages.next = max(pages.next, meta.pageCount)
        try write(&meta, before, store, pages, segments)
        report.transaction = meta.transaction
        report.changed = true
        for text in pages.mended.sorted(by: { $0.key < $1.key }).prefix(RepairReport.listedMax) {
            report.actions.append(text.value)
        }
    }

    private func noteReplay(_ outcome: RepairLog.Outcome, _ leniency: ReplayLeniency) {
        if outcome.records > 0 {
            report.actions.append("\(outcome.records) transactions of the log were replayed")
        }
        if let transaction = leniency.differs {
            lose(
                "the log says that transaction \(transaction) led to other content: some entries are not "
                    + "what was put, and nothing shows which")
        }
        if let first = leniency.firstSkipped {
            lose(
                "\(leniency.skipped) operations of the log concern what is lost and were left out "
                    + "(\(first))")
        }
    }

    private func noteTruncation(_ lost: [RepairLog.Lost], after transaction: UInt64) {
        lose("the log was cut off after transaction \(transaction)")
        for one in lost.prefix(RepairReport.listedMax) {
            lose(
                "transaction \(one.transaction), committed \(one.wallClock / 1_000_000_000) seconds after "
                    + "1970, was in the log behind that")
        }
    }

    /// Makes the state the newest.
    private func write(
        _ meta: inout Meta, _ before: RepairMeta, _ store: Store, _ pages: RepairPages,
        _ segments: [String]
    ) throws(DatabaseError) {
        meta.transaction = max(meta.transaction, newestSeen) + 1
        meta.wallClock = max(meta.wallClock + 1, fileSystem.now())
        let walk = RepairWalk(pages, meta, limit: meta.pageCount)
        try survey(walk)
        guard walk.damages == 0 else {
            throw DatabaseError(
                .corrupted,
                "the environment at \(path) could not be mended: what was made anew is not sound "
                    + "(\(walk.damages) problems)")
        }
        pages.stamp = meta.transaction
        let freeList = FreeList.allocate()
        defer { freeList.deallocate() }
        try writeSpace(&meta, freeList, walk, pages)
        try backUp(walk, before, store, pages, segments)
        if meta.logSegment == meta.logEnd, !segments.isEmpty {
            try LogSegment.make(
                base: meta.logEnd, capacity: LogSegment.capacityMin, in: store.logDirectory,
                meta: meta, like: store.dataFile
            ).file.close()
        }
        let page = 1 - before.page
        try store.dataFile.sync()
        try MetaPages.writeFreeList(freeList, of: meta, page: page, to: store.dataFile)
        try store.dataFile.sync()
        isPublished = true
        try MetaPages.write(meta, freeList, page: page, to: store.dataFile)
        try store.dataFile.sync()
        guard before.damagedRecords.contains(where: { $0.page != page }) else { return }
        try before.mendRecords(store.dataFile, except: page)
        try store.dataFile.sync()
    }

    private func writeSpace(
        _ meta: inout Meta, _ freeList: FreeList, _ walk: RepairWalk, _ pages: RepairPages
    ) throws(DatabaseError) {
        walk.phase = .rebuild
        let space = RepairSpace(walk.owners)
        try space.store(in: &meta, freeList, walk)
        meta.pageCount = pages.next
        try pages.keepRoom(pages.next)
    }

    /// Copies what is about to change: the meta pages, and what was in use and is free from now on.
    private func backUp(
        _ walk: RepairWalk, _ before: RepairMeta, _ store: Store, _ pages: RepairPages,
        _ segments: [String]
    ) throws(DatabaseError) {
        var numbers = Array(0..<Format.metaPageCount)
        if let old = self.walk {
            for page in Format.metaPageCount..<max(old.limit, Format.metaPageCount)
            where walk.owners[Int(page)] == 0 && old.free?.contains(page) != true {
                numbers.append(page)
            }
        }
        try backUp(numbers, before, store, pages, segments)
    }

    private func backUp(
        _ numbers: [UInt64], _ before: RepairMeta, _ store: Store, _ pages: RepairPages,
        _ segments: [String]
    ) throws(DatabaseError) {
        guard options.keepsBackup else { return }
        let backup = try RepairBackup.make(
            options.backupPath, beside: path, fileSystem, store.logDirectory.environment,
            like: store.dataFile)
        try backup.write(
            numbers, pages, size: sizeBefore, transaction: before.meta.transaction,
            segments: segments, in: store.logDirectory)
        report.backupPath = backup.directory.path
    }

    /// Puts damaged copies right, where nothing else is damaged.
    private func mendCopies(
        _ before: RepairMeta, _ store: Store, _ pages: RepairPages
    ) throws(DatabaseError) {
        report.transaction = before.meta.transaction
        guard !before.isSound else { return }
        try backUp(Array(0..<Format.metaPageCount), before, store, pages, [])
        try before.mendRecords(store.dataFile, except: nil)
        try before.mendFreeList(store.dataFile)
        try store.dataFile.sync()
        report.changed = true
        report.actions.append(
            "damaged copies in the meta pages were written anew from the sound ones")
    }
}
