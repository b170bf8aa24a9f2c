import Glibc

/// Directories and files of LMDB, which a program that used to use it may still name.
extension StoreOpening {
    private static let lmdbName = "data.mdb"
    /// `MDB_MAGIC`, and where it is: behind the header of a page, which has 12 to 24 bytes.
    private static let lmdbMagic: UInt32 = 0xbeef_c0de
    private static let lmdbMagicOffsets = [12, 16, 24]

    /// - Throws: as `refuseLMDB`, and `invalidFile` if an environment is being restored in a directory.
    func refuseOthers(in directory: any StorageDirectory) throws(DatabaseError) {
        try refuseLMDB(in: directory)
        guard try directory.list().contains(RestoreMark.directory) else { return }
        throw DatabaseError(
            .invalidFile,
            "the restore of an environment into \(path) has not come to its end; go on with it by the same "
                + "zerodb-backup restore")
    }

    /// - Throws: `invalidFile` if a directory is an environment of LMDB: an empty one of ZeroDB is not to be
    ///   made in it.
    func refuseLMDB(in directory: any StorageDirectory) throws(DatabaseError) {
        guard try isLMDB(Self.lmdbName, in: directory) else { return }
        throw DatabaseError(
            .invalidFile,
            "\(path) is an environment of LMDB (it has \(Self.lmdbName)), not of ZeroDB; load it into a new "
                + "one with zerodb-load --lmdb \(path) NEW")
    }

    /// What to say of a path that could not be opened: more than the system does, if it is LMDB's.
    func explained(_ error: DatabaseError) -> DatabaseError {
        do throws(DatabaseError) {
            if error.systemError == ENOENT {
                let directory = try fileSystem.openDirectory(path, create: nil)
                defer { directory.close() }
                try refuseOthers(in: directory)
            } else if error.systemError == ENOTDIR {
                try refuseLMDBFile()
            }
            return error
        } catch let found {
            return found.code == .invalidFile ? found : error
        }
    }

    /// - Throws: `invalidFile` if the path is a file of LMDB, as `MDB_NOSUBDIR` makes them.
    private func refuseLMDBFile() throws(DatabaseError) {
        let slash: UInt8 = 0x2f
        var parts = path.bytes.split(separator: slash, omittingEmptySubsequences: false)
        guard let name = parts.popLast(), !name.isEmpty else { return }
        let parent = parts.isEmpty ? [0x2e] : Array(parts.joined(separator: [slash])) + [slash]
        let directory = try fileSystem.openDirectory(PathBytes(parent), create: nil)
        defer { directory.close() }
        guard try isLMDB(String(decoding: name, as: UTF8.self), in: directory) else { return }
        throw DatabaseError(
            .invalidFile,
            "\(path) is a file of LMDB, not a directory of ZeroDB; load it into one with zerodb-load --lmdb "
                + "\(path) NEW")
    }

    /// Whether a file is LMDB's; no if there is none, or if it is none that can be opened.
    private func isLMDB(
        _ name: String, in directory: any StorageDirectory
    ) throws(DatabaseError) -> Bool {
        let file: any StorageFile
        do throws(DatabaseError) {
            file = try directory.open(name, access: .readOnly, create: false, mode: 0)
        } catch {
            let isNone = [ENOENT, EACCES, ELOOP].contains(error.systemError)
            guard isNone || error.code == .invalidFile else { throw error }
            return false
        }
        defer { file.close() }
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 32, alignment: 8)
        defer { bytes.deallocate() }
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
        _ = try file.read(into: bytes, at: 0)
        return Self.lmdbMagicOffsets.contains { offset in
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
                == Self.lmdbMagic
        }
    }
}
