import Glibc

/// What the library does in threads of its own.
struct BackgroundTask: OptionSet, Sendable {
    let rawValue: UInt8

    /// Flush what was committed relaxed.
    static let flush = BackgroundTask(rawValue: 1)
    /// Make a checkpoint if log or pinned space still call for one.
    static let checkpoint = BackgroundTask(rawValue: 2)
    /// Make a checkpoint whatever there is to hold.
    static let sureCheckpoint = BackgroundTask(rawValue: 4)
    /// Make the next segment of the log ready.
    static let segment = BackgroundTask(rawValue: 8)
}

/// A thread of the library's that does what it has been asked for, started when it is asked first. All
/// signals are blocked in it: they are the host program's.
final class BackgroundThread: @unchecked Sendable {
    private let body: (BackgroundTask) -> Void
    private let delay: UInt64
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let changed: UnsafeMutablePointer<pthread_cond_t>
    // All under `mutex`.
    private var thread: pthread_t?
    private var wanted: BackgroundTask = []
    /// When what is wanted is done, by the monotonic clock, in nanoseconds.
    private var due: UInt64 = 0
    private var isStopping = false

    /// - Parameters:
    ///   - delay: nanoseconds between asking and doing, in which more work may join.
    ///   - body: does what was asked for since it was last called.
    init(delay: UInt64, _ body: @escaping (BackgroundTask) -> Void) {
        self.delay = delay
        self.body = body
        mutex = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        changed = .allocate(capacity: 1)
        // The wall clock may be set back, and work would be late.
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(changed, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(changed)
        changed.deallocate()
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    func ask(for work: BackgroundTask) {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        let hadWork = !wanted.isEmpty
        wanted.formUnion(work)
        if thread == nil && !isStopping { start() }
        guard !hadWork else { return }
        due = Self.now() + delay
        pthread_cond_signal(changed)
    }

    private func start() {
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
        // Without a thread the work is done when the environment is closed, at the latest.
        if result == 0 { thread = new } else { Unmanaged.passUnretained(self).release() }
    }

    /// Ends the thread and waits for it, unless it is the caller: then it ends when it has done the
    /// work that calls. Work asked for is left undone.
    func stop() {
        pthread_mutex_lock(mutex)
        isStopping = true
        let running = thread
        thread = nil
        pthread_cond_signal(changed)
        pthread_mutex_unlock(mutex)
        guard let running else { return }
        if pthread_equal(running, pthread_self()) != 0 {
            pthread_detach(running)
        } else {
            pthread_join(running, nil)
        }
    }

    /// `SCHED_BATCH`, which is a macro that Swift does not see where it depends on `_GNU_SOURCE`.
    private static let batchScheduling: Int32 = 3

    private func run() {
        // A thread that wakes up must not take the processor from one that reads; what it does can
        // wait for the next turn. Of the calling thread only; where it is refused, all is as before.
        var parameter = sched_param(sched_priority: 0)
        _ = sched_setscheduler(0, Self.batchScheduling, &parameter)
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while !isStopping {
            if wanted.isEmpty {
                pthread_cond_wait(changed, mutex)
            } else if Self.now() < due {
                var until = timespec(
                    tv_sec: Int(due / 1_000_000_000), tv_nsec: Int(due % 1_000_000_000))
                pthread_cond_timedwait(changed, mutex, &until)
            } else {
                let work = wanted
                wanted = []
                pthread_mutex_unlock(mutex)
                body(work)
                pthread_mutex_lock(mutex)
            }
        }
    }

    private static func now() -> UInt64 {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
    }
}
