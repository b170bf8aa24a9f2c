import CZeroDBPlatform
import Glibc
import Synchronization

/// What beginning and ending a read transaction needs of a store, in plain memory: a reference to the
/// store itself would be counted, by all threads that read, in one place.
///
/// The memory of a state is used again for another store, and never given back. So a thread that comes
/// too late, with the handle of an environment that is being closed, can count itself in `calls` or in
/// the tag of a transaction before it asks whether the handle still stands for this store. It uses
/// nothing else before it knows.
package struct StoreState: ~Copyable {
    /// Whether transactions may begin and calls be made.
    enum Phase: UInt8 {
        case open
        /// A thread looks whether it can close the store: a transaction that begins waits for it.
        case deciding
        /// A thread waits for open transactions to end, to close the store: none begins.
        case draining
        /// Nothing begins any more.
        case closed
    }

    /// The map of the data file.
    private(set) var source: PageSource
    /// The map of `lock.zdb`.
    private(set) var shared: SharedState
    /// What this process puts in reader slots it owns.
    private(set) var process: SharedState.Owner
    /// Pages that fit in `max_size`.
    private(set) var pagesMax: UInt64
    /// `zp_fork_generation()` when the store was opened.
    package private(set) var forkGeneration: UInt32
    private(set) var databases = DatabaseNames()
    /// For all that is rarer than a read. Not retained: the state belongs to the store.
    private(set) unowned(unsafe) var store: Store

    /// Pages that this process knows to be in the data file, and in its map.
    private let pagesInFile: Atomic<UInt64>
    private let phaseValue = Atomic<UInt8>(Phase.open.rawValue)
    /// The thread that was last inside the write transaction, 0 if none is open.
    let writerUser = Atomic<UInt64>(0)
    /// The thread that archives while it closes the store, and may read then; 0 if none does.
    let archivingThread = Atomic<UInt64>(0)
    /// What is not counted in shared memory yet.
    let pending: PendingCounts
    /// Nanoseconds after which the host program is told of a transaction; `UInt64.max` for never.
    private(set) var slowNanoseconds = UInt64.max
    /// Threads inside calls that are not part of a transaction. What is closed waits for them.
    package let calls = Atomic<Int>(0)

    private init(
        of store: Store, source: PageSource, shared: SharedState, process: SharedState.Owner,
        pagesMax: UInt64, pagesInFile: UInt64, pending: PendingCounts
    ) {
        self.pending = pending
        self.pagesInFile = Atomic(pagesInFile)
        self.store = store
        self.source = source
        self.shared = shared
        self.process = process
        self.pagesMax = pagesMax
        forkGeneration = zp_fork_generation()
    }

    /// Whether a state with so many pages is known to lie in the file as a whole. One with fewer than the
    /// meta pages is none.
    @inline(__always)
    func hasPages(_ count: UInt64) -> Bool {
        count &- Format.metaPageCount
            <= pagesInFile.load(ordering: .relaxed) &- Format.metaPageCount
    }

    /// Notes that the file has got so many pages.
    func notePages(_ count: UInt64) { pagesInFile.max(count, ordering: .relaxed) }

    /// Forgets pages that are about to be cut off.
    func forgetPages(from count: UInt64) { pagesInFile.min(count, ordering: .relaxed) }

    /// Makes sure that a state that shared memory tells of lies in the file as a whole: pages behind its
    /// end must not be touched.
    ///
    /// - Throws: `full` if it is not in the map, as another process may have opened the environment with a
    ///   larger `max_size`; `corrupted`.
    @inline(never)
    func checkPages(_ count: UInt64) throws(DatabaseError) {
        if hasPages(count) { return }
        guard count >= Format.metaPageCount, count < PageReference.numberLimit else {
            throw SharedState.damaged("the newest state would have \(count) pages")
        }
        let mapped = UInt64(store.mapLength) / UInt64(source.pageSize)
        guard count <= mapped else {
            throw DatabaseError(
                .full, limit: .maxSize,
                "the environment has grown to \(count) pages in another process; this one has "
                    + "mapped \(mapped) (\(c: "max_size")); close it here and open it with "
                    + "a larger \(c: "max_size")")
        }
        let pages = try store.dataFile.size() / UInt64(source.pageSize)
        guard count <= pages else {
            throw SharedState.damaged(
                "the newest state would have \(count) pages, and the file has \(pages)")
        }
        notePages(count)
    }

    /// Whether this process inherited the store through `fork()`.
    @inline(__always)
    package var isForked: Bool { forkGeneration != zp_fork_generation() }

    /// As all threads agree on it.
    var phase: Phase {
        Phase(rawValue: phaseValue.load(ordering: .sequentiallyConsistent)) ?? .closed
    }

    /// Whether transactions may begin.
    @inline(__always)
    var isOpen: Bool { phaseValue.load(ordering: .sequentiallyConsistent) == Phase.open.rawValue }

    func setPhase(_ phase: Phase) {
        phaseValue.store(phase.rawValue, ordering: .sequentiallyConsistent)
    }

    /// Leaves the phase `open` for another.
    ///
    /// - Returns: false if another thread has.
    func leaveOpen(for phase: Phase) -> Bool {
        phaseValue.compareExchange(
            expected: Phase.open.rawValue, desired: phase.rawValue,
            ordering: .sequentiallyConsistent
        ).exchanged
    }

    /// Whether the store is closed, or a thread has begun to close it for good.
    package var isClosed: Bool { phase == .closed }

    /// Waits until no thread is inside a call.
    package func waitForCalls() {
        var rounds = 0
        while calls.load(ordering: .sequentiallyConsistent) > 0 {
            rounds += 1
            if rounds < 100 { sched_yield() } else { usleep(100) }
        }
    }
}

// MARK: Memory

extension StoreState {
    /// States that no store has. A child does not use those of its parent: a thread that it has not
    /// inherited may have counted itself in one.
    private struct Free {
        var states: [UnsafeMutablePointer<StoreState>] = []
        /// Those of the parent, which are kept for no use: they are not lost memory to a checker of it.
        private var abandoned: [UnsafeMutablePointer<StoreState>] = []
        var forkGeneration: UInt32 = 0

        mutating func forgetParents() {
            guard forkGeneration != zp_fork_generation() else { return }
            abandoned += states
            states = []
            forkGeneration = zp_fork_generation()
        }
    }

    private static let free = ProcessWide(Free())

    /// Memory for a state.
    struct Place {
        let state: UnsafeMutablePointer<StoreState>
        /// Whether another store had it.
        let isUsed: Bool
        let pending: PendingCounts
    }

    static func place() -> Place {
        let known: UnsafeMutablePointer<StoreState>? = free.withLock {
            $0.forgetParents()
            return $0.states.popLast()
        }
        return Place(
            state: known ?? .allocate(capacity: 1), isUsed: known != nil,
            pending: known?.pointee.pending ?? PendingCounts())
    }

    /// Makes the state of a store in its place.
    static func make(
        in place: Place, of store: Store, source: PageSource, shared: SharedState,
        process: SharedState.Owner, pagesMax: UInt64, pagesInFile: UInt64
    ) {
        let state = place.state
        let slowMilliseconds = store.options.slowTransactionMilliseconds
        let slow = slowMilliseconds == 0 ? UInt64.max : UInt64(slowMilliseconds) * 1_000_000
        place.pending.begin(asksForSlow: slow != UInt64.max)
        guard place.isUsed else {
            state.initialize(
                to: StoreState(
                    of: store, source: source, shared: shared, process: process,
                    pagesMax: pagesMax, pagesInFile: pagesInFile, pending: place.pending))
            state.pointee.slowNanoseconds = slow
            return
        }
        state.pointee.slowNanoseconds = slow
        state.pointee.store = store
        state.pointee.source = source
        state.pointee.shared = shared
        state.pointee.process = process
        state.pointee.pagesMax = pagesMax
        state.pointee.pagesInFile.store(pagesInFile, ordering: .relaxed)
        state.pointee.forkGeneration = zp_fork_generation()
        state.pointee.databases = DatabaseNames()
        state.pointee.setPhase(.open)
    }

    /// Keeps a state for the next store.
    static func recycle(_ state: UnsafeMutablePointer<StoreState>) {
        guard !state.pointee.isForked else { return }
        state.pointee.setPhase(.closed)
        free.withLock {
            $0.forgetParents()
            $0.states.append(state)
        }
    }
}
