/// Copying all of an environment that can be read into a new one.
///
/// The source is opened in recovery mode and not changed. Its trees are walked leaf by leaf; an entry is
/// copied if all pages on the way to it are sound and have it in its place. Then the operations in the log
/// are applied to the copy: they need none of the source's pages. That the copy has everything is shown by
/// the digests: those of the databases in the state of the meta record, and the one in the log's last record.
package final class Salvage {
    /// What to do.
    package struct Options {
        /// Whether leaves to which no sound path leads are kept too.
        package var keepsLostLeaves = false
        /// As `EnvironmentOptions.recoveryRoot`.
        package var root: UInt64 = 0

        package init() {}
    }

    /// A database, as it was copied.
    package struct CopiedDatabase {
        /// nil for the main database.
        package var name: [UInt8]?
        package var flags: DatabaseFlags
        /// Entries that it has by its record.
        package var recorded: UInt64
        /// Entries that were copied.
        package var copied: UInt64 = 0
        /// Whether the copy has the digest of the record: then nothing is missing.
        package var isComplete = false
        /// Why it is not.
        package var missing: [SkippedRange] = []
    }

    /// What came of it.
    package struct Report {
        /// The transaction whose state was copied.
        package var transaction: UInt64 = 0
        package var pageSize = 0
        package var databases: [CopiedDatabase] = []
        /// Names of databases that may be missing.
        package var missingNames: [SkippedRange] = []
        /// Transactions of the log that were applied.
        package var logRecords: UInt64 = 0
        /// The last of them.
        package var lastTransaction: UInt64 = 0
        /// Why the log leads no further, other than that it ends.
        package var logProblem: String?
        /// Operations of the log that could not be applied, as their databases are lost.
        package var logOperationsLost: UInt64 = 0
        /// Whether the copy has the digest that the state has by the log's last record, or by the meta
        /// record.
        package var isComplete = false
        /// What recovery mode has told.
        package var warnings: [String] = []
        /// Leaves kept in databases of their own, and their entries.
        package var lostLeaves: UInt64 = 0
        package var lostEntries: UInt64 = 0
        /// Where those are: name, entries.
        package var lostAndFound: [(name: String, entries: UInt64)] = []
    }

    let source: Environment
    let writer: SalvageWriter
    let options: Options
    var report = Report()
    /// Called with the entries copied so far.
    private let onProgress: (UInt64) -> Void
    private var copied: UInt64 = 0
    /// What the pages of the source are read through.
    var trees: SoundTrees
    private let warnings: Warnings

    /// What recovery mode tells while the source is opened.
    private final class Warnings: Sendable {
        let messages = Locked<[String]>([])

        func note(_ event: Event) {
            guard event.level != .information, event.skipped == nil else { return }
            messages.withLock { if $0.count < 1000 { $0.append(event.message) } }
        }
    }

    /// Copies an environment.
    ///
    /// - Parameters:
    ///   - path: of the environment.
    ///   - target: of the new one, which must not be there.
    ///   - onProgress: called with the entries copied so far.
    /// - Throws: EEXIST; as opening in recovery mode; a system error. What has been made of the new one
    ///   stays there and is not complete; the message says so.
    package static func run(
        _ path: String, to target: String, _ options: Options,
        onProgress: @escaping (UInt64) -> Void = { _ in }
    ) throws(DatabaseError) -> Report {
        try run(path, to: target, options, PosixFileSystem(), onProgress: onProgress)
    }

    static func run(
        _ path: String, to target: String, _ options: Options, _ fileSystem: any FileSystem,
        onProgress: @escaping (UInt64) -> Void = { _ in }
    ) throws(DatabaseError) -> Report {
        let salvage = try Salvage(path, to: target, options, fileSystem, onProgress)
        defer { salvage.trees.deallocate() }
        do throws(DatabaseError) {
            try salvage.run()
        } catch {
            throw error.adding("what was made at \(target) is not complete: remove it")
        }
        return salvage.report
    }

    private init(
        _ path: String, to target: String, _ options: Options, _ fileSystem: any FileSystem,
        _ onProgress: @escaping (UInt64) -> Void
    ) throws(DatabaseError) {
        let warnings = Warnings()
        var sourceOptions = EnvironmentOptions()
        sourceOptions.recovery = true
        sourceOptions.recoveryRoot = options.root
        sourceOptions.replaysInMemory = false
        sourceOptions.writerWaitMilliseconds = 10_000
        sourceOptions.onEvent = { warnings.note($0) }
        source = try Environment(path: path, options: sourceOptions, fileSystem: fileSystem)
        writer = try SalvageWriter(target, pageSize: source.store.pageSize, fileSystem)
        self.options = options
        self.onProgress = onProgress
        self.warnings = warnings
        let known = source.store.source
        // Leaves may be behind the last page of the state, too.
        let filePages = try source.store.dataFile.size() / UInt64(known.pageSize)
        let mapped = UInt64(source.store.mapLength / known.pageSize)
        let meta = try source.store.visibleMeta()
        var pages = known
        pages.pageCount = min(mapped, max(filePages, meta.pageCount))
        trees = SoundTrees(pages)
    }

    private func run() throws(DatabaseError) {
        try copyAll()
        try writer.close()
        report.warnings = warnings.messages.withLock { $0 }
        try source.close()
    }

    private func copyAll() throws(DatabaseError) {
        let claim = try Transactions.beginRead(source.store.state)
        defer { Transactions.end(claim) }
        let meta = claim.state.pointee.meta
        report.transaction = meta.transaction
        report.lastTransaction = meta.transaction
        report.pageSize = source.store.pageSize
        try copy(nil, meta.main)
        for (name, record) in try listDatabases(meta.catalog) { try copy(name, record) }
        let digest = try writer.digest
        report.isComplete =
            report.missingNames.isEmpty && report.databases.allSatisfy(\.isComplete)
            && digest == meta.digest
        try applyLog(after: meta)
        if options.keepsLostLeaves { try keepLostLeaves(meta) }
    }

    func notePut() {
        copied += 1
        if copied % 4096 == 0 { onProgress(copied) }
    }

    // MARK: Databases

    private func listDatabases(
        _ record: TreeRecord
    ) throws(DatabaseError) -> [([UInt8], TreeRecord)] {
        var catalog = TreeState()
        catalog.record = record
        var found: [([UInt8], TreeRecord)] = []
        var missing: [SkippedRange] = []
        try trees.walk(catalog) { error, from, to in
            missing.append(
                SkippedRange(place: .names, page: error.page ?? 0, from: from, to: to))
        } _: { trees, leaf throws(DatabaseError) in
            for index in 0..<leaf.count {
                let name = trees.key(of: leaf, index)
                do throws(DatabaseError) {
                    let bytes = try TreeRead.value(trees.source, leaf, index, record)
                    let record = try name.withBytes { name throws(DatabaseError) in
                        try TransactionState.record(in: bytes, of: name)
                    }
                    found.append((name, record))
                } catch {
                    missing.append(
                        SkippedRange(place: .names, page: error.page ?? leaf.number, key: name))
                }
            }
        }
        report.missingNames = missing
        return found
    }

    private func copy(_ name: [UInt8]?, _ record: TreeRecord) throws(DatabaseError) {
        var database = CopiedDatabase(
            name: name, flags: record.flags, recorded: record.entries)
        let place = name.map { SkippedRange.Place.database($0) } ?? .main
        let target = try writer.makeDatabase(name, record.flags)
        var tree = TreeState()
        tree.record = record
        let isReversed = record.flags.reversesKeys
        func given(_ key: [UInt8]?) -> [UInt8]? { isReversed ? key.map { $0.reversed() } : key }
        var missing: [SkippedRange] = []
        try trees.walk(tree) { error, from, to in
            missing.append(
                SkippedRange(
                    place: place, page: error.page ?? 0, from: given(from), to: given(to)))
        } _: { trees, leaf throws(DatabaseError) in
            for index in 0..<leaf.count {
                let key = trees.key(of: leaf, index)
                let entry = SalvagedEntry(
                    record: record, leaf: leaf, index: index, key: given(key) ?? [])
                try copy(entry, to: target, &trees) { error in
                    missing.append(
                        SkippedRange(
                            place: place, page: error.page ?? leaf.number, key: entry.key))
                }
            }
        }
        let statistics = try writer.statistics(target)
        database.copied = statistics.entries
        database.missing = missing
        database.isComplete =
            missing.isEmpty && statistics.entries == record.entries
            && statistics.digest == record.digest
        report.databases.append(database)
    }

    // MARK: Entries

    private struct SalvagedEntry {
        var record: TreeRecord
        var leaf: Page
        var index: Int
        /// As it was given.
        var key: [UInt8]
    }

    /// - Parameter onLost: called if the entry, or some of its values, cannot be copied.
    private func copy(
        _ entry: SalvagedEntry, to target: Int, _ trees: inout SoundTrees,
        onLost: (DatabaseError) -> Void
    ) throws(DatabaseError) {
        guard let field = entry.leaf.value(entry.index) else {
            return onLost(trees.source.badEntry(entry.leaf))
        }
        let bytes = UnsafeRawBufferPointer(start: field.bytes, count: field.count)
        let hasDuplicates = entry.record.flags.contains(.duplicates)
        switch field.kind {
        case .inline: try put(target, entry.key, bytes, onLost)
        case .overflow where !hasDuplicates:
            let pointer = OverflowPointer(at: field.bytes)
            do throws(DatabaseError) {
                let value = try trees.overflow(pointer)
                try checkPair(entry, pointer, value, trees.source)
                try put(target, entry.key, value, onLost)
            } catch {
                guard SkippingWalk.isDamage(error) else { throw error }
                onLost(error)
            }
        case .inlineValues where hasDuplicates:
            guard let values = InlineValues(bytes) else {
                return onLost(trees.source.badEntry(entry.leaf))
            }
            for index in 0..<values.count {
                guard let value = values.duplicate(index) else {
                    return onLost(trees.source.badEntry(entry.leaf))
                }
                try put(target, entry.key, value, onLost, isFirst: index == 0)
            }
        case .valueTree where hasDuplicates:
            let tree = ValueTree(at: field.bytes).state(in: entry.record)
            var isFirst = true
            try trees.walk(tree) { error, _, _ in
                onLost(error)
            } _: { _, leaf throws(DatabaseError) in
                for index in 0..<leaf.count {
                    guard let value = leaf.duplicate(index) else { continue }
                    try put(target, entry.key, value, onLost, isFirst: isFirst)
                    isFirst = false
                }
            }
        default: onLost(trees.source.badEntry(entry.leaf))
        }
    }

    /// Whether a large value is the one of its key.
    private func checkPair(
        _ entry: SalvagedEntry, _ pointer: OverflowPointer, _ value: UnsafeRawBufferPointer,
        _ source: PageSource
    ) throws(DatabaseError) {
        let digest = entry.key.withUnsafeBytes {
            ContentDigest(ofKey: $0, reversed: false, value: value)
        }
        guard digest == pointer.digest else {
            throw source.corrupted(
                pointer.reference.number, "overflow run", "its value is that of another key")
        }
    }

    /// - Parameter isFirst: whether it is the first value of its key.
    private func put(
        _ target: Int, _ key: [UInt8], _ value: UnsafeRawBufferPointer,
        _ onLost: (DatabaseError) -> Void, isFirst: Bool = true
    ) throws(DatabaseError) {
        do throws(DatabaseError) {
            try writer.put(target, key, value, mode: isFirst ? .append : .appendValue)
            notePut()
        } catch {
            // What no program could have put.
            guard [.badValueSize, .notSorted].contains(error.code) else { throw error }
            onLost(error)
        }
    }
}
