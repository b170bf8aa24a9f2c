import Glibc

@testable import ZeroDB

/// What one thread does in the middle of something else, where other threads and processes would:
/// these programs repeat exactly.
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

    /// Readers and commits while the disk works.
    func actDuringFlushes() {
        let thread = pthread_self()
        disk.duringFlush = { [weak self] _ in
            guard let self, pthread_equal(thread, pthread_self()) != 0, !isInterlude,
                flushRandom.chance(plan.interludePercent)
            else { return }
            isInterlude = true
            defer { isInterlude = false }
            do {
                try readDuringFlush()
                for _ in 0..<flushRandom.pick([0, 0, 1, 3]) { try writeDuringFlush() }
            } catch let error as DatabaseError
                where error.code == .badHandle || seats.contains(where: \.process.isDead)
            {
                // What is being opened or closed refuses, and so do the dead.
            } catch {
                interludeFailure = interludeFailure ?? error
            }
        }
    }

    /// Who begins to read now must not see what the flush is for.
    private func readDuringFlush() throws {
        guard let environment = flushRandom.pick(seats).environment else { return }
        note(.seen(try HeldReader(environment).number))
    }

    private func writeDuringFlush() throws {
        // Where another thread would wait, this one would wait for itself.
        guard !disk.isHeld(anyOf: [LockByte.writer, LockByte.segments, LockByte.open]) else {
            return
        }
        let seat = flushRandom.pick(seats)
        guard let environment = seat.environment, !plan.usesThread else { return }
        // One that writes alone holds no lock of the disk.
        let shared = environment.state.pointee.shared
        guard !shared.hasLoneWriter(isLocked: environment.isAlive) else { return }
        var durabilities = plan.durabilities
        var shape = plan.shape
        if disk.isHeld(anyOf: [LockByte.checkpoint]) {
            // A commit after which the next checkpoint is due waits for this one. So it is small,
            // and where a few pages or bytes of log more would be too many there is none.
            shape.operationsMax = min(shape.operationsMax, 20)
            shape.overflowPercent = 0
            shape.structurePercent = 0
            var meta = Meta.read { shared.copyTipMeta(to: $0) }
            meta.logEnd += plan.options.logSize / 4
            meta.pinnedTotal += UInt64((4 << 20) / plan.pageSize)
            guard !environment.needsCheckpoint(meta) else { return }
            if shared.unlogged > shared.checkpoint {
                guard shared.visible == shared.tip else { return }
                durabilities = [.none]
            }
        } else if seat === acting {
            // It is its own log that it flushes.
            return
        }
        newestOfInterlude = try tryOnce(
            environment, in: seat.process, flushRandom.pick(durabilities), expecting: nil,
            seed: flushRandom.next(), shape: shape)
    }
}
