import CZeroDBPlatform
import Synchronization

/// Counts of a process that are not in shared memory yet, and what else a transaction that ends
/// has to do besides counting itself. Threads that still read when their environment is closed
/// under them count here: a store's memory for them is never given back.
struct PendingCounts {
    private typealias Word = Atomic<UInt64>

    private static let checked = SharedState.MetricsLayout.errorsMax
    private static let failures = checked + 1
    private static let limits = failures + 1
    private static let duties = limits + SharedState.MetricsLayout.limitsMax
    private static let count = duties + 1

    /// What is to be done, in bits of a word of its own: one look tells that it is nothing.
    private enum Duty {
        /// There are counts here.
        static let counts: UInt64 = 1
        /// The host program is to be told of slow transactions.
        static let slow: UInt64 = 2
        /// The rate of the machine's clock is to be found.
        static let rate: UInt64 = 4
    }

    private let words: UnsafeMutablePointer<Word>

    /// Memory for the counts of one store after the other.
    init() {
        words = .allocate(capacity: Self.count)
        for index in 0..<Self.count { (words + index).initialize(to: Word(0)) }
    }

    /// Gives the memory back, where no store counts in it.
    func deallocate() { words.deallocate() }

    private func add(at index: Int) {
        words[index].wrappingAdd(1, ordering: .relaxed)
        if words[Self.duties].load(ordering: .relaxed) & Duty.counts == 0 {
            words[Self.duties].bitwiseOr(Duty.counts, ordering: .relaxed)
        }
    }

    func noteChecked() { add(at: Self.checked) }

    func noteChecksumFailure() { add(at: Self.failures) }

    /// Notes an error that a call ends with, unless it has been noted.
    @inline(never)
    func note(_ error: DatabaseError) {
        guard error.markCounted() else { return }
        add(at: SharedState.errorIndex(error.resultCode))
        if let limit = error.limit { add(at: Self.limits + limit.rawValue) }
    }

    /// Whether a transaction that ends has nothing to do but to count itself.
    @inline(__always)
    var areIdle: Bool { words[Self.duties].load(ordering: .relaxed) == 0 }

    /// Moves the counts to shared memory, if there are any.
    @inline(__always)
    func moveIfAny(to shared: SharedState) {
        if words[Self.duties].load(ordering: .relaxed) & ~Duty.slow != 0 { move(to: shared) }
    }

    @inline(never)
    func move(to shared: SharedState) {
        let done = Duty.counts | (zp_knows_tick_rate() ? Duty.rate : 0)
        words[Self.duties].bitwiseAnd(~done, ordering: .relaxed)
        for index in 0..<Self.duties where words[index].load(ordering: .relaxed) > 0 {
            let count = words[index].exchange(0, ordering: .relaxed)
            if index == Self.checked {
                shared.count(.pagesChecked, count)
            } else if index == Self.failures {
                shared.count(.checksumFailures, count)
            } else if index < Self.checked {
                shared.countError(code: -Int32(index), count)
            } else if let limit = Limit(rawValue: index - Self.limits) {
                shared.count(limit, count)
            }
        }
    }

    /// Begins anew for a store.
    ///
    /// - Parameter asksForSlow: whether the host program is to be told of slow transactions.
    func begin(asksForSlow: Bool) {
        for index in 0..<Self.duties { words[index].store(0, ordering: .relaxed) }
        words[Self.duties].store(
            (asksForSlow ? Duty.slow : 0) | (zp_knows_tick_rate() ? 0 : Duty.rate),
            ordering: .relaxed)
    }
}

/// Counts an error that a call has ended with.
package func countError(
    _ error: DatabaseError, in store: UnsafeMutablePointer<StoreState>
) {
    store.pointee.pending.note(error)
}
