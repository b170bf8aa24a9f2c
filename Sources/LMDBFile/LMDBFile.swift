@preconcurrency import Glibc

/// A `data.mdb` of LMDB, open for reading only.
///
/// Everything is read by `pread` into memory of its own and checked before it is used: no map, so a file
/// that becomes shorter is an error. No lock of LMDB's is taken. A file that a program writes to is noticed
/// at the end, by `checkUnchanged()`.
package final class LMDBFile {
    let meta: LMDBMeta
    var layout: LMDBLayout { meta.layout }
    var pageSize: Int { meta.pageSize }
    /// Pages that there may be.
    let pageCount: UInt64
    /// Pages that are free, and those that a tree has led to: each is in one place.
    var visited = LMDBPageSet()
    /// Whether entries may be in another order than that of their database's flags.
    let allowsAnyOrder: Bool

    private let descriptor: Int32
    private let metas: [LMDBMeta]
    /// The path of the file.
    package let path: String

    /// Opens a file, or the `data.mdb` in a directory.
    ///
    /// - Parameter allowsAnyOrder: whether the program that wrote it may have ordered keys in its own way
    ///   (`mdb_set_compare`), so that their order says nothing about damage.
    package init(path: String, allowsAnyOrder: Bool = false) throws(LMDBError) {
        (descriptor, self.path) = try Self.open(path)
        self.allowsAnyOrder = allowsAnyOrder
        do throws(LMDBError) {
            let size = try Self.fileSize(descriptor)
            metas = try Self.readMetas(descriptor)
            meta = try LMDBMeta.newest(metas[0], metas[1])
            let (pages, overflows) = meta.lastPage.addingReportingOverflow(1)
            pageCount = min(overflows ? .max : pages, size / UInt64(meta.pageSize))
            try Self.checkForm(descriptor, meta)
            try readFreePages()
        } catch {
            close(descriptor)
            throw LMDBError(error.kind, "\(self.path): \(error.message)")
        }
    }

    deinit { close(descriptor) }

    /// What wrote the file: "LMDB 0.9 of a 64-bit machine".
    package var title: String { layout.title }

    /// The main database, in which the names of others may be.
    package var mainDatabase: LMDBDatabase { LMDBDatabase(name: nil, tree: meta.main) }

    /// - Throws: if a program has written to the file since it was opened.
    package func checkUnchanged() throws(LMDBError) {
        guard try Self.readMetas(descriptor) == metas else {
            throw LMDBError(
                .changed,
                "a program has written to it while it was read; what was read may be of several states"
            )
        }
    }

    // MARK: Opening

    private static func open(_ path: String) throws(LMDBError) -> (Int32, String) {
        var path = path
        var descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        var status = stat()
        if descriptor >= 0, fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
            close(descriptor)
            path += path.hasSuffix("/") ? "data.mdb" : "/data.mdb"
            descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        }
        guard descriptor >= 0 else { throw system("open \(path)") }
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw LMDBError(.notLMDB, "\(path) is no file")
        }
        return (descriptor, path)
    }

    private static func fileSize(_ descriptor: Int32) throws(LMDBError) -> UInt64 {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw system("look at the file") }
        return UInt64(clamping: status.st_size)
    }

    /// Bytes that hold any meta page's contents.
    private static let metaBytes = 256

    private static func readMetas(_ descriptor: Int32) throws(LMDBError) -> [LMDBMeta] {
        let bytes = try read(descriptor, metaBytes, at: 0)
        let first = try LMDBMeta(first: LMDBBytes(bytes))
        let second = LMDBBytes(try read(descriptor, metaBytes, at: UInt64(first.pageSize)))
        return [first, try LMDBMeta(second, first.layout, page: 1)]
    }

    /// - Throws: for what LMDB 1.0 cannot read either without functions of the program's own.
    private static func checkForm(_ descriptor: Int32, _ meta: LMDBMeta) throws(LMDBError) {
        guard meta.layout.version == 3 else { return }
        guard meta.environmentFlags & LMDBLayout.encrypted == 0 else {
            throw LMDBError(
                .unsupported,
                "its pages are encrypted (mdb_env_set_encrypt); use mdb_dump with the program's key, and "
                    + "load the dump")
        }
        // The size of a checksum is in the last two bytes of the first page.
        let tail = LMDBBytes(try read(descriptor, 2, at: UInt64(meta.pageSize - 2)))
        guard tail.short(at: 0) == 0 else {
            throw LMDBError(
                .unsupported,
                "its pages have checksums of the program's own (mdb_env_set_checksum); use mdb_dump with "
                    + "them, and load the dump")
        }
    }

    // MARK: Reading

    private static func system(_ operation: String) -> LMDBError {
        let code = errno
        return LMDBError(.system(code), "cannot \(operation): \(String(cString: strerror(code)))")
    }

    private static func read(
        _ descriptor: Int32, _ count: Int, at offset: UInt64
    ) throws(LMDBError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            guard let place = off_t(exactly: offset + UInt64(done)) else { break }
            let found = bytes.withUnsafeMutableBytes { room in
                pread(descriptor, room.baseAddress.map { $0 + done }, count - done, place)
            }
            if found < 0, errno == EINTR { continue }
            guard found >= 0 else { throw system("read \(count) bytes at byte \(offset)") }
            if found == 0 { break }
            done += found
        }
        guard done == count else {
            throw LMDBError(.damaged, "it ends before byte \(offset + UInt64(count))")
        }
        return bytes
    }

    /// Reads bytes of pages that there may be.
    ///
    /// - Parameter count: no more than what `pages` pages have.
    func read(page: UInt64, pages: UInt64, count: Int) throws(LMDBError) -> [UInt8] {
        guard page >= 2, page < pageCount, pages <= pageCount - page else {
            throw LMDBError(
                .damaged, "a reference to page \(page), where there are pages 2 to \(pageCount - 1)"
            )
        }
        for number in page..<page + pages where !visited.insert(number) {
            throw LMDBError(.damaged, "page \(number) is in two places")
        }
        return try Self.read(descriptor, count, at: page * UInt64(pageSize))
    }
}

/// A database of a file.
package struct LMDBDatabase {
    /// Its bytes, without the zero that LMDB 1.0 puts behind them. Nil for the main one.
    package let name: [UInt8]?
    let tree: LMDBTree

    /// What it is, in the bits of `lmdb.h`.
    package var flags: UInt16 { tree.flags & LMDBTree.Flag.all }

    /// Entries that the file says it has; in the main database also names of others.
    package var entries: UInt64 { tree.entries }

    /// As a message names it.
    var title: String {
        guard let name else { return "main database" }
        return "database \"\(String(decoding: name, as: UTF8.self))\""
    }
}
