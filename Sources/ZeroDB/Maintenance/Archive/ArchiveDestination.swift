import Glibc

/// Where an archive is.
protocol ArchiveDestination: AnyObject {
    /// For messages.
    var path: String { get }

    /// Keeps others from adding files.
    ///
    /// - Throws: `busy` if another program does.
    func lock() throws(DatabaseError)

    func unlock()

    /// How far the archive goes.
    ///
    /// - Parameter mark: what the environment knows of its archive.
    /// - Returns: nil if there is none yet.
    func loadIndex(_ mark: ArchiveState?) throws(DatabaseError) -> ArchiveState?

    func begin(_ name: ArchiveFileName) throws(DatabaseError) -> any ArchiveOutput

    /// Notes how far the archive goes, which names itself in it.
    func keep(_ index: inout ArchiveState) throws(DatabaseError)
}

/// An archive in a directory. Files are written once, under another name until they are whole.
final class ArchiveDirectory: ArchiveDestination {
    let directory: any StorageDirectory
    private var lockFile: (any StorageFile)?

    private static let lockName = "lock"
    private static let unfinished = "unfinished"

    /// - Parameter creates: whether to make the directory if it is not there.
    /// - Throws: ENOENT, a system error.
    init(
        _ path: PathBytes, creates: Bool, _ fileSystem: any FileSystem
    ) throws(DatabaseError) {
        directory = try fileSystem.openDirectory(path, create: creates ? 0o700 : nil)
    }

    deinit { unlock() }

    var path: String { directory.path }

    func lock() throws(DatabaseError) {
        let file = try directory.open(
            Self.lockName, access: .readWrite, create: true, mode: 0o600)
        guard try file.lock(byte: 0, .exclusive, wait: false) else {
            file.close()
            throw DatabaseError(
                .busy, "another program is writing to the archive \(path) at this moment")
        }
        lockFile = file
    }

    func unlock() {
        lockFile?.close()
        lockFile = nil
    }

    /// The files of the archive, by their numbers.
    func files() throws(DatabaseError) -> [ArchiveFileName] {
        try directory.list().compactMap { ArchiveFileName($0) }
            .sorted { ($0.number, $0.to) < ($1.number, $1.to) }
    }

    func loadIndex() throws(DatabaseError) -> ArchiveState? {
        try ArchiveState.load(ArchiveState.indexName, from: directory)
    }

    func loadIndex(_ mark: ArchiveState?) throws(DatabaseError) -> ArchiveState? {
        guard var index = try loadIndex() else {
            guard try files().isEmpty else { throw missingIndex() }
            return nil
        }
        // Whoever added a file may have died before it could say so.
        for name in try files() where name.number > index.last {
            guard try ArchiveReader.isComplete(name, in: directory) else { continue }
            let reader = try ArchiveReader(name, in: directory)
            try reader.check(follows: index)
            while try reader.next() != nil {}
            index.add(reader.header, checksum: reader.checksum)
        }
        return index
    }

    func missingIndex() -> DatabaseError {
        DatabaseError(
            .corrupted,
            "the archive \(path) has no \(ArchiveState.indexName), which says what its newest file is; put "
                + "it back, or begin a new archive elsewhere")
    }

    func keep(_ index: inout ArchiveState) throws(DatabaseError) {
        index.command = 0
        try index.write(ArchiveState.indexName, in: directory, like: nil)
    }

    func begin(_ name: ArchiveFileName) throws(DatabaseError) -> any ArchiveOutput {
        try ArchiveFileOutput(name.description, Self.unfinished, in: directory)
    }
}

/// A file of an archive as it is written to a directory.
private final class ArchiveFileOutput: ArchiveOutput {
    private let directory: any StorageDirectory
    private let name: String
    private let unfinished: String
    private var file: (any StorageFile)?
    private var position: UInt64 = 0
    /// Bytes for which the disk has been told.
    private var toldEnd: UInt64 = 0

    private static let toldMin: UInt64 = 4 << 20

    init(
        _ name: String, _ unfinished: String, in directory: any StorageDirectory
    ) throws(DatabaseError) {
        self.directory = directory
        self.name = name
        self.unfinished = unfinished
        let file = try directory.open(
            unfinished, access: .readWrite, create: true, mode: 0o600)
        try file.truncate(to: 0)
        self.file = file
    }

    deinit { abandon() }

    func write(_ bytes: UnsafeRawBufferPointer) throws(DatabaseError) {
        try file?.write(bytes, at: position)
        position += UInt64(bytes.count)
        // So that the flush at the end does not hold up the commits of others.
        guard position - toldEnd >= Self.toldMin else { return }
        try file?.writeOut(from: toldEnd, count: Int(position - toldEnd))
        toldEnd = position
    }

    func finish() throws(DatabaseError) {
        try file?.sync()
        try directory.renameToNew(unfinished, to: name)
        file?.close()
        file = nil
        try directory.sync()
    }

    func abandon() {
        guard let file else { return }
        file.close()
        self.file = nil
        try? directory.remove(unfinished)
    }
}

extension ArchiveReader {
    /// Makes sure that the file is the one behind the last of an archive.
    func check(follows index: ArchiveState) throws(DatabaseError) {
        guard header.archiveID == index.archiveID, header.environmentID == index.environmentID
        else { throw damaged("it is of another archive") }
        guard header.number == index.last + 1, header.previousFile == index.checksum else {
            throw damaged("it does not follow file \(index.last)")
        }
    }
}
