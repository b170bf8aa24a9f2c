extension Environment {
    /// Adds a copy of the newest snapshot to an archive, while readers and writers go on.
    ///
    /// - Parameters:
    ///   - path: a directory that is made if it is not there.
    ///   - onlyChanges: whether to copy only the pages that have changed since the last copy there. All are
    ///     copied if there is none, or if it is not known that the environment goes on from it.
    ///   - onProgress: called several times a second on this thread; false ends the copy.
    /// - Throws: `corrupted` for damage in the environment or the archive; `incompatible` if the archive is
    ///   another environment's; `busy` if another program writes to it; `readOnly`; ECANCELED; a
    ///   system error.
    /// - Complexity: reads all pages in use, or those that have changed.
    @discardableResult
    public func archive(
        to path: String, onlyChanges: Bool = false, options: ArchiveOptions = ArchiveOptions(),
        onProgress: @escaping (CopyProgress) -> Bool = { _ in true }
    ) throws(DatabaseError) -> ArchivedFile {
        try whileOpen { () throws(DatabaseError) in
            let destination = try ArchiveDirectory(
                PathBytes(path), creates: true, store.fileSystem)
            return try Archiver(store, owner: self, to: destination, options).copy(
                onlyChanges: onlyChanges, onProgress)
        }
    }

    /// What writes an archive of the environment in a directory.
    package func archiver(
        to path: String, _ options: ArchiveOptions
    ) throws(DatabaseError) -> Archiver {
        try Archiver(
            store, owner: self,
            to: ArchiveDirectory(PathBytes(path), creates: true, store.fileSystem), options)
    }

    /// The same for a program that is given each file.
    ///
    /// - Parameter command: for `/bin/sh`; it reads a file on its standard input, whose name is in
    ///   `ZERODB_FILE`.
    package func archiver(
        command: String, _ options: ArchiveOptions
    ) throws(DatabaseError) -> Archiver {
        try Archiver(store, owner: self, to: ArchiveCommand(command, store.lockFile), options)
    }

    /// Has the log not be kept for an archive any more. The archive stays as it is.
    ///
    /// - Throws: `badHandle`, `forked`, a system error.
    public func stopArchiving() throws(DatabaseError) {
        try whileOpen { () throws(DatabaseError) in try store.removeArchiveMark() }
    }

    /// Makes an environment of an archive.
    ///
    /// The state is exact to the transaction, its digest is compared with the one in the archive after each
    /// record of the log, and all of it is verified at the end. Until then the target cannot be opened. A
    /// restore that has not come to its end goes on with the same call.
    ///
    /// - Parameters:
    ///   - archive: the directory of the archive.
    ///   - target: a directory that is not there, or is empty.
    ///   - history: nil for the newest (``ArchivedFile/history``).
    ///   - onProgress: called on this thread; false ends the restore for now.
    /// - Throws: `notFound` if the archive does not have that state; `corrupted` for damage in the archive;
    ///   EEXIST, ENOTEMPTY; `busy`; ECANCELED, a system error.
    /// - Complexity: reads one full copy, what changed after it, and the log from there on.
    @discardableResult
    public static func restore(
        _ archive: String, to target: String, _ moment: RestoreMoment = .latest,
        history: UInt64? = nil,
        onProgress: @escaping (RestoreProgress) -> Bool = { _ in true }
    ) throws(DatabaseError) -> RestoreReport {
        let fileSystem = PosixFileSystem()
        let listing = try listing(archive)
        let plan = try RestorePlan(listing, moment, history: history)
        return try Restore(listing, plan, to: PathBytes(target), fileSystem, onProgress).run()
    }

    /// What a restore would do.
    package static func restorePlan(
        _ archive: String, _ moment: RestoreMoment, history: UInt64?
    ) throws(DatabaseError) -> RestorePlan {
        try RestorePlan(listing(archive), moment, history: history)
    }

    /// The files of an archive.
    package static func listing(_ archive: String) throws(DatabaseError) -> ArchiveListing {
        try ArchiveListing(
            ArchiveDirectory(PathBytes(archive), creates: false, PosixFileSystem()))
    }
}
