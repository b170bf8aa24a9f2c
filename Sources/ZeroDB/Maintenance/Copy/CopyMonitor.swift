import Glibc

/// What ends a copy early: damage, a write that fails, or a caller that wants no more.
final class CopyMonitor {
    private let onProgress: (CopyProgress) -> Bool
    private var failure: DatabaseError?
    private var isCancelled = false
    private var nextProgress: UInt64 = 0

    /// Nanoseconds between two calls of `onProgress`.
    private static let interval: UInt64 = 100_000_000

    init(_ onProgress: @escaping (CopyProgress) -> Bool) { self.onProgress = onProgress }

    var hasFailed: Bool { failure != nil || isCancelled }

    func fail(_ error: DatabaseError) { failure = failure ?? error }

    /// - Returns: false if the copy is to end.
    func tell(_ progress: CopyProgress) -> Bool {
        if !onProgress(progress) { isCancelled = true }
        return !hasFailed
    }

    /// Says how far the copy is, if that has not been said for a while.
    func tell(_ done: UInt64, of total: UInt64, isLast: Bool = false) throws(DatabaseError) {
        let now = SystemCall.monotonicNanoseconds()
        if isLast || now >= nextProgress {
            nextProgress = now + Self.interval
            _ = tell(CopyProgress(pagesDone: done, pagesTotal: total))
        }
        try check()
    }

    /// - Throws: what has ended the copy.
    func check() throws(DatabaseError) {
        if let failure { throw failure }
        if isCancelled {
            throw DatabaseError(systemError: ECANCELED, "copy the environment to its end")
        }
    }
}
