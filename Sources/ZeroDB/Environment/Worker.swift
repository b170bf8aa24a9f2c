import Glibc

/// The library's own thread: checkpoints and the flushes of relaxed commits, so that no commit
/// waits for them. Started with the first commit that needs it.
final class Worker: @unchecked Sendable {
    /// Nanoseconds that a relaxed commit may stay off the disk.
    static let relaxedDelay: UInt64 = 100_000_000

    private unowned let environment: Environment
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let changed: UnsafeMutablePointer<pthread_cond_t>
    // All under `mutex`.
    private var thread: pthread_t?
    private var wantsFlush = false
    private var wantsCheckpoint = false
    private var mustCheckpoint = false
    private var wantsSegment = false
    private var isStopping = false

    init(_ environment: Environment) {
        self.environment = environment
        mutex = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        changed = .allocate(capacity: 1)
        pthread_cond_init(changed, nil)
    }

    deinit {
        pthread_cond_destroy(changed)
        changed.deallocate()
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    func flushSoon() { ask { $0.wantsFlush = true } }

    /// Asks for a checkpoint if log or pinned space still call for one then.
    func checkpointSoon() { ask { $0.wantsCheckpoint = true } }

    /// Asks for a checkpoint whatever there is to hold.
    func checkpointSurely() {
        ask {
            $0.wantsCheckpoint = true
            $0.mustCheckpoint = true
        }
    }

    /// Asks for the next segment of the log to be made ready.
    func prepareSegment() { ask { $0.wantsSegment = true } }

    private func ask(_ change: (Worker) -> Void) {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        let hadWork = wantsFlush || wantsCheckpoint || wantsSegment
        change(self)
        if thread == nil && !isStopping { start() }
        if !hadWork || isUrgent { pthread_cond_signal(changed) }
    }

    /// Starts the thread. All signals are the host program's.
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
                Unmanaged<Worker>.fromOpaque(argument).takeUnretainedValue().run()
                return nil
            }, Unmanaged.passUnretained(self).toOpaque())
        // Without a thread the work is done when the environment is closed, at the latest.
        if result == 0 { thread = new }
    }

    /// Ends the thread and waits for it. Work asked for is left undone.
    func stop() {
        pthread_mutex_lock(mutex)
        isStopping = true
        let running = thread
        thread = nil
        pthread_cond_signal(changed)
        pthread_mutex_unlock(mutex)
        if let running { pthread_join(running, nil) }
    }

    private func run() {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while !isStopping {
            if wantsSegment {
                wantsSegment = false
                unlocked { environment.prepareSegment() }
            } else if wantsCheckpoint {
                let isForced = mustCheckpoint
                wantsCheckpoint = false
                mustCheckpoint = false
                unlocked {
                    if isForced {
                        let tip = environment.state.pointee.shared.tip
                        try? environment.makeCheckpoint(holding: tip)
                    } else {
                        try? environment.makeCheckpointIfNeeded()
                    }
                }
            } else if wantsFlush {
                // Time for more commits to share the flush.
                waitRelaxedDelay()
                guard !isStopping else { return }
                wantsFlush = false
                unlocked { try? environment.flushLog() }
            } else {
                pthread_cond_wait(changed, mutex)
            }
        }
    }

    /// Whether there is work that does not wait for more to join it.
    private var isUrgent: Bool { wantsCheckpoint || wantsSegment }

    private func unlocked(_ body: () -> Void) {
        pthread_mutex_unlock(mutex)
        body()
        pthread_mutex_lock(mutex)
    }

    private func waitRelaxedDelay() {
        var until = timespec()
        clock_gettime(CLOCK_REALTIME, &until)
        until.tv_nsec += Int(Self.relaxedDelay)
        if until.tv_nsec >= 1_000_000_000 {
            until.tv_nsec -= 1_000_000_000
            until.tv_sec += 1
        }
        while !isStopping, !isUrgent {
            if pthread_cond_timedwait(changed, mutex, &until) == ETIMEDOUT { return }
        }
    }
}
