import Synchronization

/// Judges a snapshot that another thread copies.
final class CopyJudge: @unchecked Sendable {
    private let source: PageSource
    private let meta: Meta
    private let freeList: FreeList
    private let knowsFreeSpace: Bool
    private let isCancelled = Atomic<Bool>(false)
    private var pace: CopyPace
    private var pagesUntilRest = CopyJudge.pagesBetweenRests
    /// For whoever has waited for the thread.
    private var failure: DatabaseError?

    /// Pages after which it asks whether others commit.
    private static let pagesBetweenRests = 64

    /// - Parameters:
    ///   - freeList: as long as `run()` takes.
    ///   - shared: of the environment that is copied.
    init(
        _ source: PageSource, _ meta: Meta, _ freeList: FreeList, knowsFreeSpace: Bool,
        _ shared: SharedState
    ) {
        pace = CopyPace(shared)
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
            }, knowsFreeSpace: knowsFreeSpace, onPages: { [self] _ in rest() })
        do throws(DatabaseError) {
            try verification.run()
        } catch {
            failure = error
        }
        failure = problem ?? failure
    }

    /// Leaves the processor to others while they commit.
    private func rest() {
        pagesUntilRest -= 1
        guard pagesUntilRest <= 0 else { return }
        pagesUntilRest = Self.pagesBetweenRests
        pace.rest()
    }

    func cancel() { isCancelled.store(true, ordering: .relaxed) }

    /// - Throws: what was found damaged.
    func check() throws(DatabaseError) { if let failure { throw failure } }
}
