import Glibc

/// Archiving by the process that has an environment open, as its options ask for.
///
/// Several processes may do so with one archive: whichever comes first adds what is there, and the others
/// find it done.
enum Archiving {
    /// Nanoseconds between two looks at the log.
    private static let pause: UInt64 = 5_000_000_000
    /// The same after failures, at most.
    private static let pauseMax: UInt64 = 60_000_000_000
    /// Nanoseconds that a closing waits for another program that writes to the archive.
    private static let waitMax: UInt64 = 1_000_000_000
    /// Bytes of pages that are copied in a closing, as programs that are never open for long would make no
    /// copy; and the nanoseconds of it.
    private static let copiedMax: UInt64 = 256 << 20
    private static let copyMax: UInt64 = 5_000_000_000

    private struct State {
        /// nil until the archive could be opened.
        var archiver: Archiver?
        var failures: UInt64 = 0
    }

    /// Begins to archive an environment whose store has started, if its options name an archive. What keeps
    /// the archive from being written does not keep the environment from being used: it is told of as an
    /// event, and tried again.
    ///
    /// - Throws: `incompatible` if the archive is another environment's; a system error of this one's files.
    static func begin(_ store: Store) throws(DatabaseError) {
        guard let given = store.options.archivePath, !store.options.isReadOnly else { return }
        // The directory is made later, and looked for again and again.
        let path = given.absolute
        // The log is kept from now on, whether the archive can be written or not.
        try store.keepLogForArchive(store.options.archiveLogKept)
        try refuseOthers(path, store)
        let state = Locked(State())
        store.archiveInBackground = { [weak store] in
            guard let store else { return nil }
            store.archiveLock.lock()
            defer { store.archiveLock.unlock() }
            return state.withLock { state in step(&state, path, store) }
        }
        store.archiveLast = { [weak store] in
            guard let store else { return }
            state.withLock { state in archiveLast(&state, path, store) }
        }
        store.backgroundTasks?.archiveSoon()
    }

    private static func refuseOthers(_ path: PathBytes, _ store: Store) throws(DatabaseError) {
        guard let directory = try? ArchiveDirectory(path, creates: false, store.fileSystem),
            let index = try? directory.loadIndex(),
            index.environmentID != (try store.tipMeta()).environmentID
        else { return }
        throw DatabaseError(
            .incompatible,
            "the archive \(path) is of another environment than \(store.path); give each an "
                + "archive of its "
                + "own")
    }

    private static func archiver(
        _ state: inout State, _ path: PathBytes, _ store: Store
    ) throws(DatabaseError) -> Archiver {
        if let archiver = state.archiver { return archiver }
        let directory = try ArchiveDirectory(path, creates: true, store.fileSystem)
        var options = ArchiveOptions()
        options.logKeptMax = store.options.archiveLogKept
        let archiver = try Archiver(store, owner: nil, to: directory, options)
        try archiver.follow()
        state.archiver = archiver
        return archiver
    }

    /// - Returns: the nanoseconds until the next.
    private static func step(_ state: inout State, _ path: PathBytes, _ store: Store) -> UInt64? {
        // The closing may fail, as a transaction is open.
        guard store.archives else { return pause }
        do throws(DatabaseError) {
            _ = try archiver(&state, path, store).step { _ in store.archives }
            state.failures = 0
            return pause
        } catch {
            // Another process is at it.
            if error.code == .busy { return pause / 5 }
            guard store.archives else { return pause }
            state.failures += 1
            store.report(
                .warning,
                "\(error.markedMessage); \(store.path) is not archived meanwhile, and its log is "
                    + "kept")
            return min(pauseMax, pause << min(state.failures, 6))
        }
    }

    private static func archiveLast(_ state: inout State, _ path: PathBytes, _ store: Store) {
        do throws(DatabaseError) {
            try patiently { () throws(DatabaseError) in
                let end = SystemCall.monotonicNanoseconds() + copyMax
                let reason = try archiver(&state, path, store).archiveLast(copiedMax: copiedMax) {
                    _ in
                    SystemCall.monotonicNanoseconds() < end
                }
                guard let reason else { return }
                store.report(
                    .warning,
                    "the archive \(path) lacks what was committed last to \(store.path): \(reason). A "
                        + "copy takes longer than a closing may: keep a program open for it, or run "
                        + "zerodb-backup")
            }
        } catch {
            store.report(
                .warning,
                "\(error.markedMessage); the log of \(store.path) that is not archived is kept "
                    + "for the next "
                    + "program that archives it")
        }
    }

    /// Waits while another program writes to the archive.
    private static func patiently(_ body: () throws(DatabaseError) -> Void) throws(DatabaseError) {
        let began = SystemCall.monotonicNanoseconds()
        while true {
            do throws(DatabaseError) {
                return try body()
            } catch {
                guard error.code == .busy, SystemCall.monotonicNanoseconds() - began < waitMax
                else { throw error }
                usleep(20_000)
            }
        }
    }
}
