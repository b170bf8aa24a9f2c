import ZeroDB

/// What `zerodb stat` prints of an environment as a whole.
struct StatSummary: Encodable {
    struct DatabaseResult: Encodable {
        var name: String?
        var flags: [String]
        var depth: Int
        var entries: UInt64
        var keys: UInt64
        var branchPages: UInt64
        var leafPages: UInt64
        var overflowPages: UInt64
        var bytes: UInt64
        var fill: Double?
        var fillIsExact: Bool
        var digest: String
    }

    struct ReaderResult: Encodable {
        var process: UInt32
        var command: String?
        var alive: Bool
        var thread: UInt64
        var snapshot: UInt64?
        var seconds: Double
        var pinnedPages: UInt64
    }

    struct PinResult: Encodable {
        var transaction: UInt64
        var holder: String
        var pages: UInt64
        var alone: UInt64
    }

    struct UseResult: Encodable {
        var meta: UInt64 = 2
        var branch: UInt64 = 0
        var leaf: UInt64 = 0
        var overflow: UInt64 = 0
        var catalog: UInt64 = 0
        var freeTree: UInt64 = 0
        var available: UInt64 = 0
        var waiting: UInt64 = 0
    }

    struct LogResult: Encodable {
        var end: UInt64
        var flushed: UInt64
        var bytesToReplay: UInt64
        var segments: Int
        var records: UInt64
    }

    var environment: String
    var state: String
    var environmentID: String
    var formatVersion: UInt32
    var features: [String]
    var pageSize: Int
    var fileSize: UInt64
    var maxSize: UInt64
    var pages: UInt64
    var use: UseResult?
    var freePages: UInt64
    var pinnedPages: UInt64
    var pins: [PinResult]
    var transaction: UInt64
    var checkpoint: UInt64
    var durable: Bool
    var failedFlush: Int32?
    var writerProcess: Int32?
    var logBytes: UInt64
    var log: LogResult
    var maxReaders: Int
    var oldestReader: UInt64?
    var maxKeySize: Int
    var digest: String
    var databases: [DatabaseResult]
    var readers: [ReaderResult]
    var notes: [String]

    /// - Parameters:
    ///   - database: the name of the only one that is shown, empty for the main one; nil for all.
    ///   - state: how it was opened.
    ///   - notes: what opening it has told.
    init(
        _ environment: Environment, path: String, database: String?, state: String, notes: [String]
    ) throws(DatabaseError) {
        let listed = try environment.readers()
        let info = try environment.info()
        let activity = try environment.activity()
        let space = try environment.spaceUse(ofDatabase: database.map { Array($0.utf8) })
        self.environment = path
        self.state = state
        self.notes = notes + space.problems
        let id = [info.environmentID.0, info.environmentID.1].map { word in
            String(Output.hex(word.byteSwapped).dropFirst(2))
        }
        environmentID = id.joined()
        formatVersion = info.formatVersion
        features = Self.features(activity)
        pageSize = info.pageSize
        fileSize = info.fileSize
        maxSize = info.maxSize
        pages = info.pageCount
        freePages = info.freePages
        pinnedPages = info.pinnedPages
        transaction = info.lastTransaction
        checkpoint = info.checkpointTransaction
        durable = activity.isDurable
        failedFlush = activity.failedFlush == 0 ? nil : activity.failedFlush
        writerProcess = activity.writerProcessID
        logBytes = info.logBytes
        log = LogResult(
            end: activity.logEnd, flushed: activity.logFlushed, bytesToReplay: info.logBytes,
            segments: activity.logSegments, records: info.recovery.records)
        maxReaders = info.maxReaders
        oldestReader = listed.compactMap(\.snapshot).min()
        maxKeySize = info.maxKeySize
        digest = "\(info.digest)"
        databases = space.databases.map { Self.result($0, pageSize: info.pageSize) }
        pins = space.pins.map { pin in
            PinResult(
                transaction: pin.transaction, holder: pin.isDurable ? "checkpoint" : "reader",
                pages: pin.pages, alone: pin.alone)
        }
        readers = listed.map { reader in
            ReaderResult(
                process: reader.processID,
                command: reader.isAlive ? ProcessName.of(reader.processID) : nil,
                alive: reader.isAlive, thread: reader.thread, snapshot: reader.snapshot,
                seconds: Double(reader.openNanoseconds) / 1e9,
                pinnedPages: space.pins.first { $0.transaction == reader.snapshot }?.pages ?? 0)
        }
        if database == nil { use = Self.use(space) }
    }

    private static func use(_ space: SpaceUse) -> UseResult {
        var use = UseResult()
        for database in space.databases {
            use.branch &+= database.statistics.branchPages
            use.leaf &+= database.statistics.leafPages
            use.overflow &+= database.statistics.overflowPages
        }
        (use.catalog, use.freeTree) = (space.catalogPages, space.freeTreePages)
        (use.available, use.waiting) = (space.availablePages, space.waitingPages)
        return use
    }

    private static func features(_ activity: EnvironmentActivity) -> [String] {
        let words = [
            (activity.features.toRead, "needed to read"),
            (activity.features.toWrite, "needed to write"),
            (activity.features.optional, "optional"),
        ]
        return words.flatMap { bits, what in
            (0..<64).filter { bits & (1 << UInt64($0)) != 0 }.map { "\($0) (\(what))" }
        }
    }

    private static func result(_ database: SpaceUse.DatabaseUse, pageSize: Int) -> DatabaseResult {
        let counts = database.statistics
        return DatabaseResult(
            name: database.name.map(Output.name), flags: counts.flags.names, depth: counts.depth,
            entries: counts.entries, keys: counts.keys, branchPages: counts.branchPages,
            leafPages: counts.leafPages, overflowPages: counts.overflowPages,
            bytes: counts.pages.multipliedReportingOverflow(by: UInt64(pageSize)).partialValue,
            fill: database.fill, fillIsExact: database.isFillExact, digest: "\(counts.digest)")
    }
}

// MARK: - Text

extension StatSummary {
    func write(listsReaders: Bool) {
        Output.write(environment + (state == "open" ? "" : " (\(state))"))
        Output.write(table: files + space + commits)
        if listsReaders { writeReaders() }
        for database in databases { write(database) }
        for note in notes { Output.write("note: \(note)") }
    }

    private func size(_ pages: UInt64) -> String {
        let (bytes, isTooLarge) = pages.multipliedReportingOverflow(by: UInt64(pageSize))
        return isTooLarge ? "\(pages)" : "\(pages) (\(Output.bytes(bytes)))"
    }

    private var files: [(String, String)] {
        [
            ("environment id", environmentID),
            ("format", "version \(formatVersion), pages of \(pageSize) bytes"),
            ("features", features.isEmpty ? "none" : features.joined(separator: ", ")),
            ("file", "\(Output.bytes(fileSize)) of at most \(Output.bytes(maxSize))"),
            ("pages", size(pages)),
        ]
    }

    private var space: [(String, String)] {
        var rows: [(String, String)] = []
        if let use {
            rows.append(
                (
                    "use",
                    "\(use.branch) branch, \(use.leaf) leaf, \(use.overflow) overflow, "
                        + "\(use.catalog) catalog, \(use.freeTree) free tree, \(use.meta) meta"
                ))
            rows.append(
                (
                    "free pages",
                    size(freePages) + ": \(use.available) to use, \(use.waiting) waiting"
                ))
        } else {
            rows.append(("free pages", size(freePages)))
        }
        rows.append(("waiting for a checkpoint", "\(pinnedPages)"))
        for pin in pins {
            rows.append(
                (
                    "needed by",
                    "transaction \(pin.transaction) (\(pin.holder)): "
                        + "\(Output.count(pin.pages, "free page")), \(pin.alone) by it alone"
                ))
        }
        return rows
    }

    private var commits: [(String, String)] {
        var rows = [
            ("newest transaction", "\(transaction)"),
            ("checkpoint", "transaction \(checkpoint)"), ("log to replay", Output.bytes(logBytes)),
            (
                "log",
                "ends at position \(log.end), on disk up to \(log.flushed), "
                    + Output.count(UInt64(log.segments), "segment")
            ),
            (
                "durability",
                durable
                    ? "all transactions are on disk"
                    : "the newest transactions wait for a flush or a checkpoint"
            ), ("largest key", "\(maxKeySize) bytes"), ("digest", digest),
            (
                "readers",
                "\(readers.count) of at most \(maxReaders)"
                    + (oldestReader.map { ", the oldest at transaction \($0)" } ?? "")
            ),
        ]
        if let writerProcess { rows.append(("writer", "process \(writerProcess)")) }
        if let failedFlush {
            rows.append(
                (
                    "failed flush",
                    "error \(failedFlush): nothing is written until all have closed it"
                ))
        }
        return rows
    }

    private func write(_ database: DatabaseResult) {
        Output.write(database.name.map { "database \($0)" } ?? "main database")
        var rows = [
            ("entries", "\(database.entries)"), ("depth", "\(database.depth)"),
            (
                "pages",
                "\(database.branchPages) branch, \(database.leafPages) leaf, "
                    + "\(database.overflowPages) overflow (\(Output.bytes(database.bytes)))"
            ),
        ]
        if let fill = database.fill {
            let about = database.fillIsExact ? "" : "about "
            rows.append(("fill of leaves", about + Output.percent(fill)))
        }
        rows.append(("digest", database.digest))
        if database.keys != database.entries { rows.insert(("keys", "\(database.keys)"), at: 1) }
        if !database.flags.isEmpty {
            rows.insert(("flags", database.flags.joined(separator: ", ")), at: 0)
        }
        Output.write(table: rows)
    }

    private func writeReaders() {
        for reader in readers {
            let command = reader.command.map { " (\(Output.name(Array($0.utf8))))" } ?? ""
            let process = reader.alive ? "" : ", which has died"
            let snapshot = reader.snapshot.map { "transaction \($0)" } ?? "no snapshot"
            Output.write(
                "  process \(reader.process)\(command)\(process), thread \(reader.thread): "
                    + "\(snapshot), open for \(Int(reader.seconds.clamped)) s, needs "
                    + Output.count(reader.pinnedPages, "free page"))
        }
    }
}

extension Double {
    /// A number of seconds that an integer can hold.
    fileprivate var clamped: Double { isFinite ? Swift.min(Swift.max(self, 0), 1e15) : 0 }
}
