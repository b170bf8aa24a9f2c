/// Ends the poison that a flush has left which failed, once no process has the environment open that
/// could write: readers may go on all the while.
///
/// The kernel may take pages for written that are not. What a fresh start does, replaying the log over the
/// last checkpoint, would overwrite pages that readers see. So the newest state is made durable as it is:
/// each of its pages that the last checkpoint did not have is written once more, with the same bytes. A
/// page that the kernel has lost since shows by its checksum; then all stays as it is, until readers too
/// have closed the environment.
enum Healing {
    /// Does nothing if the environment is not poisoned, or another process may write. Failures leave it
    /// poisoned.
    static func run(_ store: Store) {
        guard store.shared.poison != 0, !store.options.isReadOnly else { return }
        guard (try? store.locks.take(.closing, .never)) != nil else { return }
        defer { store.locks.giveBack(.closing) }
        guard store.shared.poison != 0 else { return }
        do throws(DatabaseError) {
            try store.lockCheckpoint()
            defer { store.unlockCheckpoint() }
            try makeDurable(store)
            store.shared.poison = 0
            store.report(
                .warning,
                "a flush had failed in the environment at \(store.path); its newest state, "
                    + "transaction \(store.shared.tip), has been written once more and is on disk")
        } catch {
            store.report(
                .error,
                "\(error.markedMessage); the environment at \(store.path) goes on refusing to "
                    + "write until "
                    + "all programs have closed it")
        }
    }

    /// With the checkpoint's lock, and no writer.
    private static func makeDurable(_ store: Store) throws(DatabaseError) {
        try store.rewriteRoot()
        let meta = try store.tipMeta()
        let freeList = FreeList.allocate()
        defer { freeList.deallocate() }
        try store.shared.copyTipFreeList(to: freeList, of: meta)
        var source = store.source
        source.pageCount = meta.pageCount
        let known = store.shared.checkpoint
        var runs: [PageRun] = []
        var problem: String?
        let verification = Verification(source, meta, freeList) { run in
            if source.birth(of: run.start) > known { runs.append(run) }
        } onProblem: {
            problem = problem ?? $0.message
        }
        try verification.run()
        if let problem { throw DatabaseError(.corrupted, problem) }
        // With the last page the size of the file, which may not be on disk either.
        if meta.pageCount > Format.metaPageCount {
            runs.append(PageRun(start: meta.pageCount - 1, count: 1))
        }
        for run in runs { try rewrite(run, store) }
        try store.writeCheckpoint()
    }

    private static let partBytes: UInt64 = 1 << 20

    /// Writes pages once more.
    private static func rewrite(_ run: PageRun, _ store: Store) throws(DatabaseError) {
        let pageSize = UInt64(store.pageSize)
        let end = run.end * pageSize
        var start = run.start * pageSize
        while start < end {
            let length = Int(min(Self.partBytes, end - start))
            // Not from the map itself, which is the same memory.
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: length, alignment: 64)
            defer { copy.deallocate() }
            copy.copyMemory(
                from: UnsafeRawBufferPointer(start: store.source.map + Int(start), count: length))
            try store.dataFile.write(UnsafeRawBufferPointer(copy), at: start)
            start += UInt64(length)
        }
    }
}
