/// The library's own threads, so that no commit waits for what they do: one flushes relaxed commits
/// when their time is up; the other makes checkpoints and segments of the log, either of which may
/// take longer than that time.
final class BackgroundTasks: Sendable {
    /// Nanoseconds that a relaxed commit may stay off the disk before its flush begins.
    static let relaxedDelay: UInt64 = 100_000_000

    private let flusher: BackgroundThread
    private let checkpointer: BackgroundThread

    init(_ environment: Environment) {
        // It stops its threads before it goes, but a thread may begin its work when it is about to
        // stop them: a checked reference would not outlive the last strong one.
        let reference = Unmanaged.passUnretained(environment)
        let identity = environment.identity
        flusher = BackgroundThread(delay: Self.relaxedDelay) { work in
            Self.work(work, in: reference, identity)
        }
        checkpointer = BackgroundThread(delay: 0) { work in
            Self.work(work, in: reference, identity)
        }
    }

    /// Does what was asked for. Whoever let go of the environment meanwhile left this thread the
    /// last to hold it, and the one that closes it; who opens it again waits for that.
    private static func work(
        _ work: BackgroundTask, in reference: Unmanaged<Environment>, _ identity: FileIdentity
    ) {
        let turn = OpenIdentities.shared.withLock { $0.beginWork(in: identity) }
        // In a call of its own, at whose end the environment is not held any more.
        carryOut(work, reference)
        OpenIdentities.shared.withLock { $0.endWork(turn, in: identity) }
    }

    @inline(never)
    private static func carryOut(_ work: BackgroundTask, _ reference: Unmanaged<Environment>) {
        let environment = reference.takeUnretainedValue()
        if work.contains(.flush) { try? environment.flushLog() }
        if work.contains(.segment) { environment.prepareSegment() }
        if work.contains(.sureCheckpoint) {
            try? environment.makeCheckpoint(holding: environment.state.pointee.shared.tip)
        } else if work.contains(.checkpoint) {
            try? environment.makeCheckpointIfNeeded()
        }
    }

    func flushSoon() { flusher.ask(for: .flush) }

    /// Asks for a checkpoint if log or pinned space still call for one then.
    func checkpointSoon() { checkpointer.ask(for: .checkpoint) }

    /// Asks for a checkpoint whatever there is to hold.
    func checkpointSurely() { checkpointer.ask(for: .sureCheckpoint) }

    /// Asks for the next segment of the log to be made ready.
    func prepareSegment() { checkpointer.ask(for: .segment) }

    /// Ends the threads and waits for them. Work asked for is left undone.
    func stop() {
        flusher.stop()
        checkpointer.stop()
    }
}
