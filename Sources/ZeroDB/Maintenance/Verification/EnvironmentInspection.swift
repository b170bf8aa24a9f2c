/// Looks at the files of an environment that does not open: which copies of the meta pages are whole, and
/// where the log is damaged. Changes nothing and takes no locks: what it finds counts only if no program has
/// the environment open.
package enum EnvironmentInspection {
    /// What is wrong, and what of it is there in another copy.
    ///
    /// - Throws: what keeps it from looking: there is no data file, or no record of it is whole.
    package static func run(pathBytes: [UInt8]) throws(DatabaseError) -> [VerifyProblem] {
        try run(PathBytes(pathBytes), PosixFileSystem())
    }

    static func run(
        _ path: PathBytes, _ fileSystem: any FileSystem
    ) throws(DatabaseError) -> [VerifyProblem] {
        let directory = try fileSystem.openDirectory(path, create: nil)
        defer { directory.close() }
        let file = try directory.open(
            StoreOpening.dataName, access: .readOnly, create: false, mode: 0)
        defer { file.close() }
        let copies = try MetaPages.findCopies(in: file)
        var problems = copies.compactMap(problem)
        for page in 0..<Format.metaPageCount {
            if let problem = problem(ofPage: page, copies) { problems.append(problem) }
        }
        let newest = copies.max { ($0.meta?.transaction ?? 0) < ($1.meta?.transaction ?? 0) }
        guard let newest, let meta = newest.meta else { return problems }
        problems += try freeListProblems(newest.page, copies, in: file)
        let size = try file.size()
        let pages = size / UInt64(meta.pageSize)
        if pages < meta.pageCount {
            problems.append(
                VerifyProblem(
                    kind: .unreadable, place: .environment, page: pages,
                    message:
                        "\(file.name) has \(size) bytes: the \(meta.pageCount - pages) pages from "
                        + "\(pages) on are missing"))
        }
        if let problem = try logProblem(after: meta, LogDirectory(in: directory)) {
            problems.append(problem)
        }
        return problems
    }

    // MARK: Meta pages

    private static func problem(_ copy: MetaPages.Copy) -> VerifyProblem? {
        guard copy.meta == nil else { return nil }
        return VerifyProblem(
            kind: .meta, place: .environment, page: copy.page,
            message:
                "page \(copy.page) (meta): the copy of its record at byte \(copy.offset) is damaged "
                + "(\(copy.problem ?? "not whole"))")
    }

    /// What follows from the copies of one page.
    private static func problem(
        ofPage page: UInt64, _ copies: [MetaPages.Copy]
    ) -> VerifyProblem? {
        let own = copies.filter { $0.page == page }
        guard own.allSatisfy({ $0.meta == nil }) else { return nil }
        let other = copies.first { $0.page != page && $0.meta != nil }?.meta
        let rest =
            other.map {
                "page \(1 - page) holds transaction \($0.transaction), which is the newest state or the "
                    + "one of a checkpoint before"
            } ?? "neither does the other"
        return VerifyProblem(
            kind: .meta, place: .environment, page: page,
            message: "page \(page) (meta) has no whole copy of its record; \(rest)")
    }

    /// What is wrong with the free list of the newest state.
    private static func freeListProblems(
        _ page: UInt64, _ copies: [MetaPages.Copy], in file: any StorageFile
    ) throws(DatabaseError) -> [VerifyProblem] {
        let own = copies.filter { $0.page == page && $0.meta != nil }
        var problems: [VerifyProblem] = []
        for copy in own {
            guard let problem = try MetaPages.freeListProblem(of: copy, in: file) else { continue }
            problems.append(
                VerifyProblem(
                    kind: .meta, place: .freePages, page: page,
                    message:
                        "page \(page) (meta): a copy of its free list is damaged (\(problem))"))
        }
        if !own.isEmpty, problems.count == own.count {
            problems.append(
                VerifyProblem(
                    kind: .meta, place: .freePages, page: page,
                    message:
                        "page \(page) (meta) has no whole copy of its free list: which pages are "
                        + "free follows from the trees"))
        }
        return problems
    }

    // MARK: The log

    private static func logProblem(
        after meta: Meta, _ directory: LogDirectory
    ) throws(DatabaseError) -> VerifyProblem? {
        defer { directory.close() }
        do throws(DatabaseError) {
            var reader = try LogReader(after: meta, in: directory)
            var last = meta.transaction
            while let (record, _) = try reader.next() { last = record.transaction }
            guard let proof = try reader.findProofOfDamage() else { return nil }
            return VerifyProblem(
                kind: .log, place: .log, page: nil,
                message:
                    "the log is damaged at position \(reader.position): \(proof); the records up to "
                    + "transaction \(last) are whole")
        } catch {
            guard error.code == .corrupted else { throw error }
            return VerifyProblem(kind: .log, place: .log, page: nil, message: error.message)
        }
    }
}
