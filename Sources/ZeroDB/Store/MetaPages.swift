import Glibc

/// Reading and writing the two meta pages of `data.zdb`.
enum MetaPages {
    /// The newest state recorded in a file.
    ///
    /// A meta page both of whose copies are damaged cannot be the remains of an interrupted
    /// write, which changes whole sectors: it may have held the newest commit, so it is an error
    /// rather than a reason to fall back to the other page.
    ///
    /// - Throws: `invalidFile`, `versionMismatch`, `unsupported`, `corrupted`, or a system error.
    static func load(from file: any StorageFile) throws(DatabaseError) -> Loaded {
        let result = try rereading { () throws(DatabaseError) in
            do throws(DatabaseError) {
                return Result<Loaded, DatabaseError>.success(try loadOnce(from: file))
            } catch {
                guard error.code == .corrupted else { throw error }
                return .failure(error)
            }
        } until: {
            if case .success = $0 { return true }
            return false
        }
        return try result.get()
    }

    /// Reads a few times, as another process may be writing a meta page: what is damage stays.
    ///
    /// - Parameter isSound: whether what was read need not be read again.
    private static func rereading<Read>(
        _ read: () throws(DatabaseError) -> Read, until isSound: (Read) -> Bool
    ) throws(DatabaseError) -> Read {
        var result = try read()
        for _ in 0..<3 where !isSound(result) { result = try read() }
        return result
    }

    /// A state and the meta page that holds it.
    struct Loaded {
        var meta: Meta
        var page: UInt64
    }

    private static func loadOnce(from file: any StorageFile) throws(DatabaseError) -> Loaded {
        let pageSize = try findPageSize(file, fileSize: try file.size())
        var usable: [[Meta]] = []
        for number in 0..<Int(Format.metaPageCount) {
            let copies = try readCopies(file, page: number, pageSize: pageSize)
            let found = copies.compactMap { try? $0.get() }.filter { $0.pageSize == pageSize }
            guard !found.isEmpty else {
                throw DatabaseError(
                    .corrupted, page: UInt64(number),
                    "corrupted page \(number) (meta) at byte \(number * pageSize) of "
                        + "\(file.name): both copies of its record are damaged "
                        + "(\(describe(copies))); run zerodb-check")
            }
            usable.append(found)
        }
        let identity = try environmentID(usable, file)
        var newest = Meta()
        var page: UInt64 = 0
        for (number, copies) in usable.enumerated() {
            for meta in copies
            where meta.environmentID == identity && meta.transaction >= newest.transaction {
                newest = meta
                page = UInt64(number)
            }
        }
        // After the meta pages: a commit meanwhile makes the file longer first.
        let size = try file.size()
        guard newest.pageCount <= size / UInt64(pageSize) else {
            throw DatabaseError(
                .corrupted, page: size / UInt64(pageSize),
                "\(file.name) has \(size) bytes, but transaction \(newest.transaction) uses "
                    + "\(newest.pageCount) pages of \(pageSize): the file has been cut off; "
                    + "restore it from a backup")
        }
        return Loaded(meta: newest, page: page)
    }

    /// The one environment that both meta pages have a record of. A page of another one may have come to
    /// the place of the newest state's.
    private static func environmentID(
        _ usable: [[Meta]], _ file: any StorageFile
    ) throws(DatabaseError) -> (UInt64, UInt64) {
        var common: [(UInt64, UInt64)] = []
        for meta in usable.first ?? []
        where usable.allSatisfy({ $0.contains { $0.environmentID == meta.environmentID } }) {
            let isKnown = common.contains { $0 == meta.environmentID }
            if !isKnown { common.append(meta.environmentID) }
        }
        guard let identity = common.first, common.count == 1 else {
            throw DatabaseError(
                .corrupted, page: 0,
                "corrupted pages 0 and 1 (meta) of \(file.name): their records are of two "
                    + "environments; run zerodb-check")
        }
        return identity
    }

    /// The records in the meta pages that cannot be read, with what is wrong: each has a copy that
    /// serves, or the environment would not be open.
    static func damagedCopies(
        in file: any StorageFile, pageSize: Int
    ) throws(DatabaseError) -> [(page: UInt64, problem: String)] {
        var damaged: [(page: UInt64, problem: String)] = []
        let identity = try load(from: file).meta.environmentID
        for page in 0..<Int(Format.metaPageCount) {
            let copies = try rereading { () throws(DatabaseError) in
                try readCopies(file, page: page, pageSize: pageSize).map {
                    confirmed($0, of: identity)
                }
            } until: {
                $0.allSatisfy(isSuccess)
            }
            for (copy, result) in copies.enumerated() where !isSuccess(result) {
                let offset = page * pageSize + Meta.copyOffset(copy, pageSize: pageSize)
                damaged.append(
                    (
                        UInt64(page),
                        "page \(page) (meta): the copy of its record at byte \(offset) of "
                            + "\(file.name) is damaged (\(describe([result])))"
                    ))
            }
        }
        return damaged
    }

    /// A record, if it is one of an environment.
    private static func confirmed(
        _ copy: Result<Meta, Meta.Problem>, of identity: (UInt64, UInt64)
    ) -> Result<Meta, Meta.Problem> {
        guard case .success(let meta) = copy, meta.environmentID != identity else { return copy }
        return .failure(.damaged("it is of another environment"))
    }

    private static func isSuccess(_ copy: Result<Meta, Meta.Problem>) -> Bool {
        if case .success = copy { return true }
        return false
    }

    typealias Copies = [Result<Meta, Meta.Problem>]

    static func readCopies(
        _ file: any StorageFile, page: Int, pageSize: Int
    ) throws(DatabaseError) -> Copies {
        var copies: Copies = []
        for copy in 0..<2 {
            let offset = page * pageSize + Meta.copyOffset(copy, pageSize: pageSize)
            copies.append(try readRecord(file, at: UInt64(offset), page: UInt64(page)))
        }
        return copies
    }

    private static func readRecord(
        _ file: any StorageFile, at offset: UInt64, page: UInt64?
    ) throws(DatabaseError) -> Result<Meta, Meta.Problem> {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: Meta.size, alignment: 8)
        defer { bytes.deallocate() }
        guard try file.read(into: bytes, at: offset) == Meta.size,
            let start = bytes.baseAddress
        else { return .failure(.damaged("the file ends before it")) }
        let record = Result { () throws(Meta.Problem) in try Meta(at: start, page: page) }
        // A record that needs what this library does not have is as whole as any.
        switch record {
        case .failure(.features(let unknown)):
            throw DatabaseError(
                .versionMismatch,
                "\(file.name) uses \(Meta.Features.describe(unknown)) of those without which it cannot be "
                    + "read, which this library does not know; use a newer one")
        case .failure(.encrypted):
            throw DatabaseError(
                .unsupported,
                "\(file.name) is encrypted, which this library does not support; use a newer one")
        default: return record
        }
    }

    /// The page size, by the first record that is whole, wherever it may be.
    static func findPageSize(
        _ file: any StorageFile, fileSize: UInt64
    ) throws(DatabaseError) -> Int {
        var version: UInt32?
        var damage: String?
        var offsets = [0]
        var pageSize = Format.pageSizeMin
        while pageSize <= Format.pageSizeMax {
            offsets += [pageSize / 2, pageSize, pageSize + pageSize / 2]
            pageSize *= 2
        }
        for offset in offsets {
            switch try readRecord(file, at: UInt64(offset), page: nil) {
            case .success(let meta): return Int(meta.pageSize)
            case .failure(.version(let found)): version = found
            case .failure(.damaged(let problem)) where UInt64(offset + Meta.size) <= fileSize:
                damage = damage ?? problem
            case .failure: break
            }
        }
        if let version {
            throw DatabaseError(
                .versionMismatch,
                "\(file.name) has format version \(version); this library reads version "
                    + "\(Format.version)")
        }
        if let damage {
            throw DatabaseError(
                .corrupted, page: 0,
                "corrupted pages 0 and 1 (meta) of \(file.name): no record in them is whole "
                    + "(\(damage)); run zerodb-check")
        }
        throw DatabaseError(
            .invalidFile,
            "\(file.name) (\(fileSize) bytes) is not a ZeroDB data file: it has no meta page")
    }

    static func describe(_ copies: Copies) -> String {
        copies.map { copy in
            switch copy {
            case .success(let meta): "page size \(meta.pageSize)"
            case .failure(.notZeroDB): "no magic number"
            case .failure(.version(let version)): "format version \(version)"
            case .failure(.damaged(let problem)): problem
            case .failure(.features), .failure(.encrypted): "not readable by this library"
            }
        }.joined(separator: "; ")
    }

    /// Writes a meta page. Checkpoints alternate, so that the page of the state before is never
    /// touched. The free list has been written, and flushed, by `writeFreeList`: only the records change,
    /// each within a sector.
    static func write(
        _ meta: Meta, _ freeList: FreeList, page number: UInt64, to file: any StorageFile
    ) throws(DatabaseError) {
        let pageSize = Int(meta.pageSize)
        let page = UnsafeMutableRawBufferPointer.allocate(byteCount: pageSize, alignment: 64)
        defer { page.deallocate() }
        guard let start = page.baseAddress else { return }
        meta.fill(page: start, number: number, freeList: freeList)
        try file.write(UnsafeRawBufferPointer(page), at: number * UInt64(pageSize))
    }

    /// Writes the free list of a state to the meta page that is to hold it, whose records stay as they
    /// are: they are of an older state than the other page's, to which no opening goes back.
    static func writeFreeList(
        _ freeList: FreeList, of meta: Meta, page: UInt64, to file: any StorageFile
    ) throws(DatabaseError) {
        let bytes = UnsafeMutableRawBufferPointer.allocate(
            byteCount: FreeList.size, alignment: 64)
        defer { bytes.deallocate() }
        guard let start = bytes.baseAddress else { return }
        freeList.store(to: start)
        for copy in 0..<2 {
            try file.write(
                UnsafeRawBufferPointer(bytes),
                at: freeListOffset(page: page, copy: copy, pageSize: Int(meta.pageSize)))
        }
    }

    /// Where a copy of a free list is in the file.
    private static func freeListOffset(page: UInt64, copy: Int, pageSize: Int) -> UInt64 {
        page * UInt64(pageSize)
            + UInt64(Meta.copyOffset(copy, pageSize: pageSize) + Meta.freeListOffset)
    }

    /// Reads the free list of a state. While no other process writes meta pages.
    ///
    /// - Throws: `corrupted`, or a system error.
    static func loadFreeList(
        into freeList: FreeList, of loaded: Loaded, from file: any StorageFile
    ) throws(DatabaseError) {
        var problems: [String] = []
        for copy in 0..<2 {
            guard let problem = try loadFreeList(into: freeList, of: loaded, copy: copy, from: file)
            else { return }
            problems.append(problem)
        }
        throw DatabaseError(
            .corrupted, page: loaded.page,
            "corrupted page \(loaded.page) (meta) of \(file.name): both copies of its free list "
                + "are damaged (\(problems.joined(separator: "; "))); run zerodb-check")
    }

    /// Reads one copy of a free list.
    ///
    /// - Returns: what is wrong with it.
    static func loadFreeList(
        into freeList: FreeList, of loaded: Loaded, copy: Int, from file: any StorageFile
    ) throws(DatabaseError) -> String? {
        let bytes = UnsafeMutableRawBufferPointer.allocate(
            byteCount: FreeList.size, alignment: 64)
        defer { bytes.deallocate() }
        let meta = loaded.meta
        let offset = freeListOffset(page: loaded.page, copy: copy, pageSize: Int(meta.pageSize))
        guard try file.read(into: bytes, at: offset) == FreeList.size,
            let start = bytes.baseAddress
        else { return "the file ends before byte \(offset)" }
        let computed = Meta.checksum(ofFreeList: start)
        guard computed == meta.freeListChecksum else {
            return "byte \(offset): checksum 0x\(String(computed, radix: 16)), expected "
                + "0x\(String(meta.freeListChecksum, radix: 16))"
        }
        guard
            freeList.load(
                from: start, pageCount: meta.pageCount, transaction: meta.transaction),
            freeList.availablePages == UInt64(meta.freeListAvailable),
            freeList.pendingPages == UInt64(meta.freeListPending)
        else { return "byte \(offset): free pages that cannot be" }
        return nil
    }

    /// The copies of the newest state's free list that cannot be used, with what is wrong.
    static func damagedFreeLists(
        in file: any StorageFile
    ) throws(DatabaseError) -> [(page: UInt64, problem: String)] {
        let freeList = FreeList.allocate()
        defer { freeList.deallocate() }
        return try rereading { () throws(DatabaseError) in
            let loaded = try load(from: file)
            var damaged: [(page: UInt64, problem: String)] = []
            for copy in 0..<2 {
                guard
                    let problem = try loadFreeList(
                        into: freeList, of: loaded, copy: copy, from: file)
                else { continue }
                damaged.append(
                    (
                        loaded.page,
                        "page \(loaded.page) (meta): a copy of its free list in \(file.name) is "
                            + "damaged (\(problem))"
                    ))
            }
            return damaged
        } until: {
            $0.isEmpty
        }
    }

    /// Makes the file of an empty environment: complete under another name first, so that a
    /// crash leaves either no `data.zdb` or a whole one.
    static func create(
        _ name: String, in directory: any StorageDirectory, pageSize: Int, mode: UInt32
    ) throws(DatabaseError) {
        var meta = Meta()
        meta.pageSize = UInt32(pageSize)
        meta.environmentID = try newEnvironmentID()
        meta.pageCount = Format.metaPageCount
        meta.digest = ContentDigest(ofMain: meta.main)
        meta.wallClock = SystemCall.wallClockNanoseconds()
        let temporary = name + ".new"
        try removeUnfinished(temporary, in: directory)
        let file = try directory.open(temporary, access: .readWrite, create: true, mode: mode)
        defer { file.close() }
        let freeList = FreeList.allocate()
        defer { freeList.deallocate() }
        for transaction in 0..<Format.metaPageCount {
            meta.transaction = transaction
            try write(meta, freeList, page: transaction, to: file)
        }
        try file.sync()
        // Never in place of another: who holds the lock may not be alone if `lock.zdb` was removed.
        try directory.renameToNew(temporary, to: name)
        try directory.sync()
    }

    /// Random bytes.
    static func newEnvironmentID() throws(DatabaseError) -> (UInt64, UInt64) {
        var identity: (UInt64, UInt64) = (0, 0)
        var failure: DatabaseError?
        withUnsafeMutableBytes(of: &identity) { bytes in
            do throws(DatabaseError) {
                try SystemCall.fillRandom(bytes)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return identity
    }

    static func unfinishedIsBusy(in directory: any StorageDirectory) -> DatabaseError {
        DatabaseError(
            .busy, "a copy of an environment is being made in \(directory.path) at this moment")
    }

    /// Removes what a process has left that was killed while it made an environment.
    ///
    /// - Throws: `invalidFile` if it is something else.
    static func removeUnfinished(
        _ name: String, in directory: any StorageDirectory
    ) throws(DatabaseError) {
        if try checkUnfinished(name, in: directory) { try directory.remove(name) }
    }

    /// Makes sure that a file, if it is there, is what a process has left that made an environment.
    ///
    /// - Returns: whether it is there.
    /// - Throws: `invalidFile` if it is something else; `busy`.
    @discardableResult
    static func checkUnfinished(
        _ name: String, in directory: any StorageDirectory
    ) throws(DatabaseError) -> Bool {
        let file: any StorageFile
        do throws(DatabaseError) {
            file = try directory.open(name, access: .readOnly, create: false, mode: 0)
        } catch {
            if error.systemError == ENOENT { return false }
            throw error
        }
        defer { file.close() }
        guard try !file.isLocked(byte: LockByte.unfinished) else {
            throw unfinishedIsBusy(in: directory)
        }
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 8)
        defer { bytes.deallocate() }
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
        _ = try file.read(into: bytes, at: 0)
        let isEmpty = bytes.allSatisfy { $0 == 0 }
        guard let start = bytes.baseAddress, isEmpty || Meta.hasMagic(start) else {
            throw DatabaseError(
                .invalidFile,
                "\(directory.path)/\(name) is in the way and not of ZeroDB; move it away")
        }
        return true
    }
}
