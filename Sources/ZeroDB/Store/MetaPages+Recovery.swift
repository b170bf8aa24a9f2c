/// Finding a state in meta pages of which one is damaged, or both in part.
extension MetaPages {
    /// A copy of a meta record, or what is in its place.
    struct Copy {
        var page: UInt64
        var number: Int
        /// In the file.
        var offset: UInt64
        var record: Result<Meta, Meta.Problem>
        /// What is wrong with it, or with the first pages that it leads to; nil if it can be used.
        var problem: String?

        var meta: Meta? {
            if case .success(let meta) = record { return meta }
            return nil
        }
    }

    /// All copies of meta records, those that cannot be used included.
    ///
    /// - Throws: `invalidFile`, `versionMismatch`, `unsupported`, `corrupted` if none is whole, or a
    ///   system error.
    static func findCopies(in file: any StorageFile) throws(DatabaseError) -> [Copy] {
        let fileSize = try file.size()
        let pageSize = try findPageSize(file, fileSize: fileSize)
        var found: [Copy] = []
        for page in 0..<Int(Format.metaPageCount) {
            let records = try readCopies(file, page: page, pageSize: pageSize)
            for (number, record) in records.enumerated() {
                let offset = page * pageSize + Meta.copyOffset(number, pageSize: pageSize)
                var copy = Copy(
                    page: UInt64(page), number: number, offset: UInt64(offset), record: record)
                copy.problem = try problem(of: copy, pageSize: pageSize, fileSize, file)
                found.append(copy)
            }
        }
        return found
    }

    /// What is wrong with the free list behind a record; nil also if the record does not say what it should
    /// be. While no other process writes meta pages.
    static func freeListProblem(
        of copy: Copy, in file: any StorageFile
    ) throws(DatabaseError) -> String? {
        guard let meta = copy.meta else { return nil }
        let freeList = FreeList.allocate()
        defer { freeList.deallocate() }
        return try loadFreeList(
            into: freeList, of: Loaded(meta: meta, page: copy.page), copy: copy.number, from: file)
    }

    private static func problem(
        of copy: Copy, pageSize: Int, _ fileSize: UInt64, _ file: any StorageFile
    ) throws(DatabaseError) -> String? {
        guard let meta = copy.meta else { return describe([copy.record]) }
        guard Int(meta.pageSize) == pageSize else {
            return "it has pages of \(meta.pageSize) bytes"
        }
        let roots = [("main database", meta.main), ("list of databases", meta.catalog)]
        for (name, record) in roots where record.depth > 0 {
            if let problem = rootProblem(record, of: meta, file) {
                return "the root of its \(name) \(problem)"
            }
        }
        guard meta.pageCount <= fileSize / UInt64(pageSize) else {
            return "the file has been made shorter, or was cut off: it has "
                + "\(fileSize / UInt64(pageSize)) pages"
        }
        return nil
    }

    private static func rootProblem(
        _ record: TreeRecord, of meta: Meta, _ file: any StorageFile
    ) -> String? {
        let pageSize = Int(meta.pageSize)
        let number = record.root.number
        guard number < meta.pageCount else { return "is page \(number), behind the last" }
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: pageSize, alignment: 64)
        defer { bytes.deallocate() }
        guard let start = bytes.baseAddress,
            (try? file.read(into: bytes, at: number * UInt64(pageSize))) == pageSize
        else { return "is page \(number), which cannot be read" }
        let page = Page(start, size: pageSize)
        guard Checksum.ofPage(start, length: pageSize, seed: meta.checksumSeed) == page.checksum,
            page.number == number
        else { return "is page \(number), which is damaged" }
        guard UInt16(truncatingIfNeeded: page.transaction) == record.root.transactionTag,
            page.transaction <= meta.transaction
        else { return "was page \(number), which transaction \(page.transaction) has overwritten" }
        return nil
    }

    /// The state that recovery mode begins from: the newest that has a whole record, or, if a transaction is
    /// asked for, the newest that is not behind it.
    ///
    /// Where the pages hold records of two environments, that counts whose roots can be read.
    ///
    /// - Throws: `notFound` if no record is of that transaction or an older one; as `findCopies`.
    static func choose(_ wanted: UInt64, from copies: [Copy]) throws(DatabaseError) -> Loaded {
        var chosen: (meta: Meta, page: UInt64, isSound: Bool)?
        var pageSize = 0
        for copy in copies {
            guard let meta = copy.meta else { continue }
            if pageSize == 0 { pageSize = Int(meta.pageSize) }
            guard Int(meta.pageSize) == pageSize, wanted == 0 || meta.transaction <= wanted else {
                continue
            }
            let isSound = copy.problem == nil
            if let known = chosen {
                let isSame = known.meta.environmentID == meta.environmentID
                guard
                    isSame || isSound == known.isSound
                        ? meta.transaction > known.meta.transaction : isSound
                else { continue }
            }
            chosen = (meta, copy.page, isSound)
        }
        guard let chosen else {
            let known = Set(copies.compactMap { $0.meta?.transaction }).sorted().map { "\($0)" }
            throw DatabaseError(
                .notFound,
                "no meta record leads to transaction \(wanted); there are those of transactions "
                    + known.joined(separator: ", "))
        }
        return Loaded(meta: chosen.meta, page: chosen.page)
    }
}
