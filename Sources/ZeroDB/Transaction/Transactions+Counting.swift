import CZeroDBPlatform

/// Counting what transactions did, when they end.
extension Transactions {
    /// Counts what a read transaction did, before it lets go of its snapshot.
    @inline(__always)
    static func noteRead(
        _ state: UnsafeMutablePointer<TransactionState>, _ shared: SharedState
    ) {
        let storeState = state.pointee.storeState
        if storeState.pointee.slowNanoseconds != UInt64.max { reportIfSlow(state, shared) }
        shared.noteRead(slot: state.pointee.readerSlot, &state.pointee.reads)
        let pending = storeState.pointee.pending
        if !pending.isEmpty { pending.move(to: shared) }
    }

    @inline(never)
    private static func reportIfSlow(
        _ state: UnsafeMutablePointer<TransactionState>, _ shared: SharedState
    ) {
        let nanoseconds = shared.nanosecondsOpen(slot: state.pointee.readerSlot)
        let store = state.pointee.store
        guard nanoseconds >= store.state.pointee.slowNanoseconds else { return }
        var done = SlowTransaction(
            outcome: .read, transaction: state.pointee.id,
            processID: store.process.processID, thread: zp_thread_id())
        done.workNanoseconds = nanoseconds
        done.gets = state.pointee.reads.gets
        done.cursorMoves = state.pointee.reads.cursorMoves
        store.report(done)
    }

    /// Counts what a write transaction did. With the writer's lock.
    ///
    /// - Returns: what it did, if slow transactions are to be told of.
    static func noteWrite(
        _ state: UnsafeMutablePointer<TransactionState>, _ outcome: Counter
    ) -> Watched? {
        guard let write = state.pointee.write else { return nil }
        let shared = state.pointee.storeState.pointee.shared
        let isOwn = write.pointee.shrinking != nil
        let isCounted = !write.pointee.isReplay && !isOwn
        let nanoseconds = zp_nanoseconds_spent(state.pointee.began)
        let isWatched = state.pointee.storeState.pointee.slowNanoseconds != UInt64.max
        let done = isCounted && isWatched ? watched(state, write, outcome, nanoseconds) : nil
        if isCounted {
            shared.countAlone(outcome)
            shared.countAlone(.puts, write.pointee.puts)
            shared.countAlone(.deletes, write.pointee.deletes)
            shared.countAlone(.rangesDeleted, write.pointee.rangesDeleted)
            if !state.pointee.reads.isEmpty { shared.noteReads(&state.pointee.reads) }
            shared.noteAlone(.write, nanoseconds: nanoseconds)
            shared.noteAlone(.commitWait, nanoseconds: state.pointee.waited)
        } else if isOwn {
            shared.countAlone(.ownTransactions)
        }
        state.pointee.reads = ReadCounts()
        write.pointee.puts = 0
        write.pointee.deletes = 0
        write.pointee.rangesDeleted = 0
        let workspace = write.pointee.workspace
        shared.countAlone(.pagesSplit, workspace.pointee.splits)
        shared.countAlone(.pagesMerged, workspace.pointee.merges)
        workspace.pointee.splits = 0
        workspace.pointee.merges = 0
        let spilled = workspace.pointee.frames.pointee.spilledBytes
        if spilled > 0 { countSpilled(spilled, shared) }
        let pending = state.pointee.storeState.pointee.pending
        if !pending.isEmpty { pending.move(to: shared) }
        return done
    }

    @inline(never)
    private static func countSpilled(_ bytes: UInt64, _ shared: SharedState) {
        shared.countAlone(.spilledBytes, bytes)
        shared.count(Limit.transactionMemory)
    }

    /// What a transaction did, for a report if it turns out to be slow. A class, so that there is little to
    /// pass on where no report is wanted.
    final class Watched {
        var done: SlowTransaction

        init(_ done: SlowTransaction) { self.done = done }
    }

    @inline(never)
    private static func watched(
        _ state: UnsafeMutablePointer<TransactionState>, _ write: UnsafeMutablePointer<WriteState>,
        _ outcome: Counter, _ nanoseconds: UInt64
    ) -> Watched {
        let store = state.pointee.store
        var done = SlowTransaction(
            outcome: outcome == .writesAborted ? .aborted : .committed,
            transaction: state.pointee.id, processID: store.process.processID,
            thread: zp_thread_id())
        done.waitNanoseconds = state.pointee.waited
        done.workNanoseconds = nanoseconds
        done.gets = state.pointee.reads.gets
        done.cursorMoves = state.pointee.reads.cursorMoves
        done.puts = write.pointee.puts
        done.deletes = write.pointee.deletes &+ write.pointee.rangesDeleted
        done.pages = write.pointee.workspace.pointee.frames.pointee.dirtyPages
        return Watched(done)
    }

    /// Tells of a transaction that has been committed, if it was slow.
    ///
    /// - Parameters:
    ///   - append: nanoseconds of the commit before it gave the writer's lock back.
    ///   - flush: nanoseconds after that.
    @inline(never)
    static func report(
        _ watched: Watched, _ append: UInt64, flush: UInt64, _ store: Store
    ) {
        var done = watched.done
        done.workNanoseconds -= min(append, done.workNanoseconds)
        done.appendNanoseconds = append
        done.flushNanoseconds = flush
        store.report(done)
    }
}
