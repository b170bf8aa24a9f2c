import Glibc

/// A copy of what a repair changes, with enough to put it back (docs/internals/repair.md describes the
/// files).
struct RepairBackup {
    let directory: any StorageDirectory
    private let environment: any StorageDirectory

    /// Makes the directory.
    ///
    /// - Parameter path: where; nil for the first free name beside the environment.
    static func make(
        _ path: String?, beside environmentPath: PathBytes, _ fileSystem: any FileSystem,
        _ environment: any StorageDirectory, like dataFile: any StorageFile
    ) throws(DatabaseError) -> RepairBackup {
        var wanted: PathBytes
        if let path {
            wanted = PathBytes(path)
            guard try !exists(wanted, fileSystem) else {
                throw DatabaseError(
                    .badArgument, "\(path), where what is changed is to be copied, is there already"
                )
            }
        } else {
            var number = 1
            repeat {
                wanted = environmentPath.sibling(".before-repair-\(number)")
                number += 1
            } while try exists(wanted, fileSystem)
        }
        let made = try fileSystem.openDirectory(wanted, create: 0o700)
        try made.takeAccess(of: dataFile)
        return RepairBackup(directory: made, environment: environment)
    }

    private static func exists(
        _ path: PathBytes, _ fileSystem: any FileSystem
    ) throws(DatabaseError) -> Bool {
        do throws(DatabaseError) {
            try fileSystem.openDirectory(path, create: nil).close()
            return true
        } catch {
            if error.systemError == ENOENT { return false }
            if error.systemError == ENOTDIR { return true }
            throw error
        }
    }

    /// Copies pages and segments, and then says in `manifest` what they are.
    ///
    /// - Parameters:
    ///   - size: of the data file before the repair.
    ///   - numbers: of the pages to be copied.
    func write(
        _ numbers: [UInt64], _ pages: RepairPages, size: UInt64, transaction: UInt64,
        segments: [String], in log: LogDirectory
    ) throws(DatabaseError) {
        var text =
            "ZeroDB repair backup 1\ntransaction \(transaction)\npage-size \(pages.pageSize)\n"
            + "size \(size)\n"
        let file = try directory.open("pages", access: .readWrite, create: true, mode: 0o600)
        defer { file.close() }
        let buffer = pages.borrow()
        defer { pages.giveBack(buffer) }
        var place: UInt64 = 0
        for number in numbers where pages.read(number, pages.pageSize, into: buffer) {
            try file.write(
                UnsafeRawBufferPointer(start: buffer, count: pages.pageSize),
                at: place * UInt64(pages.pageSize))
            text += "page \(number)\n"
            place += 1
        }
        try file.sync()
        for name in segments {
            try copy(segment: name, from: log)
            text += "segment \(name)\n"
        }
        try writeManifest(text + "end\n")
        try directory.sync()
        try directory.syncParent()
    }

    private func writeManifest(_ text: String) throws(DatabaseError) {
        let file = try directory.open("manifest", access: .readWrite, create: true, mode: 0o600)
        defer { file.close() }
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: text.utf8.count, alignment: 8)
        defer { bytes.deallocate() }
        bytes.copyBytes(from: text.utf8)
        try file.write(UnsafeRawBufferPointer(bytes), at: 0)
        try file.sync()
    }

    private func copy(segment name: String, from log: LogDirectory) throws(DatabaseError) {
        guard let opened = try log.open() else { return }
        let source = try opened.open(name, access: .readOnly, create: false, mode: 0)
        defer { source.close() }
        let target = try directory.open(name, access: .readWrite, create: true, mode: 0o600)
        defer { target.close() }
        let part = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
        defer { part.deallocate() }
        var offset: UInt64 = 0
        while case let count = try source.read(into: part, at: offset), count > 0 {
            try target.write(UnsafeRawBufferPointer(rebasing: part[..<count]), at: offset)
            offset += UInt64(count)
        }
        try target.sync()
    }
}
