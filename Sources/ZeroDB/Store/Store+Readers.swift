/// The reader table, where a slot is not simply free.
extension Store {
    /// A reader slot for this process: a free one, one of a dead process's, or a new one.
    ///
    /// - Returns: nil if the table has reached its largest size.
    /// - Throws: `readersFull` if it may be larger and the disk has no room for that; `busy` if another
    ///   process makes it larger and does not come to its end.
    func claimReaderSlowly() throws(DatabaseError) -> Int? {
        if reapReaders() > 0, let slot = shared.claimReader(process) { return slot }
        while true {
            // Another process may have made the table larger.
            if shared.room.pointee.look(), let slot = shared.claimReader(process) { return slot }
            let known = shared.readers
            guard known < shared.readersMax, try growReaders(beyond: known) else { return nil }
            if let slot = shared.claimReader(process) { return slot }
        }
    }

    /// Doubles the reader table, unless another thread or process has.
    ///
    /// - Returns: whether there is room for more now.
    private func growReaders(beyond known: Int) throws(DatabaseError) -> Bool {
        readersMutex.lock()
        defer { readersMutex.unlock() }
        try locks.take(.readers)
        defer { locks.giveBack(.readers) }
        do throws(DatabaseError) {
            shared.room.pointee.look()
            guard let lockFile, shared.readers == known else { return true }
            let readers = min(max(known * 2, 1), shared.readersMax)
            let size = UInt64(SharedState.byteCount(readers: readers))
            if try lockFile.size() < size { try lockFile.allocate(from: 0, to: size) }
            shared.growReaders(to: readers)
            return shared.room.pointee.look()
        } catch {
            throw DatabaseError(
                .readersFull,
                "all \(known) reader slots are taken, and their table cannot become larger: "
                    + "\(error.markedMessage); end read transactions, or make room on the disk")
        }
    }

    /// Frees the reader slots of processes that have died.
    ///
    /// - Returns: how many there were.
    @discardableResult
    func reapReaders() -> Int {
        guard lockFile != nil else { return 0 }
        let count = shared.reapReaders(reaper: process, isLocked: isAlive)
        if count > 0 {
            report(
                .information,
                "\(count) read transaction\(count == 1 ? "" : "s") of dead processes in \(path) "
                    + "\(count == 1 ? "has" : "have") been given up")
        }
        return count
    }
}
