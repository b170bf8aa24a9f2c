@preconcurrency import Glibc
import ZeroDB

/// One load: from a source into an environment, a batch of entries in each transaction.
struct LoadRun<Source: LoadSource & ~Copyable>: ~Copyable {
    private var source: Source
    private let options: LoadTarget.Options
    private let isResumable: Bool
    private var target: LoadTarget?
    /// Entries whose transactions have committed.
    private(set) var loaded: UInt64 = 0
    /// Entries that were there and stayed as they were.
    private(set) var kept: UInt64 = 0
    private(set) var databases = 0

    /// Bytes of keys and values in a transaction. Each entry may change a page of its own, which is much
    /// larger: beyond its memory a transaction writes pages to a file.
    private let batchBytes: Int
    /// When what is loaded is to be made durable next.
    private var nextCheckpoint = 0
    private static var checkpointSeconds: Int { 2 }

    init(_ source: consuming Source, into options: LoadTarget.Options, isResumable: Bool) {
        self.source = source
        self.options = options
        self.isResumable = isResumable
        batchBytes = Int(clamping: max(options.memory / 8, 64 << 10))
    }

    /// Loads everything.
    ///
    /// - Parameter progress: where an earlier load was interrupted, and the source is.
    mutating func run(from progress: LoadTarget.Progress?) throws {
        if let progress {
            loaded = progress.entries
            if progress.isAtEnd == true {
                try end(progress.database)
            } else {
                try load(progress.database, isResumed: true)
            }
        }
        while let database = try source.nextDatabase() {
            try load(database, isResumed: false)
        }
        guard let target else { return }
        if isResumable { try target.forgetProgress() }
        if options.waitsForDisk { try target.environment.sync() }
        try target.environment.close()
    }

    /// Makes what is loaded durable from time to time, if the load can be continued.
    private mutating func keepSafe(_ environment: Environment) throws {
        guard isResumable, time(nil) >= nextCheckpoint else { return }
        try environment.checkpoint()
        nextCheckpoint = time(nil) + Self.checkpointSeconds
    }

    /// What has been loaded when an error ends the load.
    var state: String {
        guard loaded > 0 else { return "nothing is loaded" }
        let entries = loaded == 1 ? "the entry before is" : "the \(loaded) entries before are"
        return "\(entries) loaded" + (isResumable ? "; the same command goes on there" : "")
    }

    /// Ends a database that an earlier load has read to its end.
    private mutating func end(_ database: LoadedDatabase) throws {
        let target = try LoadTarget(options, pageSize: nil)
        self.target = target
        databases += 1
        if !options.keepsExisting { try target.verify(database) }
    }

    private mutating func load(_ database: LoadedDatabase, isResumed: Bool) throws {
        let target = try self.target ?? LoadTarget(options, pageSize: database.pageSize)
        self.target = target
        databases += 1
        if isResumable, database.name == Array(LoadTarget.progressName.utf8) {
            throw TransferError.refused(
                "the input has a database \"\(LoadTarget.progressName)\", in which --continue records how "
                    + "far it is; load it without --continue")
        }
        var batch = LoadBatch(target: target, database: database, bytesMax: batchBytes)
        repeat {
            var transaction = try target.environment.beginWrite(durability: Durability.none)
            try batch.open(in: &transaction, isResumed: isResumed)
            let failure = try batch.fill(&transaction, from: &source)
            // What is loaded has to end where the position is.
            if let failure, batch.count == 0 || isResumable { throw failure }
            if isResumable, let position = source.position {
                let progress = LoadTarget.Progress(
                    position: position, database: batch.database, entries: loaded + batch.count,
                    isAtEnd: batch.isLast)
                try target.record(progress, in: &transaction)
            }
            try transaction.commit()
            try keepSafe(target.environment)
            loaded += batch.count
            kept += batch.kept
            for note in source.takeNotes() { Output.write("zerodb load: \(note)", to: stderr) }
            if let failure { throw failure }
        } while !batch.isLast
        if !options.keepsExisting { try target.verify(batch.database) }
    }
}
