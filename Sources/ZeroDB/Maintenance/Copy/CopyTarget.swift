import Glibc

/// The directory of a copy. The data file has another name until all of it is on disk.
struct CopyTarget {
    private let directory: any StorageDirectory
    private let file: any StorageFile
    private static let dataName = StoreOpening.dataName
    private static let unfinished = dataName + ".new"

    /// - Parameter store: what is copied; the copy gets owner, group and mode of its data file.
    init(
        _ path: PathBytes, like store: Store, _ fileSystem: any FileSystem
    ) throws(DatabaseError) {
        directory = try fileSystem.openDirectory(path, create: 0o700)
        let others = try directory.list().filter { $0 != Self.unfinished }
        guard others.isEmpty else {
            throw DatabaseError(
                systemError: others.contains(Self.dataName) ? EEXIST : ENOTEMPTY,
                "copy to \(path), which has \(others.min() ?? "something") in it")
        }
        try MetaPages.removeUnfinished(Self.unfinished, in: directory)
        file = try directory.open(
            Self.unfinished, access: .readWrite, create: true, mode: 0o600)
        try directory.takeAccess(of: store.dataFile)
        try file.takeAccess(of: store.dataFile)
    }

    /// Has a body write the data file, which appears when all of it is on disk, and not at all if
    /// that fails.
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
            try? directory.remove(Self.unfinished)
            throw error
        }
    }
}
