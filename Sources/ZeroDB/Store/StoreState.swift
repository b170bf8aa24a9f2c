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
    /// Pages that this process knows to be in the data file, and in its map.
    private let pagesInFile: Atomic<UInt64>
    /// `zp_fork_generation()` when the store was opened.
    package let forkGeneration: UInt32
    let databases = DatabaseNames()
    /// Raised while the store is being closed: no transaction begins any more.
    let isClosing = Atomic<Bool>(false)
    /// For all that is rarer than a read. Not retained: the state belongs to the store.
    unowned(unsafe) let store: Store

    init(
        of store: Store, source: PageSource, shared: SharedState, process: SharedState.Owner,
        pagesMax: UInt64, pagesInFile: UInt64
    ) {
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
        guard count <= pagesMax else {
            throw DatabaseError(
                .full,
                "the environment has grown to \(count) pages in another process; this one has "
                    + "mapped \(pagesMax) (max_size); close it here and open it with "
                    + "a larger max_size")
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
}
