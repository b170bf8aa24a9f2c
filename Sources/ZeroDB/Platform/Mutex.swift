import CZeroDBPlatform
import Glibc

/// A lock that one thread at a time holds.
///
/// It is pthread's and not `Synchronization.Mutex`, which waits by system calls in a library that
/// ThreadSanitizer does not see into: what it guards would look like data races.
final class Mutex: @unchecked Sendable {
    fileprivate let handle: UnsafeMutablePointer<pthread_mutex_t>

    init() {
        handle = .allocate(capacity: 1)
        pthread_mutex_init(handle, nil)
    }

    deinit {
        pthread_mutex_destroy(handle)
        handle.deallocate()
    }

    /// Waits for the lock. A thread that holds it must not ask for it again.
    func lock() { pthread_mutex_lock(handle) }

    /// Takes the lock if no thread has it.
    func tryLock() -> Bool { pthread_mutex_trylock(handle) == 0 }

    func unlock() { pthread_mutex_unlock(handle) }

    /// Whether some thread holds the lock, for assertions of functions that need it held.
    var isHeld: Bool {
        guard pthread_mutex_trylock(handle) == 0 else { return true }
        pthread_mutex_unlock(handle)
        return false
    }

    /// Runs a body that holds the lock.
    func withLock<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        lock()
        defer { unlock() }
        return try body()
    }
}

/// What threads wait for that hold a mutex: they let go of it while they wait.
final class Condition: @unchecked Sendable {
    private let handle: UnsafeMutablePointer<pthread_cond_t>

    init() {
        handle = .allocate(capacity: 1)
        // The wall clock may be put back, and a wait with a limit would be too long.
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(handle, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(handle)
        handle.deallocate()
    }

    /// Waits for a signal. May also return without one.
    func wait(with mutex: Mutex) { pthread_cond_wait(handle, mutex.handle) }

    /// Waits for a signal until `SystemCall.monotonicNanoseconds` has come to a time.
    func wait(with mutex: Mutex, until time: UInt64) {
        var until = timespec(
            tv_sec: Int(time / 1_000_000_000), tv_nsec: Int(time % 1_000_000_000))
        pthread_cond_timedwait(handle, mutex.handle, &until)
    }

    /// Wakes one of the threads that wait.
    func signal() { pthread_cond_signal(handle) }

    /// Wakes all threads that wait.
    func broadcast() { pthread_cond_broadcast(handle) }
}

/// Where a value is that threads share; a subclass says by which lock.
class SharedValue<Value>: @unchecked Sendable {
    fileprivate let value: UnsafeMutablePointer<Value>

    init(_ initial: sending Value) {
        value = .allocate(capacity: 1)
        value.initialize(to: initial)
    }

    deinit {
        value.deinitialize(count: 1)
        value.deallocate()
    }
}

/// A value that one thread at a time can use.
final class Locked<Value>: SharedValue<Value>, @unchecked Sendable {
    private let mutex = Mutex()

    /// Runs a body that has the value for itself. It must not use the same lock again.
    func withLock<Result, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        mutex.lock()
        defer { mutex.unlock() }
        return try body(&value.pointee)
    }
}

/// A value that all environments of the process share. One lock guards all such values: a thread that
/// forks takes it, so that the child finds each value whole and the lock free.
final class ProcessWide<Value>: SharedValue<Value>, @unchecked Sendable {
    /// Runs a body that has the value for itself. It must not lock anything.
    func withLock<Result, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        zp_lock_process()
        defer { zp_unlock_process() }
        return try body(&value.pointee)
    }
}

/// A lock that any thread may give back, not only the one that took it.
final class Semaphore: @unchecked Sendable {
    private let handle: UnsafeMutablePointer<sem_t>

    /// - Parameter count: how many may hold it at once.
    init(_ count: UInt32) {
        handle = .allocate(capacity: 1)
        sem_init(handle, 0, count)
    }

    deinit {
        sem_destroy(handle)
        handle.deallocate()
    }

    /// Waits until `SystemCall.monotonicNanoseconds` has come to a time.
    ///
    /// - Returns: 0, ETIMEDOUT, or the errno of what kept it from waiting.
    func wait(until time: UInt64) -> Int32 { zp_semaphore_wait(handle, time) }

    /// - Returns: whether it is taken, now and without waiting.
    func tryWait() -> Bool { SystemCall.retryingInterrupts { Int(sem_trywait(handle)) } == 0 }

    /// Tries for as long as it takes to put a thread to sleep and to wake it, about, if another can give
    /// it back meanwhile.
    ///
    /// - Returns: whether it is taken.
    func spin() -> Bool {
        Self.hasProcessors && zp_semaphore_spin(handle, Self.spinNanoseconds)
    }

    private static let hasProcessors = JoinedThread.processors > 1
    private static let spinNanoseconds: UInt64 = 20_000

    func signal() { sem_post(handle) }

    /// Whether as many hold it as may, for assertions of functions that need it held.
    var isHeld: Bool {
        var count: Int32 = 0
        return sem_getvalue(handle, &count) == 0 && count <= 0
    }
}
