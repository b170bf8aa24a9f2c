import Synchronization

/// Counts of a process that are not in shared memory yet. Threads that still read when their environment
/// is closed under them count here: this memory is never given back.
struct PendingCounts {
    private typealias Word = Atomic<UInt64>

    private static let checked = SharedState.MetricsLayout.errorsMax
    private static let failures = checked + 1
    private static let limits = failures + 1
    private static let hasAny = limits + SharedState.MetricsLayout.limitsMax
    private static let count = hasAny + 1

    private let words: UnsafeMutablePointer<Word>

    /// Memory for the counts of one store after the other.
    init() {
        words = .allocate(capacity: Self.count)
        for index in 0..<Self.count { (words + index).initialize(to: Word(0)) }
    }

    private func add(at index: Int) {
        words[index].wrappingAdd(1, ordering: .relaxed)
        if words[Self.hasAny].load(ordering: .relaxed) == 0 {
            words[Self.hasAny].store(1, ordering: .relaxed)
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

    /// Whether there may be any.
    @inline(__always)
    var isEmpty: Bool { words[Self.hasAny].load(ordering: .relaxed) == 0 }

    /// Moves them to shared memory.
    @inline(never)
    func move(to shared: SharedState) {
        words[Self.hasAny].store(0, ordering: .relaxed)
        for index in 0..<Self.hasAny where words[index].load(ordering: .relaxed) > 0 {
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

    /// Forgets those of a store that is gone.
    func clear() { for index in 0..<Self.count { words[index].store(0, ordering: .relaxed) } }
}

/// Counts an error that a call has ended with.
package func countError(
    _ error: DatabaseError, in store: UnsafeMutablePointer<StoreState>
) {
    store.pointee.pending.note(error)
}
