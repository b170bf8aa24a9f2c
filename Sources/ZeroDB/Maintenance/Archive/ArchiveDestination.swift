import Glibc

/// Where an archive is.
protocol ArchiveDestination: AnyObject {
    /// For messages.
    var path: String { get }

    /// - Throws: `badArgument` if the archive is not to be there.
    func checkPlace(beside environment: any StorageDirectory) throws(DatabaseError)

    /// Keeps others from adding files.
    ///
    /// - Throws: `busy` if another program does.
    func lock() throws(DatabaseError)

    func unlock()

    /// How far the archive goes.
    ///
    /// - Parameters:
    ///   - mark: what the environment knows of its archive.
    ///   - last: the number of a file that it has had.
    /// - Returns: nil if there is none yet.
    func loadIndex(
        _ mark: ArchiveState?, atLeast last: UInt64
    ) throws(DatabaseError) -> ArchiveState?

    /// Begins a file.
    ///
    /// - Parameter earlierMax: bytes of what a writer of the same file may have left for this one to go on
    ///   with.
    func begin(
        _ header: ArchiveFileHeader, earlierMax: UInt64
    ) throws(DatabaseError) -> any ArchiveOutput

    /// What a full copy begins with that ended early; nil if there is none.
    var unfinishedCopy: ArchiveFileHeader? { get }

    /// Notes how far the archive goes, which names itself in it.
    func keep(_ index: inout ArchiveState) throws(DatabaseError)
}

/// An archive in a directory. Files are written once, under another name until they are whole.
final class ArchiveDirectory: ArchiveDestination {
    private(set) var directory: any StorageDirectory
    private let pathBytes: PathBytes
    private let fileSystem: any FileSystem
    private var lockFile: (any StorageFile)?
    /// The index that was last read or written: while it is that, nobody else has added anything.
    private var known: ArchiveState?

    private static let lockName = "lock"
    private static let unfinished = "unfinished"
    /// Of a full copy, which goes on when it is made again.
    private static let unfinishedCopyName = "unfinished-copy"

    /// - Parameter creates: whether to make the directory if it is not there.
    /// - Throws: ENOENT, a system error.
    init(
        _ path: PathBytes, creates: Bool, _ fileSystem: any FileSystem
    ) throws(DatabaseError) {
        directory = try fileSystem.openDirectory(path, create: creates ? 0o700 : nil)
        pathBytes = path
        self.fileSystem = fileSystem
    }

    func checkPlace(beside environment: any StorageDirectory) throws(DatabaseError) {
        guard try directory.identity() != environment.identity() else {
            throw DatabaseError(
                .badArgument, "the archive \(path) would be the directory of the environment itself"
            )
        }
    }

    /// Another directory may have come to the place, by a mount or a rename.
    private func reopen() throws(DatabaseError) {
        let now = try fileSystem.openDirectory(pathBytes, create: nil)
        guard try now.identity() != directory.identity() else { return }
        directory = now
        known = nil
    }

    deinit { unlock() }

    var path: String { directory.path }

    func lock() throws(DatabaseError) {
        try reopen()
        // A child would keep the lock of a parent that has died.
        let file = try openWithoutChildren { () throws(DatabaseError) in
            try directory.open(Self.lockName, access: .readWrite, create: true, mode: 0o600)
        }
        guard try file.lock(byte: 0, .exclusive, wait: false) else {
            file.close()
            throw DatabaseError(
                .busy, "another program is writing to the archive \(path) at this moment")
        }
        lockFile = file
    }

    func unlock() {
        _ = try? lockFile?.lock(byte: 0, .unlocked, wait: false)
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

    /// The state of an archive whose first file was written, but no index: its writer died before that, or
    /// found no room for it.
    ///
    /// - Returns: nil if the index may have named other files, which the archive is known to have had.
    private func firstState(
        _ mark: ArchiveState?, atLeast last: UInt64
    ) throws(DatabaseError) -> ArchiveState? {
        let names = try files()
        guard last <= 1, names.allSatisfy({ $0.number == 1 }) else { return nil }
        for name in names.reversed() {
            guard let reader = try? ArchiveReader(name, in: directory), reader.header.kind == .full,
                let checksum = try? reader.lastChecksum()
            else { continue }
            let header = reader.header
            if let mark, mark.archiveID == header.archiveID, mark.last > 1 { return nil }
            // It has been read already.
            if let known, known.archiveID == header.archiveID, known.last == 1,
                known.checksum == checksum
            {
                return known
            }
            while try reader.next() != nil {}
            var index = ArchiveState()
            index.environmentID = header.environmentID
            index.archiveID = header.archiveID
            index.add(header, checksum: reader.checksum)
            known = index
            return index
        }
        return nil
    }

    func loadIndex(
        _ mark: ArchiveState?, atLeast last: UInt64
    ) throws(DatabaseError) -> ArchiveState? {
        guard var index = try loadIndex() else {
            if try files().isEmpty { return nil }
            guard let first = try firstState(mark, atLeast: last) else { throw missingIndex() }
            return first
        }
        if index == known { return index }
        // Whoever added a file may have died before it could say so.
        let names = try files()
        while let reader = try ArchiveReader.next(behind: index, names, in: directory) {
            while try reader.next() != nil {}
            index.add(reader.header, checksum: reader.checksum)
        }
        known = index
        return index
    }

    func missingIndex() -> DatabaseError {
        DatabaseError(
            .corrupted,
            "the archive \(path) has no \(ArchiveState.indexName), which says what its newest file is; put "
                + "it back, let a program go on with an archive that has one file only, or begin a new "
                + "one elsewhere")
    }

    func keep(_ index: inout ArchiveState) throws(DatabaseError) {
        index.command = 0
        try index.write(ArchiveState.indexName, in: directory, like: lockFile)
        known = index
    }

    func begin(
        _ header: ArchiveFileHeader, earlierMax: UInt64
    ) throws(DatabaseError) -> any ArchiveOutput {
        try ArchiveFileOutput(
            header, header.kind == .full ? Self.unfinishedCopyName : Self.unfinished,
            earlierMax: earlierMax, in: directory, like: lockFile)
    }

    var unfinishedCopy: ArchiveFileHeader? {
        (try? ArchiveReader(named: Self.unfinishedCopyName, in: directory))?.header
    }

    /// Removes what there is of a copy that ended early.
    func removeUnfinishedCopy() throws(DatabaseError) {
        try directory.remove(Self.unfinishedCopyName)
    }
}

/// A file of an archive as it is written to a directory.
private final class ArchiveFileOutput: ArchiveOutput {
    private let directory: any StorageDirectory
    private let name: String
    private let unfinished: String
    private let isCopy: Bool
    private var file: (any StorageFile)?
    let earlier: ArchiveReader?
    private var position: UInt64 = 0
    /// Bytes for which the disk has been told.
    private var toldEnd: UInt64 = 0

    private static let toldMin: UInt64 = 4 << 20

    init(
        _ header: ArchiveFileHeader, _ unfinished: String, earlierMax: UInt64,
        in directory: any StorageDirectory, like lockFile: (any StorageFile)?
    ) throws(DatabaseError) {
        self.directory = directory
        name = header.name.description
        self.unfinished = unfinished
        isCopy = header.kind == .full
        var file = try directory.open(
            unfinished, access: .readWrite, create: true, mode: 0o600)
        if try !file.isPrivate() {
            // Another user could go on writing to it; by another name it is something else.
            file.close()
            try directory.remove(unfinished)
            file = try directory.open(
                unfinished, access: .readWrite, create: true, mode: 0o600)
        }
        if header.kind == .full, let reader = try? ArchiveReader(named: unfinished, in: directory),
            reader.header.isSameCopy(as: header), reader.size <= earlierMax
        {
            earlier = reader
        } else {
            earlier = nil
            try file.truncate(to: 0)
        }
        // Whoever made the archive, as far as this process may.
        if let lockFile { try? file.takeAccess(of: lockFile) }
        self.file = file
    }

    deinit { abandon(keeps: true) }

    func write(_ bytes: UnsafeRawBufferPointer) throws(DatabaseError) {
        try file?.write(bytes, at: position)
        position += UInt64(bytes.count)
        // So that the flush at the end does not hold up the commits of others.
        guard position - toldEnd >= Self.toldMin else { return }
        try file?.writeOut(from: toldEnd, count: Int(position - toldEnd))
        toldEnd = position
    }

    func keep(_ checksum: UInt64, count: Int) throws(DatabaseError) {
        var checksum = checksum.littleEndian
        var failure: DatabaseError?
        withUnsafeBytes(of: &checksum) { bytes in
            do throws(DatabaseError) {
                try file?.write(bytes, at: position)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        position += UInt64(count)
        toldEnd = position
    }

    func cutOff() throws(DatabaseError) { try file?.truncate(to: position) }

    func finish() throws(DatabaseError) {
        try file?.sync()
        try directory.renameToNew(unfinished, to: name)
        file?.close()
        file = nil
        try directory.sync()
    }

    func abandon(keeps: Bool) {
        guard let file else { return }
        file.close()
        self.file = nil
        guard !keeps || !isCopy else { return }
        try? directory.remove(unfinished)
    }
}

extension ArchiveReader {
    /// The file behind the last that an index names. Of several with its number, all but one of which were
    /// on their way when their writer was killed, the one with most transactions.
    ///
    /// - Returns: nil if there is none that has come to its end.
    /// - Throws: `corrupted` if none of those follows.
    static func next(
        behind index: ArchiveState, _ names: [ArchiveFileName], in directory: any StorageDirectory
    ) throws(DatabaseError) -> ArchiveReader? {
        var problem: DatabaseError?
        for name in names.reversed() where name.number == index.last + 1 {
            guard try isComplete(name, in: directory) else { continue }
            do throws(DatabaseError) {
                let reader = try ArchiveReader(name, in: directory)
                try reader.check(follows: index)
                return reader
            } catch {
                problem = error
            }
        }
        if let problem { throw problem }
        guard let later = names.last, later.number > index.last + 1,
            try isComplete(later, in: directory)
        else { return nil }
        throw DatabaseError(
            .corrupted,
            "the archive \(directory.path) has \(later), but no file \(index.last + 1); put it back"
        )
    }

    /// Makes sure that the file is the one behind the last of an archive.
    func check(follows index: ArchiveState) throws(DatabaseError) {
        guard header.archiveID == index.archiveID, header.environmentID == index.environmentID
        else { throw damaged("it is of another archive") }
        guard header.number == index.last + 1, header.previousFile == index.checksum else {
            throw damaged("it does not follow file \(index.last)")
        }
    }
}
