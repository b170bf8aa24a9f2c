import Glibc

/// The directory of a copy. The data file has another name until all of it is on disk.
struct CopyTarget {
    private let directory: any StorageDirectory
    private let file: any StorageFile
    private static let dataName = StoreOpening.dataName
    private static let unfinished = dataName + ".new"

    private let goesOn: Bool

    /// - Parameters:
    ///   - store: what is copied; the copy gets owner, group and mode of its data file.
    ///   - goesOn: whether what a copy that ended early has left is used, and left in turn.
    init(
        _ path: PathBytes, like store: Store, _ fileSystem: any FileSystem, goesOn: Bool
    ) throws(DatabaseError) {
        self.goesOn = goesOn
        var isNew = false
        do throws(DatabaseError) {
            directory = try fileSystem.openDirectory(path, create: nil)
        } catch {
            guard error.systemError == ENOENT else { throw error }
            directory = try fileSystem.openDirectory(path, create: 0o700)
            isNew = true
        }
        let others = try directory.list().filter { $0 != Self.unfinished }
        guard others.isEmpty else {
            throw DatabaseError(
                systemError: others.contains(Self.dataName) ? EEXIST : ENOTEMPTY,
                "copy to \(path), which has \(others.min() ?? "something") in it")
        }
        if goesOn {
            try MetaPages.checkUnfinished(Self.unfinished, in: directory)
        } else {
            try MetaPages.removeUnfinished(Self.unfinished, in: directory)
        }
        file = try directory.open(
            Self.unfinished, access: .readWrite, create: true, mode: 0o600)
        try Self.claim(file, in: directory)
        if !goesOn { try file.truncate(to: 0) }
        // As far as this process may.
        if isNew { try? directory.takeAccess(of: store.dataFile) }
        try? file.takeAccess(of: store.dataFile)
    }

    /// Makes sure that nobody else makes a copy, or an environment, in the directory.
    private static func claim(
        _ file: any StorageFile, in directory: any StorageDirectory
    ) throws(DatabaseError) {
        guard try file.lock(byte: LockByte.unfinished, .exclusive, wait: false) else {
            throw MetaPages.unfinishedIsBusy(in: directory)
        }
        // Whoever came between may have removed it before it was locked.
        let named = try directory.open(unfinished, access: .readOnly, create: false, mode: 0)
        defer { named.close() }
        guard try named.identity() == file.identity() else {
            throw MetaPages.unfinishedIsBusy(in: directory)
        }
    }

    /// Has a body write the data file, which appears when all of it is on disk, and not at all if
    /// that fails. What was written of it is kept for the next copy, unless the pages are damaged or there
    /// is no room for it.
    func fill<Result>(
        _ body: (any StorageFile) throws(DatabaseError) -> Result
    ) throws(DatabaseError) -> Result {
        defer { file.close() }
        do throws(DatabaseError) {
            let result = try body(file)
            try file.sync()
            try directory.renameToNew(Self.unfinished, to: Self.dataName)
            try directory.sync()
            try directory.syncParent()
            return result
        } catch {
            if !goesOn || error.code == .corrupted || error.isOutOfSpace {
                try? directory.remove(Self.unfinished)
            }
            throw error
        }
    }
}
