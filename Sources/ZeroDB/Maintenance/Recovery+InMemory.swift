/// Replaying the log in memory, so that recovery mode shows what it leads to and writes nothing.
extension Recovery {
    /// Replays what can be replayed. What cannot be is told, and the state before it is shown.
    ///
    /// - Throws: `notFound` if the transaction that the options ask for is not come to.
    static func runInMemory(_ store: Store) throws(DatabaseError) -> RecoveryReport {
        guard store.isFirst, store.options.replaysInMemory else { return RecoveryReport() }
        let began = store.fileSystem.now()
        let root = try store.tipMeta()
        let wanted = store.options.recoveryRoot
        var report = RecoveryReport()
        if wanted != root.transaction {
            do throws(DatabaseError) {
                try replayInMemory(store, wanted == 0 ? .max : wanted, &report)
            } catch {
                store.report(.error, "recovery mode of \(store.path): \(error.markedMessage)")
            }
        }
        report.nanoseconds = store.fileSystem.now() &- began
        let shown = store.shared.tip
        guard wanted == 0 || shown == wanted else {
            throw DatabaseError(
                .notFound,
                "transaction \(wanted) cannot be shown: the meta record of transaction "
                    + "\(root.transaction) and the log behind it lead to transaction \(shown)")
        }
        store.report(
            .information,
            "recovery mode of \(store.path): transaction \(shown) is shown, from the meta record "
                + "of "
                + "transaction \(root.transaction) and \(report.records) records of the log, "
                + "replayed "
                + "in memory")
        return report
    }

    /// Replays up to a transaction.
    ///
    /// - Throws: why later ones are not shown.
    private static func replayInMemory(
        _ store: Store, _ last: UInt64, _ report: inout RecoveryReport
    ) throws(DatabaseError) {
        let root = try store.tipMeta()
        var reader = try LogReader(after: root, in: store.logDirectory)
        guard let (first, _) = try reader.next() else { return try tellDamage(&reader, store) }
        guard root.features.toWrite & ~Meta.Features.known.toWrite == 0 else {
            throw notShown(first.transaction, last, "the environment has unknown features")
        }
        do throws(DatabaseError) {
            try store.beginMemory(behind: root.pageCount)
        } catch {
            throw notShown(first.transaction, last, error.markedMessage)
        }
        store.isReplayingInMemory.store(true, ordering: .relaxed)
        defer { store.isReplayingInMemory.store(false, ordering: .relaxed) }
        guard let failure = try replay(store, upTo: last, &report) else { return }
        // What came before is whole, and is replayed without it.
        if failure.transaction > store.shared.tip + 1 {
            _ = try replay(store, upTo: failure.transaction - 1, &report)
        }
        throw notShown(failure.transaction, last, failure.error.markedMessage)
    }

    private static func notShown(
        _ first: UInt64, _ last: UInt64, _ why: String
    ) -> DatabaseError {
        DatabaseError(
            .corrupted,
            "the log's transactions from \(first) on"
                + (last == .max ? "" : ", transaction \(last) among them,")
                + " are not shown, as they cannot be replayed: \(why)")
    }

    private static func tellDamage(
        _ reader: inout LogReader, _ store: Store
    ) throws(DatabaseError) {
        guard let proof = try reader.findProofOfDamage() else { return }
        throw DatabaseError(
            .corrupted,
            "the log is damaged at position \(reader.position): \(proof); later transactions are "
                + "not "
                + "shown")
    }

    /// Replays from the tip on.
    ///
    /// - Returns: the transaction that cannot be replayed, and why; those in one batch with it are not
    ///   shown either.
    private static func replay(
        _ store: Store, upTo last: UInt64, _ report: inout RecoveryReport
    ) throws(DatabaseError) -> (transaction: UInt64, error: DatabaseError)? {
        var reader = try LogReader(after: try store.tipMeta(), in: store.logDirectory)
        var replay = ReplayBatches(store)
        defer {
            report.records += replay.report.records
            report.bytes += replay.report.bytes
        }
        var transaction = store.shared.tip
        do throws(DatabaseError) {
            while transaction < last, let (record, bytes) = try reader.next() {
                transaction = record.transaction
                try replay.apply(record, bytes, of: reader)
                store.shared.raiseVisible(to: store.shared.tip)
            }
            try replay.finish()
            store.shared.raiseVisible(to: store.shared.tip)
        } catch {
            replay.abort()
            return (max(transaction, store.shared.tip + 1), error)
        }
        if transaction < last { try tellDamage(&reader, store) }
        return nil
    }
}
