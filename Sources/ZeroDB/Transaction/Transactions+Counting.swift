import CZeroDBPlatform

/// Counting what transactions did, when they end.
extension Transactions {
    /// Counts what a read transaction did, before it lets go of its snapshot.
    @inline(__always)
    static func noteRead(
        _ state: UnsafeMutablePointer<TransactionState>, _ shared: SharedState
    ) {
        guard state.pointee.storeState.pointee.pending.areIdle,
            shared.noteRead(slot: state.pointee.readerSlot, &state.pointee.reads)
        else { return noteReadSlowly(state) }
    }

    @inline(never)
    private static func noteReadSlowly(_ state: UnsafeMutablePointer<TransactionState>) {
        let storeState = state.pointee.storeState
        let shared = storeState.pointee.shared
        if storeState.pointee.slowNanoseconds != UInt64.max { reportIfSlow(state, shared) }
        let nanoseconds = shared.nanosecondsOpen(slot: state.pointee.readerSlot)
        shared.noteReadSlowly(nanoseconds: nanoseconds, &state.pointee.reads)
        storeState.pointee.pending.moveIfAny(to: shared)
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
            processID: store.process.processID, thread: UInt64(zp_system_thread_id()))
        done.workNanoseconds = nanoseconds
        done.gets = state.pointee.reads.gets
        done.cursorMoves = state.pointee.reads.cursorMoves
        store.report(done)
    }

    /// Counts what a write transaction did. With the writer's lock.
    ///
    /// - Parameters:
    ///   - ended: when, in ticks of the machine.
    ///   - append: nanoseconds of its commit until then.
    /// - Returns: what it did, if slow transactions are to be told of.
    static func noteWrite(
        _ state: UnsafeMutablePointer<TransactionState>, _ outcome: Counter, ended: UInt64,
        append: UInt64
    ) -> Watched? {
        guard let write = state.pointee.write else { return nil }
        let shared = state.pointee.storeState.pointee.shared
        let isOwn = write.pointee.shrinking != nil
        let isCounted = !write.pointee.isReplay && !isOwn
        let nanoseconds = zp_nanoseconds_between(state.pointee.began, ended)
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
            if write.pointee.isPublished {
                shared.noteAlone(.commitAppend, nanoseconds: append)
            }
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
        if write.pointee.isPublished { notePages(state, write, shared) }
        workspace.pointee.splits = 0
        workspace.pointee.merges = 0
        let spilled = workspace.pointee.frames.pointee.spilledBytes
        if spilled > 0 { countSpilled(spilled, shared) }
        state.pointee.storeState.pointee.pending.moveIfAny(to: shared)
        return done
    }

    /// Counts what a commit has written.
    @inline(__always)
    private static func notePages(
        _ state: UnsafeMutablePointer<TransactionState>, _ write: UnsafeMutablePointer<WriteState>,
        _ shared: SharedState
    ) {
        let workspace = write.pointee.workspace
        let written = workspace.pointee.frames.pointee.dirtyPages
        var freed: UInt64 = 0
        for run in workspace.pointee.freed { freed &+= run.pages.count }
        shared.countAlone(.pagesWritten, written)
        shared.countAlone(
            .dataBytes, written &<< UInt64(truncatingIfNeeded: state.pointee.source.pageShift))
        let (before, after) = (state.pointee.source.pageCount, state.pointee.meta.pageCount)
        let grown = after > before ? after &- before : 0
        shared.countAlone(.pagesFromFile, grown)
        shared.countAlone(.pagesFromFree, written > grown ? written &- grown : 0)
        shared.countAlone(.pagesFreed, freed)
        if write.pointee.loggedBytes > 0 {
            shared.countAlone(.logRecords)
            shared.countAlone(.logBytes, write.pointee.loggedBytes)
        }
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
            thread: UInt64(zp_system_thread_id()))
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
