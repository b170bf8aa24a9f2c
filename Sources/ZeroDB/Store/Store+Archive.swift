import Glibc

/// The archive of an environment's log, as far as writers and checkpoints have to know of it.
///
/// The file `archive.zdb` says how far the log has been archived. As long as it is there, transactions of
/// every durability and size are logged, and segments that are not archived are kept, up to a bound. The
/// processes that have the environment open know of it by two words of `lock.zdb`.
extension Store {
    /// Has the processes to come know of an archive. By the first of them, before the others are let in.
    func adoptArchiveMark() {
        do throws(DatabaseError) {
            guard let mark = try loadArchiveMark() else { return }
            note(mark)
        } catch {
            report(
                .warning,
                "\(error.markedMessage); the log is kept until it is archived, or "
                    + "\(Limits.archiveLogDefault) bytes long")
            shared.note(archived: 1, keptMax: Limits.archiveLogDefault)
        }
    }

    /// What the environment remembers of its archive.
    ///
    /// - Returns: nil if it has none.
    /// - Throws: `corrupted`, `versionMismatch`, a system error.
    func loadArchiveMark() throws(DatabaseError) -> ArchiveState? {
        let directory = logDirectory.environment
        guard let mark = try ArchiveState.load(ArchiveState.markName, from: directory) else {
            return nil
        }
        guard mark.environmentID == (try tipMeta()).environmentID else {
            report(
                .warning,
                "\(path)/\(ArchiveState.markName) is of another environment; remove it")
            return nil
        }
        return mark
    }

    /// The same, without one that is damaged.
    func soundArchiveMark() throws(DatabaseError) -> ArchiveState? {
        do throws(DatabaseError) {
            return try loadArchiveMark()
        } catch {
            guard error.code == .corrupted else { throw error }
            report(.warning, "\(error.markedMessage); the archive goes on with a copy of all pages")
            return nil
        }
    }

    /// Notes how far the log is archived.
    func keepArchiveMark(_ state: ArchiveState) throws(DatabaseError) {
        try log.whileFilesStay { () throws(DatabaseError) in try write(state) }
    }

    /// Has the log be kept for an archive, if it is not kept already.
    ///
    /// - Parameter keptMax: how much of it, in bytes.
    func keepLogForArchive(_ keptMax: UInt64) throws(DatabaseError) {
        try log.whileFilesStay { () throws(DatabaseError) in
            var mark = try soundArchiveMark() ?? ArchiveState()
            guard mark.keptMax != keptMax else { return }
            // That of a file in whose place this one was put says nothing of this one.
            let identity = try dataFile.identity()
            if mark.device != identity.device || mark.inode != identity.inode {
                mark = ArchiveState()
            }
            mark.environmentID = try tipMeta().environmentID
            mark.keptMax = keptMax
            try write(mark)
        }
    }

    private func write(_ state: ArchiveState) throws(DatabaseError) {
        var mark = state
        let identity = try dataFile.identity()
        (mark.device, mark.inode) = (identity.device, identity.inode)
        try mark.write(
            ArchiveState.markName, in: logDirectory.environment, like: dataFile)
        note(mark)
    }

    private func note(_ mark: ArchiveState) {
        let isArchived = mark.keptMax > 0
        shared.note(
            archived: isArchived ? max(mark.log.position, 1) : 0, keptMax: mark.keptMax)
    }

    /// Ends the archiving: the log is not kept for it any more.
    func removeArchiveMark() throws(DatabaseError) {
        try logDirectory.environment.remove(ArchiveState.markName)
        try logDirectory.environment.sync()
        shared.note(archived: 0, keptMax: 0)
    }

    /// Ends what is archived in the background at this moment, and lets nothing more begin.
    func pauseArchiving() {
        archivingPauses.add(1, ordering: .sequentiallyConsistent)
        archiveLock.lock()
        archiveLock.unlock()
    }

    func resumeArchiving() { archivingPauses.subtract(1, ordering: .sequentiallyConsistent) }

    var archives: Bool { archivingPauses.load(ordering: .sequentiallyConsistent) == 0 }

    /// Bytes of the largest record that a transaction may have in the log; 0 if it is not logged.
    func logRecordLimit(_ durability: Durability) -> Int {
        let isArchived =
            shared.isArchiving && !options.isReadOnly && hasStarted.load(ordering: .relaxed)
        guard !isArchived else {
            let memory = options.maxTransactionMemory
            let most = Limits.archivedRecordMax
            guard memory > 0, memory < most else { return max(options.logRecordMax, most) }
            return max(options.logRecordMax, Int(memory))
        }
        return durability == .none ? 0 : options.logRecordMax
    }
}

extension SharedState {
    /// Whether the log is being archived.
    @inline(__always)
    var isArchiving: Bool { word(Layout.archived).pointee.load(ordering: .relaxed) != 0 }

    /// The log is archived up to here; 0 if there is no archive.
    var archived: UInt64 { self[Layout.archived] }

    /// Bytes of log that are kept for the archive.
    var archiveKeptMax: UInt64 { self[Layout.archiveKeptMax] }

    func note(archived position: UInt64, keptMax: UInt64) {
        self[Layout.archiveKeptMax] = keptMax
        self[Layout.archived] = position
    }
}

extension ArchiveState {
    /// Reads a state from a file.
    ///
    /// - Returns: nil if there is none.
    /// - Throws: `corrupted`, `versionMismatch`, a system error.
    static func load(
        _ name: String, from directory: any StorageDirectory
    ) throws(DatabaseError) -> ArchiveState? {
        let file: any StorageFile
        do throws(DatabaseError) {
            file = try directory.open(name, access: .readOnly, create: false, mode: 0)
        } catch {
            if error.systemError == ENOENT { return nil }
            throw error
        }
        defer { file.close() }
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 8)
        defer { bytes.deallocate() }
        let path = "\(directory.path)/\(name)"
        guard let start = bytes.baseAddress, try file.read(into: bytes, at: 0) == size,
            try file.size() == UInt64(size)
        else {
            throw DatabaseError(.corrupted, "\(path) is damaged: it does not have \(size) bytes")
        }
        do throws(Problem) {
            return try ArchiveState(at: start)
        } catch {
            switch error {
            case .damaged:
                throw DatabaseError(.corrupted, "\(path) is damaged: it does not have its checksum")
            case .version(let version):
                throw DatabaseError(
                    .versionMismatch,
                    "\(path) is of version \(version), this library reads \(Self.version); use the "
                        + "library that wrote it")
            }
        }
    }

    /// Writes it in place of the one before.
    ///
    /// - Parameter like: whose owner, group and mode the file gets; nil for those of the process.
    func write(
        _ name: String, in directory: any StorageDirectory, like dataFile: (any StorageFile)?
    ) throws(DatabaseError) {
        let unfinished = name + ".new"
        let file = try directory.open(unfinished, access: .readWrite, create: true, mode: 0o600)
        defer { file.close() }
        try file.truncate(to: 0)
        // As far as this process may.
        if let dataFile { try? file.takeAccess(of: dataFile) }
        var failure: DatabaseError?
        bytes.withUnsafeBytes { bytes in
            do throws(DatabaseError) {
                try file.write(bytes, at: 0)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        try file.sync()
        try directory.rename(unfinished, to: name)
        try directory.sync()
    }
}
