/// Space for a value that the caller fills in place.
///
/// The value's bytes are copied into the log record and counted in the digest when the transaction
/// next writes, or commits: every write goes by `takeInReservation`.
extension Operations {
    package enum ReserveResult {
        /// Where the value goes: zeros, valid until the transaction's next write.
        case space(UnsafeMutableRawBufferPointer)
        /// The value that is there, with `noOverwrite`.
        case exists(UnsafeRawBufferPointer)
    }

    /// Puts a key with space for its value.
    ///
    /// - Throws: as `put`; `incompatible` in a database with duplicates.
    package func reserve(
        _ database: Int, _ key: UnsafeRawBufferPointer, count: Int, mode: PutMode
    ) throws(DatabaseError) -> ReserveResult {
        let writer = try writer(database)
        try checkKey(key)
        guard count <= Format.valueSizeMax else {
            throw DatabaseError(
                .badValueSize, limit: .valueSize,
                "space for \(count) bytes; the largest value has \(Format.valueSizeMax)")
        }
        guard !writer.tree.pointee.record.flags.contains(.duplicates) else {
            throw DatabaseError(
                .incompatible,
                "space for a value in "
                    + state.pointee.storeState.pointee.databases.describe(database)
                    + ", which has duplicates: they must be known to be ordered")
        }
        return try withCopy(of: key) { key throws(DatabaseError) in
            try reserveSpace(database, key, count, mode)
        }
    }

    private func reserveSpace(
        _ database: Int, _ key: UnsafeRawBufferPointer, _ count: Int, _ mode: PutMode
    ) throws(DatabaseError) -> ReserveResult {
        // Zeros, so that no memory of the process reaches the disk, whatever the caller writes.
        let existing = try ZeroBytes.withBytes(count) { zeros throws(DatabaseError) in
            try put(database, key, zeros, mode: mode)
        }
        if let existing { return .exists(existing) }
        guard let value = try get(database, key) else {
            throw failing(
                DatabaseError(
                    .corrupted, "a key that was put is not there; run zerodb-check"), database)
        }
        // It was nobody's get.
        state.pointee.reads.gets &-= 1
        let space = UnsafeMutableRawBufferPointer(mutating: value)
        state.pointee.write?.pointee.noteReservation(space, of: key, in: database)
        return .space(space)
    }

    /// Takes in what the caller has filled into the value that was reserved since the last write.
    ///
    /// - Parameter isOver: whether the caller may no longer write to it.
    @inline(__always)
    func takeInReservation(isOver: Bool = true) throws(DatabaseError) {
        guard let write = state.pointee.write, write.pointee.reservation != nil else { return }
        try takeInReservation(write, isOver: isOver)
    }

    @inline(never)
    private func takeInReservation(
        _ write: UnsafeMutablePointer<WriteState>, isOver: Bool
    ) throws(DatabaseError) {
        guard var filled = write.pointee.reservation else { return }
        write.pointee.reservation = nil
        let value = UnsafeRawBufferPointer(filled.space)
        if let offset = filled.logOffset { write.pointee.log.overwrite(at: offset, with: value) }
        do throws(DatabaseError) {
            let tree = try state.pointee.tree(filled.database)
            let writer = TreeWriter(
                source: state.pointee.source, workspace: write.pointee.workspace, tree: tree,
                transaction: state.pointee.id)
            let key = KeyBytes(start: write.pointee.reservedKey, count: filled.keyLength)
            filled.counted = try writer.recount(
                try storedKey(key, tree.pointee.record), value, counted: filled.counted)
        } catch {
            throw failing(error, filled.database)
        }
        if !isOver { write.pointee.reservation = filled }
    }
}

extension WriteState {
    /// A value that the caller is filling.
    struct Reservation {
        var space: UnsafeMutableRawBufferPointer
        /// Where its bytes go in the log record, if there is one.
        var logOffset: Int?
        /// Its key, as it was given, is in `reservedKey`.
        var database: Int
        var keyLength: Int
        /// What it has added to its database's digest so far.
        var counted: ContentDigest
    }

    /// Remembers to take in what the caller writes into the value that was put last.
    fileprivate mutating func noteReservation(
        _ space: UnsafeMutableRawBufferPointer, of key: KeyBytes, in database: Int
    ) {
        guard space.count > 0 else { return }
        if let start = key.baseAddress {
            reservedKey.copyMemory(from: start, byteCount: key.count)
        }
        let isLogged = log.isRecording && !log.isOverfull
        reservation = Reservation(
            space: space, logOffset: isLogged ? log.count - space.count : nil,
            database: database, keyLength: key.count, counted: workspace.pointee.lastAdded)
    }
}
