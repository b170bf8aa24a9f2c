import Glibc
import Synchronization

/// What the threads of a verification and its caller tell each other: what is found, how far it is, and
/// whether to go on.
///
/// The caller's functions are called on the caller's thread only. Other threads queue what they find, and
/// wait while the queue is full.
final class VerifyMonitor: @unchecked Sendable {
    private let onProblem: (VerifyProblem) -> Void
    private let onProgress: (VerifyProgress) -> Bool
    private let mutex = Mutex()
    /// Told when there is something in the queue, or a thread has ended.
    private let hasNews = Condition()
    /// Told when the queue is empty again.
    private let hasRoom = Condition()
    // Under `mutex`.
    private var untold: [VerifyProblem] = []
    private var threadsRunning = 0

    private let pagesDone = Atomic<UInt64>(0)
    private let isCancelledFlag = Atomic<Bool>(false)
    // The caller's own.
    /// Pages that there are to be looked at.
    var pagesTotal: UInt64 = 0
    /// When transactions were committed, as far as that is known.
    var times = TransactionTimes()
    private(set) var problems: UInt64 = 0
    private var nextProgress: UInt64 = 0

    private static let queueMax = 1000
    /// Nanoseconds between two calls of `onProgress`.
    private static let progressInterval: UInt64 = 100_000_000

    init(
        onProblem: @escaping (VerifyProblem) -> Void,
        onProgress: @escaping (VerifyProgress) -> Bool = { _ in true }
    ) {
        self.onProblem = onProblem
        self.onProgress = onProgress
    }

    /// Whether the caller wants no more.
    var isCancelled: Bool { isCancelledFlag.load(ordering: .relaxed) }

    // MARK: By the caller's thread

    /// Tells the caller of a problem.
    func report(_ problem: VerifyProblem) {
        passQueueOn()
        pass(problem)
    }

    private func pass(_ problem: VerifyProblem) {
        problems += 1
        var problem = problem
        problem.wallClock = problem.transaction.flatMap { times.wallClock(of: $0) }
        onProblem(problem)
    }

    /// Passes on what other threads have found, and says how far the verification is.
    func attend() {
        passQueueOn()
        tellProgress()
    }

    private func passQueueOn() {
        mutex.lock()
        let found = untold
        untold.removeAll(keepingCapacity: true)
        if !found.isEmpty { hasRoom.broadcast() }
        mutex.unlock()
        for problem in found { pass(problem) }
    }

    /// Says how far the verification is, if that has not been said for a while.
    func tellProgress(isLast: Bool = false) {
        let now = SystemCall.monotonicNanoseconds()
        guard isLast || now >= nextProgress, !isCancelled else { return }
        nextProgress = now + Self.progressInterval
        let done = pagesDone.load(ordering: .relaxed)
        let progress = VerifyProgress(
            pagesDone: isLast ? pagesTotal : min(done, pagesTotal), pagesTotal: pagesTotal)
        if !onProgress(progress) { isCancelledFlag.store(true, ordering: .relaxed) }
    }

    /// - Throws: ECANCELED if the caller wants no more.
    func checkCancelled() throws(DatabaseError) {
        guard isCancelled else { return }
        throw DatabaseError(systemError: ECANCELED, "verify the environment to its end")
    }

    func threadBegins() { mutex.withLock { threadsRunning += 1 } }

    /// Passes on what the threads find until all have ended.
    func waitForThreads() {
        while true {
            attend()
            mutex.lock()
            if untold.isEmpty {
                if threadsRunning == 0 {
                    mutex.unlock()
                    return
                }
                hasNews.wait(
                    with: mutex, until: SystemCall.monotonicNanoseconds() + Self.progressInterval)
            }
            mutex.unlock()
        }
    }

    // MARK: By any thread

    /// Notes pages that have been looked at.
    func add(pages: UInt64) { pagesDone.add(pages, ordering: .relaxed) }

    /// Queues a problem, from another thread than the caller's.
    func queue(_ problem: VerifyProblem) {
        mutex.lock()
        while untold.count >= Self.queueMax { hasRoom.wait(with: mutex) }
        untold.append(problem)
        hasNews.signal()
        mutex.unlock()
    }

    func threadEnds() {
        mutex.withLock {
            threadsRunning -= 1
            hasNews.signal()
        }
    }
}

/// When transactions were committed: those with ids in a row, and some more.
struct TransactionTimes {
    private var first: UInt64 = 0
    private var inRow: [UInt64] = []
    private var others: [UInt64: UInt64] = [:]

    /// Notes a transaction of which the log or a meta page tells.
    mutating func add(_ transaction: UInt64, _ wallClock: UInt64) {
        if inRow.isEmpty { first = transaction }
        if transaction == first &+ UInt64(inRow.count) {
            inRow.append(wallClock)
        } else {
            others[transaction] = wallClock
        }
    }

    func wallClock(of transaction: UInt64) -> UInt64? {
        if transaction >= first, transaction - first < UInt64(inRow.count) {
            return inRow[Int(transaction - first)]
        }
        return others[transaction]
    }
}
