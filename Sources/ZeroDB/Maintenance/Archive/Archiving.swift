import Glibc

/// Archiving by the process that has an environment open, as its options ask for.
///
/// Several processes may do so with one archive: whichever comes first adds what is there, and the others
/// find it done.
enum Archiving {
    /// Nanoseconds between two looks at the log.
    private static let pause: UInt64 = 1_000_000_000
    /// The same after failures, at most.
    private static let pauseMax: UInt64 = 60_000_000_000
    /// Nanoseconds that an opening waits for another program that writes to the archive.
    private static let waitMax: UInt64 = 10_000_000_000

    private struct State {
        var archiver: Archiver
        var failures: UInt64 = 0
    }

    /// Begins to archive an environment whose store has started, if its options name an archive.
    ///
    /// - Throws: what keeps the archive from being written now; `busy`, `incompatible`, a system error.
    static func begin(_ store: Store) throws(DatabaseError) {
        guard let path = store.options.archivePath, !store.options.isReadOnly else { return }
        let directory = try ArchiveDirectory(path, creates: true, store.fileSystem)
        var options = ArchiveOptions()
        options.logKeptMax = store.options.archiveLogKept
        let archiver = try Archiver(store, owner: nil, to: directory, options)
        try patiently { () throws(DatabaseError) in try archiver.follow() }
        let state = Locked(State(archiver: archiver))
        store.archiveInBackground = { [weak store] in
            guard let store else { return nil }
            store.archiveLock.lock()
            defer { store.archiveLock.unlock() }
            return state.withLock { state in step(&state, store) }
        }
        store.archiveLast = { [weak store] in
            guard let store else { return }
            state.withLock { state in archiveLast(state.archiver, store) }
        }
        store.backgroundTasks?.archiveSoon()
    }

    /// - Returns: the nanoseconds until the next.
    private static func step(_ state: inout State, _ store: Store) -> UInt64? {
        // The closing may fail, as a transaction is open.
        guard store.archives else { return pause }
        do throws(DatabaseError) {
            _ = try state.archiver.step { _ in store.archives }
            state.failures = 0
            return pause
        } catch {
            // Another process is at it.
            if error.code == .busy { return pause }
            guard store.archives else { return pause }
            state.failures += 1
            store.report(
                .warning,
                "\(error.message); \(store.path) is not archived meanwhile, and its log is kept")
            return min(pauseMax, pause << min(state.failures, 6))
        }
    }

    private static func archiveLast(_ archiver: Archiver, _ store: Store) {
        do throws(DatabaseError) {
            try patiently { () throws(DatabaseError) in try archiver.archiveLast() }
        } catch {
            store.report(
                .warning,
                "\(error.message); the log of \(store.path) that is not archived is kept for the next "
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
