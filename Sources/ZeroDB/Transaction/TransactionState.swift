import CZeroDBPlatform
import Glibc
import Synchronization

/// A transaction, as the engine works with it. Lives in memory of its own that is reused but
/// never given back, so that a stale handle finds a generation that does not match instead of
/// something else's bytes.
@usableFromInline
package struct TransactionState: ~Copyable {
    @usableFromInline
    package enum Status {
        case ended
        case active
        /// A read transaction without a snapshot.
        case reset
        /// A write transaction that met an error it cannot recover from.
        case failed
        /// A write transaction in which a nested one is open.
        case nesting
    }

    @usableFromInline package var status = Status.ended
    var source: PageSource
    /// The snapshot's state; a writer's is advanced by its commit.
    var meta = Meta()
    /// The snapshot's id; for a writer the id its commit will have.
    package var id: UInt64 = 0
    /// Counts renewals, so that a cursor notices that its snapshot has gone.
    @usableFromInline package var snapshots: UInt64 = 0
    /// Main database at 0, then the named ones by handle.
    var trees: UnsafeMutablePointer<TreeState>
    private var treeCapacity: Int
    /// The named databases whose trees are other than unknown, each once: a transaction's work does not
    /// grow with the number of handles that there are.
    private(set) var touchedTrees: [Int] = []
    /// Arrays of trees outgrown during this transaction: another thread may be looking at them.
    private var retired: [UnsafeMutablePointer<TreeState>] = []
    /// Not retained: an environment keeps it in memory until its transactions have ended.
    package private(set) var storeState: UnsafeMutablePointer<StoreState>
    /// `zp_fork_generation()` when the environment was opened.
    package private(set) var forkGeneration: UInt32
    var readerSlot = -1
    /// When a write transaction began, in ticks of the machine.
    var began: UInt64 = 0
    /// For how long a write transaction waited to begin, in nanoseconds.
    var waited: UInt64 = 0
    /// What it has read that is not counted yet.
    @usableFromInline package var reads = ReadCounts()
    /// What a write transaction's commit waits for.
    var durability = Durability.full
    /// What the transaction may change; nil in a read transaction.
    var write: UnsafeMutablePointer<WriteState>? {
        didSet { isWrite = write != nil }
    }
    package private(set) var isWrite = false
    /// The write transaction this one is nested in, as long as it is.
    var parent: UnsafeMutablePointer<TransactionState>?
    /// Room for one meta record.
    let metaBytes: UnsafeMutableRawPointer
    private var keyBuffer: UnsafeMutableRawPointer?
    private var path: Path?
    /// Whether a thread is inside a call that must be alone in the transaction.
    private let isEntered = Atomic<Bool>(true)

    init(_ storeState: UnsafeMutablePointer<StoreState>) {
        self.storeState = storeState
        source = storeState.pointee.source
        forkGeneration = storeState.pointee.forkGeneration
        treeCapacity = 16
        trees = .allocate(capacity: treeCapacity)
        trees.initialize(repeating: TreeState(), count: treeCapacity)
        metaBytes = .allocate(byteCount: Meta.size, alignment: 8)
        // What is copied to it leaves out the zeros at the end.
        memset(metaBytes, 0, Meta.size)
    }

    /// Ready for a transaction in a slot that served others before. Entered, until it has begun.
    @inline(__always)
    mutating func begin(in storeState: UnsafeMutablePointer<StoreState>) {
        self.storeState = storeState
        source = storeState.pointee.source
        forkGeneration = storeState.pointee.forkGeneration
        write = nil
        readerSlot = -1
        snapshots &+= 1
        isEntered.store(true, ordering: .relaxed)
    }

    /// Takes over the state in `metaBytes`.
    @inline(__always)
    mutating func adoptSnapshot() {
        meta = Meta(trusted: metaBytes)
        source.pageCount = meta.pageCount
        forgetTrees()
        trees[0].record = meta.main
        trees[0].status = .present
    }

    @inline(__always)
    mutating func forgetTrees() {
        trees[0] = TreeState()
        guard !touchedTrees.isEmpty else { return }
        for handle in touchedTrees { trees[handle] = TreeState() }
        touchedTrees.removeAll(keepingCapacity: true)
    }

    /// Notes that a named database's tree is about to be other than unknown.
    private mutating func touchTree(_ handle: Int) {
        assert(handle < treeCapacity)
        guard handle > 0, trees[handle].status == .unknown else { return }
        touchedTrees.append(handle)
    }

    /// Takes over the trees of a transaction of the same family, which has touched all that this one has.
    mutating func adoptTrees(of other: UnsafeMutablePointer<TransactionState>) {
        trees[0] = other.pointee.trees[0]
        guard let last = other.pointee.touchedTrees.max() else { return }
        reserveTrees(last + 1)
        for handle in other.pointee.touchedTrees {
            touchTree(handle)
            trees[handle] = other.pointee.trees[handle]
        }
    }

    mutating func freeRetired() {
        guard !retired.isEmpty else { return }
        for trees in retired { trees.deallocate() }
        retired.removeAll()
    }

    /// For all that is rarer than a read: using it counts a reference.
    var store: Store { storeState.pointee.store }

    package var isActive: Bool { status == .active }

    // MARK: Checks

    /// Whether what a read transaction has copied from shared memory can be its snapshot: then nothing that
    /// a walk relies on comes from there unchecked. What a transaction of any program may have changed is
    /// not covered: a root that leads elsewhere shows in the page it leads to.
    ///
    /// - Throws: `corrupted`; `full` if another process has opened the environment with a larger
    ///   `max_size` and let it grow.
    @inline(__always)
    func checkSnapshot() throws(DatabaseError) {
        guard meta.transaction == id, storeState.pointee.hasPages(meta.pageCount),
            Meta.isMainShallowAndPlain(metaBytes)
        else { return try checkSnapshotSlowly() }
    }

    @inline(never)
    private func checkSnapshotSlowly() throws(DatabaseError) {
        guard meta.transaction == id, meta.main.isPlausible else {
            throw SharedState.damaged("the record of transaction \(id) does not check")
        }
        try storeState.pointee.checkPages(meta.pageCount)
    }

    /// - Throws: `badTransaction` if a nested transaction is open in this one.
    @inline(__always)
    package func checkChildless() throws(DatabaseError) {
        guard status != .nesting else { throw unusable() }
    }

    /// - Throws: `badTransaction`.
    @inline(__always)
    func checkUsable() throws(DatabaseError) {
        guard status == .active else { throw unusable() }
    }

    @inline(never)
    private func unusable() -> DatabaseError {
        switch status {
        case .reset:
            DatabaseError(
                .badTransaction, "the read transaction was reset; renew it before reading")
        case .failed:
            DatabaseError(
                .badTransaction,
                "an earlier error broke the transaction and it can only be aborted"
                    + (write?.pointee.failure.map { ": \($0.markedMessage)" } ?? ""))
        case .nesting:
            DatabaseError(
                .badTransaction,
                "a nested transaction is open in the transaction; commit or abort that one first")
        case .ended, .active:
            DatabaseError(.badTransaction, "the transaction has ended")
        }
    }

    /// Room for a key as a tree holds it, where that is not as it was given.
    mutating func needKeyBuffer() -> UnsafeMutableRawPointer {
        if let keyBuffer { return keyBuffer }
        let made = UnsafeMutableRawPointer.allocate(
            byteCount: Format.keyBufferSize(pageSize: Format.pageSizeMax), alignment: 8)
        keyBuffer = made
        return made
    }

    /// A path for calls that read without a cursor.
    mutating func needPath() -> Path {
        if let path { return path }
        let made = Path.allocate(capacity: Format.depthMax + 1)
        path = made
        return made
    }

    /// Marks the calling thread as inside; the second thread to come gets an error.
    ///
    /// - Throws: `busy`.
    @inline(__always)
    package func enter() throws(DatabaseError) {
        guard tryEnter() else {
            throw DatabaseError(
                .busy,
                "two threads are in one transaction at once; a transaction is used by one thread "
                    + "at a time")
        }
    }

    /// - Returns: false if another thread is inside.
    @inline(__always)
    func tryEnter() -> Bool {
        isEntered.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
    }

    @inline(__always)
    package func leave() { isEntered.store(false, ordering: .releasing) }

    /// Says that this thread uses a write transaction that it has entered.
    @inline(__always)
    package func noteUser() {
        guard isWrite else { return }
        storeState.pointee.writerUser.store(zp_thread_id(), ordering: .relaxed)
    }

    /// After an error in the middle of a change, the transaction can only be aborted.
    mutating func markFailed(_ error: DatabaseError) {
        status = .failed
        write?.pointee.failure = error
    }

    // MARK: Databases

    /// The tree of a database handle.
    ///
    /// - Throws: `badDatabase`, `corrupted`.
    @inline(__always)
    mutating func tree(_ handle: Int) throws(DatabaseError) -> UnsafeMutablePointer<TreeState> {
        if handle >= 0, handle < treeCapacity, trees[handle].status == .present {
            return trees + handle
        }
        return try resolveTree(handle)
    }

    @inline(never)
    private mutating func resolveTree(
        _ handle: Int
    ) throws(DatabaseError) -> UnsafeMutablePointer<TreeState> {
        let names = storeState.pointee.databases
        guard let name = names.name(handle) else {
            throw DatabaseError(
                .badDatabase,
                "database handle \(handle) was not opened in this environment; open the database "
                    + "with \(c: "zdb_db_open")")
        }
        guard try lookUp(handle, name: name) else {
            throw DatabaseError(
                .badDatabase,
                "\(names.describe(handle)) does not exist in this transaction's snapshot")
        }
        return trees + handle
    }

    /// Finds a named database's record in the catalog, once a transaction.
    ///
    /// - Returns: whether it exists in the snapshot.
    mutating func lookUp(_ handle: Int, name: KeyBytes) throws(DatabaseError) -> Bool {
        reserveTrees(handle + 1)
        switch trees[handle].status {
        case .present: return true
        case .absent: return false
        case .unknown: break
        }
        let catalog = write?.pointee.catalog.record ?? meta.catalog
        guard catalog.isPlausible || write != nil else {
            throw SharedState.damaged("the record of transaction \(id) does not check")
        }
        guard
            let bytes = try TreeRead.get(source, catalog, key: name)
        else {
            touchTree(handle)
            trees[handle].status = .absent
            return false
        }
        let record = try Self.record(in: bytes, of: name)
        touchTree(handle)
        trees[handle].record = record
        trees[handle].status = .present
        return true
    }

    /// The record that the catalog has of a database.
    static func record(
        in bytes: UnsafeRawBufferPointer, of name: KeyBytes
    ) throws(DatabaseError) -> TreeRecord {
        guard bytes.count == TreeRecord.size, let start = bytes.baseAddress else {
            throw DatabaseError(
                .corrupted,
                "the record of database \"\(String(decoding: name, as: UTF8.self))\" in the "
                    + "catalog has \(bytes.count) bytes, expected \(TreeRecord.size); run "
                    + "zerodb-check")
        }
        let record = TreeRecord(at: start)
        guard record.isPlausible else {
            throw DatabaseError(
                .corrupted,
                "the record of database \"\(String(decoding: name, as: UTF8.self))\" in the "
                    + "catalog is impossible; run zerodb-check")
        }
        return record
    }

    /// What a database adds to the digest of the environment by the record that the catalog has of it;
    /// nothing if there is none.
    func digest(
        ofDatabaseInCatalog name: KeyBytes
    ) throws(DatabaseError) -> ContentDigest {
        let catalog = write?.pointee.catalog.record ?? meta.catalog
        guard let bytes = try TreeRead.get(source, catalog, key: name) else {
            return ContentDigest()
        }
        return ContentDigest(ofDatabase: name, try Self.record(in: bytes, of: name))
    }

    /// Makes a database that `lookUp` has not found.
    mutating func createTree(_ handle: Int, flags: DatabaseFlags) {
        var record = TreeRecord()
        record.flags = flags
        record.created = id
        setTree(handle, record)
    }

    /// Makes a handle stand for a tree, or for none, from now on in this write transaction.
    mutating func setTree(_ handle: Int, _ record: TreeRecord?) {
        // Cursors that stood in what the handle named before notice it by the count of changes.
        let changes = trees[handle].changes &+ 1
        touchTree(handle)
        trees[handle] = TreeState()
        trees[handle].changes = changes
        trees[handle].record = record ?? TreeRecord()
        trees[handle].status = record == nil ? .absent : .present
        trees[handle].isDirty = true
        write?.pointee.workspace.pointee.isDirty = true
    }

    mutating func reserveTrees(_ count: Int) {
        guard count > treeCapacity else { return }
        let capacity = max(count, treeCapacity * 2)
        let larger = UnsafeMutablePointer<TreeState>.allocate(capacity: capacity)
        larger.initialize(from: trees, count: treeCapacity)
        (larger + treeCapacity).initialize(repeating: TreeState(), count: capacity - treeCapacity)
        retired.append(trees)
        trees = larger
        treeCapacity = capacity
    }

    /// Named databases whose records this transaction has changed.
    func dirtyDatabases() -> [Int] {
        touchedTrees.filter { trees[$0].isDirty && trees[$0].status == .present }.sorted()
    }

    /// Named databases that this transaction has dropped or given another name.
    func droppedDatabases() -> [Int] {
        touchedTrees.filter { trees[$0].isDirty && trees[$0].status == .absent }.sorted()
    }
}
