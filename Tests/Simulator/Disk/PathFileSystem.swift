import Glibc

@testable import ZeroDB

/// A file system of a test, which knows files by their paths: a directory that is open there keeps its
/// path.
protocol PathFileSystem: FileSystem {
    func open(_ path: String, access: FileAccess, create: Bool, mode: UInt32)
        throws(DatabaseError) -> any StorageFile

    /// Makes a directory; one that is there already is left alone.
    func makeDirectory(_ path: String, mode: UInt32) throws(DatabaseError)

    func rename(_ from: String, to: String) throws(DatabaseError)

    /// Removes a file if it is there.
    func remove(_ path: String) throws(DatabaseError)

    /// The names in a directory; none if there is no such directory.
    func list(_ directory: String) throws(DatabaseError) -> [String]

    func syncDirectory(_ path: String) throws(DatabaseError)

    /// Whether there is a directory.
    func hasDirectory(_ path: String) -> Bool
}

extension PathFileSystem {
    func openDirectory(_ path: PathBytes, create mode: UInt32?)
        throws(DatabaseError) -> any StorageDirectory
    {
        try openDirectory(at: path.description, create: mode)
    }

    fileprivate func openDirectory(at path: String, create mode: UInt32?)
        throws(DatabaseError) -> any StorageDirectory
    {
        if let mode {
            try makeDirectory(path, mode: mode)
        } else if !hasDirectory(path) {
            throw DatabaseError(systemError: ENOENT, "open directory \(path)")
        }
        return PathDirectory(path, self)
    }
}

private final class PathDirectory: StorageDirectory {
    let path: String
    private let fileSystem: any PathFileSystem

    init(_ path: String, _ fileSystem: any PathFileSystem) {
        self.path = path
        self.fileSystem = fileSystem
    }

    func open(_ name: String, access: FileAccess, create: Bool, mode: UInt32)
        throws(DatabaseError) -> any StorageFile
    {
        try fileSystem.open(path + "/" + name, access: access, create: create, mode: mode)
    }

    func openDirectory(_ name: String, create mode: UInt32?)
        throws(DatabaseError) -> any StorageDirectory
    {
        try fileSystem.openDirectory(at: path + "/" + name, create: mode)
    }

    func rename(_ from: String, to: String) throws(DatabaseError) {
        try fileSystem.rename(path + "/" + from, to: path + "/" + to)
    }

    func remove(_ name: String) throws(DatabaseError) { try fileSystem.remove(path + "/" + name) }

    func list() throws(DatabaseError) -> [String] { try fileSystem.list(path) }

    func sync() throws(DatabaseError) { try fileSystem.syncDirectory(path) }

    func syncParent() throws(DatabaseError) {
        try fileSystem.syncDirectory(parent(of: path))
    }

    func close() {}
}

/// Real files, by their paths.
extension PosixFileSystem {
    func list(_ path: String) throws(DatabaseError) -> [String] {
        try openDirectory(PathBytes(path), create: nil).list()
    }

    func open(_ path: String, access: FileAccess, create: Bool, mode: UInt32)
        throws(DatabaseError) -> any StorageFile
    {
        let directory = parent(of: path)
        let name = path.split(separator: "/").last.map(String.init) ?? path
        return try openDirectory(
            PathBytes(directory.isEmpty ? (path.hasPrefix("/") ? "/" : ".") : directory),
            create: nil
        ).open(name, access: access, create: create, mode: mode)
    }
}
