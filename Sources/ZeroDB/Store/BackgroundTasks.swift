/// The library's own threads, so that no commit waits for what they do. One flushes relaxed commits
/// when their time is up. Another makes checkpoints and segments of the log, either of which may
/// take longer than that time. A third moves pages so that the file can be cut off, a fourth archives
/// the log.
final class BackgroundTasks: Sendable {
    /// Nanoseconds that a relaxed commit may stay off the disk before its flush begins.
    static let relaxedDelay: UInt64 = 100_000_000

    private let flusher: BackgroundThread
    private let checkpointer: BackgroundThread
    private let compactor: BackgroundThread
    private let archiver: BackgroundThread

    /// - Parameter store: held by a thread only while it has a task, and stopped before it closes.
    init(_ store: Store) {
        flusher = BackgroundThread(delay: Self.relaxedDelay) { [weak store] task in
            if let store { Self.carryOut(task, store) }
        }
        checkpointer = BackgroundThread(delay: 0) { [weak store] task in
            if let store { Self.carryOut(task, store) }
        }
        compactor = BackgroundThread(delay: 0) { [weak store] _ in
            guard let store, let pause = store.compactInSteps() else { return }
            store.backgroundTasks?.compactor.ask(for: .compaction, after: pause)
        }
        archiver = BackgroundThread(delay: 0) { [weak store] _ in
            guard let store, let pause = store.archiveInBackground?() else { return }
            store.backgroundTasks?.archiver.ask(for: .archive, after: pause)
        }
    }

    /// Parts that are cut off the data file after a checkpoint: the next one must not wait for long.
    private static let partsMax = 1

    /// Failures show in the next commit, which finds the store poisoned, or in the closing.
    private static func carryOut(_ task: BackgroundTask, _ store: Store) {
        do throws(DatabaseError) {
            if task.contains(.flush) { try store.flushLog() }
            if task.contains(.segment) { store.prepareSegment() }
            if task.contains(.checkpoint) {
                try store.makeCheckpointIfNeeded(factor: 1, .gentle)
                store.cutOffTail(waits: true, partsMax: partsMax)
            }
        } catch {
            store.untoldFailure.withLock { $0 = error }
        }
    }

    /// - Returns: false if there is no thread for it: the system has refused one.
    func flushSoon() -> Bool { flusher.ask(for: .flush) }

    /// Asks for a checkpoint if log or pinned pages still call for one then.
    func checkpointSoon() { checkpointer.ask(for: .checkpoint) }

    /// Asks for the next segment of the log to be made ready.
    func prepareSegment() { checkpointer.ask(for: .segment) }

    /// Asks for the file to be made shorter, step by step.
    func compactSoon() { compactor.ask(for: .compaction) }

    /// Asks for what is in the log to be archived, now and again and again.
    func archiveSoon() { archiver.ask(for: .archive) }

    /// Ends the threads and waits for them. Tasks asked for are left undone. None of these threads
    /// may call this.
    func stop() {
        flusher.stop()
        checkpointer.stop()
        compactor.stop()
        archiver.stop()
    }

    /// Has one of the threads do something when its task is done, if it is the one that calls.
    ///
    /// - Returns: false if another thread calls.
    func doAfterTask(_ body: @escaping @Sendable () -> Void) -> Bool {
        flusher.endAfterTask(body) || checkpointer.endAfterTask(body)
            || compactor.endAfterTask(body) || archiver.endAfterTask(body)
    }
}
