/// Space for a value that the caller fills in place.
///
/// The value's bytes are copied into the log record when the transaction next writes, or commits:
/// every write goes by `WriteState.logReservedValue`.
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
                .badValueSize,
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
        let space = UnsafeMutableRawBufferPointer(mutating: value)
        state.pointee.write?.pointee.noteReservation(space)
        return .space(space)
    }
}

extension WriteState {
    /// A value that the caller is filling.
    struct Reservation {
        var space: UnsafeMutableRawBufferPointer
        /// Where its bytes go in the log record.
        var logOffset: Int
    }

    /// Remembers to log what the caller writes into the value that was put last.
    fileprivate mutating func noteReservation(_ space: UnsafeMutableRawBufferPointer) {
        guard log.isRecording, !log.isOverfull, space.count > 0 else { return }
        reservation = Reservation(space: space, logOffset: log.count - space.count)
    }

    /// Logs the value that the caller has filled since the last write.
    @inline(__always)
    mutating func logReservedValue() {
        if reservation != nil { copyReservation() }
    }

    @inline(never)
    private mutating func copyReservation() {
        guard let filled = reservation else { return }
        reservation = nil
        log.overwrite(at: filled.logOffset, with: UnsafeRawBufferPointer(filled.space))
    }
}
