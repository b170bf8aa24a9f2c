/// Reading the history of an environment that need not open.
enum HistoryReading {
    /// The log of an environment, and what is known of it.
    private struct Subject {
        var directory: any StorageDirectory
        var file: any StorageFile
        var log: LogDirectory
        var history: LogHistory?

        func close() {
            log.close()
            file.close()
            directory.close()
        }
    }

    /// - Throws: `invalidFile`, `versionMismatch`, `unsupported`, a system error.
    static func run(
        _ path: PathBytes, _ fileSystem: any FileSystem, _ onItem: (LogHistoryItem) -> Bool
    ) throws(DatabaseError) -> LogHistorySummary {
        if try ArchiveHistory.isArchive(path, fileSystem) {
            return try ArchiveHistory.run(path, fileSystem, onItem)
        }
        var subject = try open(path, fileSystem)
        defer { subject.close() }
        var isEnded = false
        try subject.history?.run { item in
            isEnded = !onItem(item)
            return !isEnded
        }
        var summary = subject.history?.summary ?? LogHistorySummary()
        if !isEnded, let problem = try damage(subject) { summary.problems.append(problem) }
        return summary
    }

    /// - Throws: `notFound` if the log has no record of the transaction, `corrupted` if damage may be the
    ///   reason; as `run`.
    static func operations(
        of transaction: UInt64, _ path: PathBytes, _ fileSystem: any FileSystem,
        _ onOperation: (LoggedOperation) -> Bool
    ) throws(DatabaseError) -> LoggedTransaction {
        if try ArchiveHistory.isArchive(path, fileSystem) {
            return try ArchiveHistory.operations(of: transaction, path, fileSystem, onOperation)
        }
        var subject = try open(path, fileSystem)
        defer { subject.close() }
        var found: LoggedTransaction?
        // Whole, as it knows how well the transaction is kept.
        try subject.history?.run { item in
            if case .transaction(let logged) = item, logged.transaction == transaction {
                found = logged
            }
            return found == nil
        }
        guard let found else {
            let problem = subject.history?.summary.problems.first
            throw DatabaseError(
                problem == nil ? .notFound : .corrupted,
                "the log of \(path) has no record of transaction \(transaction)"
                    + describe(subject.history?.summary) + (problem.map { "; \($0)" } ?? ""))
        }
        try subject.history?.find(transaction) { _, content in
            var operations = RecordedOperations(content)
            while let operation = try? operations.nextCopy(), onOperation(operation) {}
        }
        return found
    }

    private static func describe(_ summary: LogHistorySummary?) -> String {
        guard let first = summary?.first, let last = summary?.last else {
            return "; it has no records"
        }
        return "; it has transactions \(first) to \(last)"
    }

    private static func open(
        _ path: PathBytes, _ fileSystem: any FileSystem
    ) throws(DatabaseError) -> Subject {
        let directory = try fileSystem.openDirectory(path, create: nil)
        let file = try directory.open(
            StoreOpening.dataName, access: .readOnly, create: false, mode: 0)
        var subject = Subject(
            directory: directory, file: file, log: LogDirectory(in: directory), history: nil)
        do throws(DatabaseError) {
            let root = try newestMeta(of: file)
            if let log = try subject.log.open(), let identity = try identity(root, log) {
                subject.history = LogHistory(log, identity, root: root)
            }
            return subject
        } catch {
            subject.close()
            throw error
        }
    }

    /// The newest state in the meta pages; nil if all their records are damaged.
    private static func newestMeta(of file: any StorageFile) throws(DatabaseError) -> Meta? {
        do throws(DatabaseError) {
            return try MetaPages.choose(0, from: try MetaPages.findCopies(in: file)).meta
        } catch {
            guard error.code == .corrupted else { throw error }
            return nil
        }
    }

    /// The environment that a log belongs to, by its last segment if the meta pages do not say.
    private static func identity(
        _ root: Meta?, _ log: any StorageDirectory
    ) throws(DatabaseError) -> LogIdentity? {
        if let root { return LogIdentity(environmentID: root.environmentID) }
        let bases = try log.list().compactMap { LogSegment.base(ofName: $0) }.sorted()
        for base in bases.reversed() {
            guard
                let file = try? log.open(
                    LogSegment.name(base: base), access: .readOnly, create: false, mode: 0)
            else { continue }
            defer { file.close() }
            if case .success(let header) = try LogSegment.header(of: file) {
                return LogIdentity(environmentID: header.environmentID)
            }
        }
        return nil
    }

    /// What shows that the log behind the newest checkpoint is damaged, and does not just end.
    private static func damage(_ subject: Subject) throws(DatabaseError) -> String? {
        var problem: String?
        // A record that is being written while it is read looks damaged for a moment, and a checkpoint takes
        // segments away.
        for _ in 0..<triesMax {
            guard let root = try newestMeta(of: subject.file) else {
                return "no record in the meta pages is whole: where the log goes on is not known"
            }
            let found = try damage(behind: root, subject.log)
            guard let found else { return nil }
            if found == problem, try newestMeta(of: subject.file) == root { return found }
            problem = found
        }
        return problem
    }

    private static let triesMax = 4

    private static func damage(
        behind root: Meta, _ log: LogDirectory
    ) throws(DatabaseError) -> String? {
        do throws(DatabaseError) {
            var reader = try LogReader(after: root, in: log)
            while try reader.next() != nil {}
            guard let proof = try reader.findProofOfDamage() else { return nil }
            return "the log is damaged at position \(reader.position): \(proof)"
        } catch {
            guard error.code == .corrupted else { throw error }
            return error.message
        }
    }
}
