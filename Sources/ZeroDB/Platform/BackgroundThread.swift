import Glibc

/// What a thread of the library's is asked for.
struct BackgroundTask: OptionSet, Sendable {
    let rawValue: UInt8

    /// Flush what was committed relaxed.
    static let flush = BackgroundTask(rawValue: 1)
    /// Make a checkpoint if log or pinned pages still call for one.
    static let checkpoint = BackgroundTask(rawValue: 2)
    /// Make the next segment of the log ready.
    static let segment = BackgroundTask(rawValue: 4)
    /// Move pages so that the file can be cut off.
    static let compaction = BackgroundTask(rawValue: 8)
    /// Archive what is in the log.
    static let archive = BackgroundTask(rawValue: 16)
}

/// A thread of the library's that does what it has been asked for. It is started when it is first
/// asked. All signals are blocked in it: they are the host program's.
final class BackgroundThread: @unchecked Sendable {
    private let body: @Sendable (BackgroundTask) -> Void
    private let delay: UInt64
    private let mutex = Mutex()
    private let changed = Condition()
    // All under `mutex`.
    private var thread: pthread_t?
    private var wanted: BackgroundTask = []
    /// When what is wanted is done, by the monotonic clock, in nanoseconds.
    private var due: UInt64 = 0
    private var isStopping = false
    /// What the thread does when its task is done, before it ends.
    private var lastTask: (@Sendable () -> Void)?

    /// - Parameters:
    ///   - delay: nanoseconds between asking and doing, in which more tasks may join.
    ///   - body: does what was asked for since it was last called.
    init(delay: UInt64, _ body: @escaping @Sendable (BackgroundTask) -> Void) {
        self.delay = delay
        self.body = body
    }

    /// - Parameter pause: nanoseconds until it is to be done, besides the delay of all tasks.
    /// - Returns: whether there is a thread that will do it.
    @discardableResult
    func ask(for task: BackgroundTask, after pause: UInt64 = 0) -> Bool {
        mutex.withLock {
            if thread == nil && !isStopping { start() }
            guard thread != nil else { return false }
            let hadTask = !wanted.isEmpty
            wanted.formUnion(task)
            guard !hadTask else { return true }
            due = SystemCall.monotonicNanoseconds() + delay + pause
            changed.signal()
            return true
        }
    }

    /// With `mutex`.
    private func start() {
        assert(mutex.isHeld)
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        var new = pthread_t()
        let result = pthread_create(
            &new, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<BackgroundThread>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        if result == 0 { thread = new } else { Unmanaged.passUnretained(self).release() }
    }

    /// Ends the thread and waits for it. Tasks asked for are left undone.
    func stop() {
        let running: pthread_t? = mutex.withLock {
            isStopping = true
            changed.signal()
            defer { thread = nil }
            return thread
        }
        if let running { pthread_join(running, nil) }
    }

    /// Has the thread that calls end after its task, and do something last, if it is this one.
    ///
    /// - Returns: false if another thread calls.
    func endAfterTask(_ lastTask: @escaping @Sendable () -> Void) -> Bool {
        mutex.withLock {
            guard let thread, pthread_equal(thread, pthread_self()) != 0 else { return false }
            self.thread = nil
            isStopping = true
            self.lastTask = lastTask
            pthread_detach(thread)
            return true
        }
    }

    /// `SCHED_BATCH`, which is a macro that Swift does not see where it depends on `_GNU_SOURCE`.
    private static let batchScheduling: Int32 = 3

    private func run() {
        // A thread that wakes up must not take the processor from one that reads: its task can
        // wait. Of the calling thread only; where it is refused, all is as before.
        var parameter = sched_param(sched_priority: 0)
        _ = sched_setscheduler(0, Self.batchScheduling, &parameter)
        mutex.lock()
        while !isStopping {
            if wanted.isEmpty {
                changed.wait(with: mutex)
            } else if SystemCall.monotonicNanoseconds() < due {
                changed.wait(with: mutex, until: due)
            } else {
                let task = wanted
                wanted = []
                mutex.unlock()
                body(task)
                mutex.lock()
            }
        }
        let last = lastTask
        lastTask = nil
        mutex.unlock()
        last?()
    }
}
