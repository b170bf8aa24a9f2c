import Synchronization

/// Judges a snapshot that another thread copies.
final class CopyJudge: @unchecked Sendable {
    private let source: PageSource
    private let meta: Meta
    private let freeList: FreeList
    private let knowsFreeSpace: Bool
    private let isCancelled = Atomic<Bool>(false)
    /// For whoever has waited for the thread.
    private var failure: DatabaseError?

    /// - Parameter freeList: as long as `run()` takes.
    init(
        _ source: PageSource, _ meta: Meta, _ freeList: FreeList, knowsFreeSpace: Bool
    ) {
        self.knowsFreeSpace = knowsFreeSpace
        self.source = source
        self.meta = meta
        self.freeList = freeList
    }

    func run() {
        var options = VerifyOptions()
        options.threads = 1
        var problem: DatabaseError?
        let verification = Verification(
            source, meta, freeList, options: options,
            monitor: VerifyMonitor { [self] in
                problem = problem ?? DatabaseError(.corrupted, page: $0.page, $0.message)
                cancel()
            } onProgress: { [self] _ in
                !isCancelled.load(ordering: .relaxed)
            }, knowsFreeSpace: knowsFreeSpace)
        do throws(DatabaseError) {
            try verification.run()
        } catch {
            failure = error
        }
        failure = problem ?? failure
    }

    func cancel() { isCancelled.store(true, ordering: .relaxed) }

    /// - Throws: what was found damaged.
    func check() throws(DatabaseError) { if let failure { throw failure } }
}
