import CZeroDBPlatform
import Synchronization

/// What beginning and ending a read transaction needs of a store, in plain memory: a reference to the
/// store itself would be counted, by all threads that read, in one place.
package struct StoreState: ~Copyable {
    /// The map of the data file.
    let source: PageSource
    /// The map of `lock.zdb`.
    let shared: SharedState
    /// What this process puts in reader slots it owns.
    let process: SharedState.Owner
    /// Pages that fit in `max_size`.
    let pagesMax: UInt64
    /// `zp_fork_generation()` when the store was opened.
    package let forkGeneration: UInt32
    let databases = DatabaseNames()
    /// Raised while the store is being closed: no transaction begins any more.
    let isClosing = Atomic<Bool>(false)
    /// For all that is rarer than a read. Not retained: the state belongs to the store.
    unowned(unsafe) let store: Store

    init(
        of store: Store, source: PageSource, shared: SharedState, process: SharedState.Owner,
        pagesMax: UInt64
    ) {
        self.store = store
        self.source = source
        self.shared = shared
        self.process = process
        self.pagesMax = pagesMax
        forkGeneration = zp_fork_generation()
    }

    /// Whether this process inherited the store through `fork()`.
    @inline(__always)
    package var isForked: Bool { forkGeneration != zp_fork_generation() }
}
