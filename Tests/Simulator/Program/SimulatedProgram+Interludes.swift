import Glibc

@testable import ZeroDB

/// One thread does here, in the middle of something else, what other threads and processes would
/// do: so these programs repeat exactly.
extension SimulatedProgram {
    /// Checkpoints and readers while a write transaction is open.
    func actMidway() throws {
        guard random.chance(plan.midwayPercent) else { return }
        let seat = random.pick(seats)
        guard let environment = seat.environment else { return }
        do {
            if random.chance(50) {
                try environment.checkpoint()
            } else {
                note(.seen(try HeldReader(environment).number))
            }
        } catch {
            guard seat.process.isDead else { throw error }
        }
    }

    /// A checkpoint that begins while a transaction is open, which commits before it ends: what
    /// the transaction freed is younger than the durable root when it begins, and part of the new
    /// one.
    ///
    /// - Parameters:
    ///   - seat: of the transaction.
    ///   - base: the transaction before it, if that is known.
    /// - Returns: whether the process that made the checkpoint has died of it; the transaction is
    ///   open then.
    func straddle(_ open: OpenAttempt, _ seat: Seat, base: Int?) throws -> Bool {
        let others = seats.filter { $0 !== seat }
        if !others.isEmpty, random.chance(plan.deathPercent) {
            return try dieInCheckpoint(random.pick(others))
        }
        let checkpointer = random.pick(seats)
        straddling = open
        defer { straddling = nil }
        do {
            try checkpointer.environment?.checkpoint()
            if let base { note(.durable(base)) }
        } catch {
            guard checkpointer.process.isDead else { throw error }
        }
        return false
    }

    /// Makes a checkpoint in a process that dies when it has written a copy of the free list, or the meta
    /// page, which is then in the page cache.
    ///
    /// - Returns: whether it has; there may have been nothing to make one of.
    private func dieInCheckpoint(_ seat: Seat) throws -> Bool {
        // What others write meanwhile would count too.
        isInterlude = true
        disk.arm(Trap(number: random.within(1...3), effect: .killAfter, calls: [.write]))
        defer {
            disk.arm(nil)
            isInterlude = false
        }
        do {
            try seat.environment?.checkpoint()
        } catch {
            guard seat.process.isDead else { throw error }
        }
        return seat.process.isDead
    }

    /// Makes the checkpoint that follows one whose process has died.
    func takeOver(_ environment: Environment) throws {
        let before = newest
        isTakingOver = true
        defer { isTakingOver = false }
        try environment.checkpoint()
        if let before { note(.durable(before)) }
    }

    /// Readers and commits while the disk works.
    func actDuringFlushes() {
        let thread = pthread_self()
        disk.duringFlush = { [weak self] _ in
            guard let self, pthread_equal(thread, pthread_self()) != 0, !isInterlude else { return }
            let chance = straddling != nil || isTakingOver ? 80 : plan.interludePercent
            guard flushRandom.chance(chance) else { return }
            isInterlude = true
            defer { isInterlude = false }
            do {
                try actDuringFlush()
            } catch let error as DatabaseError
                where error.code == .badHandle || seats.contains(where: \.process.isDead)
            {
                // What is being opened or closed refuses, and so do the dead.
            } catch {
                interludeFailure = interludeFailure ?? error
            }
        }
    }

    private func actDuringFlush() throws {
        var commits = flushRandom.pick([0, 0, 1, 3])
        if isTakingOver { commits = flushRandom.pick([1, 3]) }
        if let open = straddling, try commitDuringCheckpoint(open) {
            commits = flushRandom.pick([1, 3])
        }
        try readDuringFlush()
        for _ in 0..<commits { try writeDuringFlush() }
    }

    /// Commits the transaction that straddles the checkpoint under way.
    ///
    /// - Returns: whether it could.
    private func commitDuringCheckpoint(_ open: OpenAttempt) throws -> Bool {
        guard open.transaction != nil, !plan.usesThread, let environment = acting?.environment,
            mayCommitDuringCheckpoint(environment, open.size)
        else { return false }
        let shared = environment.store.shared
        // Without a log record it would wait for the next checkpoint.
        guard shared.unlogged <= shared.checkpoint else { return false }
        try commit(open)
        return true
    }

    /// Whether no checkpoint is due after a commit: it would wait for the one under way, which is this
    /// thread's own. So where some pages or bytes of log more would be too many there is none.
    ///
    /// - Parameter size: of the commit, if that is known; else it is a small one.
    private func mayCommitDuringCheckpoint(
        _ environment: Environment, _ size: (freedPages: UInt64, logBytes: UInt64)? = nil
    ) -> Bool {
        let shared = environment.store.shared
        guard var meta = try? shared.tipMeta() else { return false }
        // A record that does not fit in the rest of a segment leaves that empty.
        meta.logEnd += size.map { 2 * $0.logBytes + 8192 } ?? plan.options.logSize / 2
        meta.pinnedTotal += (size?.freedPages ?? 0) + UInt64(max(32, (1 << 20) / plan.pageSize))
        // What the checkpoint finds to be part of its state waits for the next.
        meta.pinnedTotal += meta.youngPages + UInt64(meta.freeListPending)
        return !environment.store.needsCheckpoint(meta)
    }

    private func livingSeat() -> Seat? {
        let living = seats.filter { !$0.process.isDead }
        return living.isEmpty ? nil : flushRandom.pick(living)
    }

    /// A reader that begins now must not see what the flush is for.
    private func readDuringFlush() throws {
        guard let environment = livingSeat()?.environment else { return }
        note(.seen(try HeldReader(environment).number))
    }

    private func writeDuringFlush() throws {
        // Where another thread would wait, this one would wait for itself.
        guard !disk.isHeld(anyOf: [LockByte.writer, LockByte.segments, LockByte.open]) else {
            return
        }
        guard let seat = livingSeat(), let environment = seat.environment, !plan.usesThread else {
            return
        }
        // One that writes alone holds no lock of the disk.
        let shared = environment.store.shared
        guard !shared.hasLoneWriter(isLocked: environment.store.isAlive) else { return }
        var durabilities = plan.durabilities
        var shape = plan.shape
        if disk.isHeld(anyOf: [LockByte.checkpoint]) {
            guard mayCommitDuringCheckpoint(environment) else { return }
            shape = plan.smallShape
            if shared.unlogged > shared.checkpoint {
                guard shared.visible == shared.tip else { return }
                durabilities = [.none]
            }
        } else if seat === acting {
            // It is its own log that it flushes.
            return
        }
        triesOfInterlude += 1
        newestOfInterlude = try tryOnce(
            environment, in: seat.process, flushRandom.pick(durabilities), expecting: nil,
            seed: flushRandom.next(), shape: shape)
    }
}
