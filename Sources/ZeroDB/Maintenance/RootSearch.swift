/// The states that recovery mode can show, and what cannot be used.
public struct EnvironmentRoots: Sendable {
    /// A copy of a meta record, or what is in its place.
    public struct Root: Sendable {
        /// The meta page: 0 or 1.
        public var page: UInt64
        /// Which copy of its record: 0 or 1.
        public var copy: Int
        /// Of the copy in `data.zdb`, in bytes.
        public var offset: UInt64
        /// The transaction whose state it is; nil if that is not known.
        public var transaction: UInt64?
        /// When that was committed, in nanoseconds since 1970.
        public var wallClock: UInt64?
        /// Pages of the state.
        public var pageCount: UInt64?
        /// Where the log goes on after it.
        public var logEnd: UInt64?
        /// What is wrong with the copy, or with the first pages that it leads to; nil if it can be used.
        public var problem: String?
    }

    /// A state that a record of the log leads to.
    public struct LoggedState: Sendable {
        /// The transaction of the record.
        public var transaction: UInt64
        /// When it was committed, in nanoseconds since 1970.
        public var wallClock: UInt64
        /// Of the record in the log.
        public var position: UInt64
        /// The transaction of the meta record that the log is replayed from.
        public var root: UInt64
    }

    /// Bytes in a page.
    public var pageSize: Int
    /// All copies of meta records, in the order of the file.
    public var roots: [Root]
    /// What the log leads to from the newest meta record, then what else it leads to from an older one.
    public var logged: [LoggedState]
    /// Why the log leads no further, other than that it ends.
    public var logProblem: String?
}

/// Looking for states, in files that nobody need be able to open.
enum RootSearch {
    /// - Throws: `invalidFile`, `versionMismatch`, `unsupported`; `corrupted` if there is no whole meta
    ///   record; a system error.
    static func run(
        _ path: PathBytes, _ fileSystem: any FileSystem
    ) throws(DatabaseError) -> EnvironmentRoots {
        let directory = try fileSystem.openDirectory(path, create: nil)
        defer { directory.close() }
        let file = try directory.open(
            StoreOpening.dataName, access: .readOnly, create: false, mode: 0)
        defer { file.close() }
        let copies = try MetaPages.findCopies(in: file)
        var result = EnvironmentRoots(
            pageSize: Int(copies.compactMap(\.meta).first?.pageSize ?? 0),
            roots: copies.map { copy in
                EnvironmentRoots.Root(
                    page: copy.page, copy: copy.number, offset: copy.offset,
                    transaction: copy.meta?.transaction, wallClock: copy.meta?.wallClock,
                    pageCount: copy.meta?.pageCount, logEnd: copy.meta?.logEnd,
                    problem: copy.problem)
            }, logged: [])
        let log = LogDirectory(in: directory)
        defer { log.close() }
        var seen: Set<UInt64> = []
        let metas = copies.compactMap(\.meta).sorted { $0.transaction > $1.transaction }
        for (index, meta) in metas.enumerated() where seen.insert(meta.transaction).inserted {
            do throws(DatabaseError) {
                try follow(log, meta, &result)
            } catch {
                // The log behind an older record has been recycled, as a rule.
                if index == 0 { result.logProblem = error.message }
            }
        }
        return result
    }

    private static func follow(
        _ log: LogDirectory, _ meta: Meta, _ result: inout EnvironmentRoots
    ) throws(DatabaseError) {
        var reader = try LogReader(after: meta, in: log)
        let known = Set(
            result.roots.compactMap(\.transaction) + result.logged.map(\.transaction))
        while let (record, _) = try reader.next() {
            guard !known.contains(record.transaction) else { continue }
            result.logged.append(
                EnvironmentRoots.LoggedState(
                    transaction: record.transaction, wallClock: record.wallClock,
                    position: record.position, root: meta.transaction))
        }
        if let proof = try reader.findProofOfDamage() {
            throw DatabaseError(
                .corrupted, "the log is damaged at position \(reader.position): \(proof)")
        }
    }
}
