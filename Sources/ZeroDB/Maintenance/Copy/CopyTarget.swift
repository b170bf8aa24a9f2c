import Glibc

/// The directory of a copy. The data file has another name until all of it is on disk.
struct CopyTarget {
    private let directory: any StorageDirectory
    private let file: any StorageFile
    private static let dataName = StoreOpening.dataName
    private static let unfinished = dataName + ".new"

    private let goesOn: Bool
    private let store: Store
    private var isNew: Bool

    /// - Parameters:
    ///   - store: what is copied; the copy gets owner, group and mode of its data file.
    ///   - goesOn: whether what a copy that ended early has left is used, and left in turn.
    init(
        _ path: PathBytes, like store: Store, _ fileSystem: any FileSystem, goesOn: Bool
    ) throws(DatabaseError) {
        self.goesOn = goesOn
        self.store = store
        isNew = false
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
        var isUsable = false
        if goesOn, try MetaPages.checkUnfinished(Self.unfinished, in: directory) {
            isUsable = try Self.isPrivate(in: directory)
        }
        if !isUsable { try MetaPages.removeUnfinished(Self.unfinished, in: directory) }
        let place = directory
        // A child would keep the lock of a parent that has died.
        file = try openWithoutChildren { () throws(DatabaseError) in
            try place.open(Self.unfinished, access: .readWrite, create: true, mode: 0o600)
        }
        try Self.claim(file, in: directory)
        if !isUsable { try file.truncate(to: 0) }
    }

    /// Whether the file is this user's, who alone can write to it, and has no other name, by which it is
    /// something else.
    private static func isPrivate(
        in directory: any StorageDirectory
    ) throws(DatabaseError) -> Bool {
        let file = try directory.open(unfinished, access: .readOnly, create: false, mode: 0)
        defer { file.close() }
        return try file.isPrivate()
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
    /// that fails. What was written of it is kept for the next copy if the caller ended this one.
    func fill<Result>(
        _ body: (any StorageFile) throws(DatabaseError) -> Result
    ) throws(DatabaseError) -> Result {
        defer { file.close() }
        do throws(DatabaseError) {
            let result = try body(file)
            // Before that another user could not go on with it. As far as this process may.
            try? file.takeAccess(of: store.dataFile)
            try file.sync()
            try directory.renameToNew(Self.unfinished, to: Self.dataName)
            if isNew { try? directory.takeAccess(of: store.dataFile) }
            try directory.sync()
            try directory.syncParent()
            return result
        } catch {
            // After a write that has failed it is unknown what the disk has of it.
            if !goesOn || error.systemError != ECANCELED {
                try? directory.remove(Self.unfinished)
            }
            throw error
        }
    }
}
