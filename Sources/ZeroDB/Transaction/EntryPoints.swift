import CZeroDBPlatform

// What the C functions call of the engine on their fastest ways, in one place. The C functions are a
// module of their own: without `@inlinable` even the smallest of these would be a call.

/// Moves a cursor of a read transaction to the next value of its key, if that lies with the one where the
/// cursor stands.
///
/// - Parameter transaction: the cursor's transaction, known to be open.
/// - Returns: nil if it is not so simple, and then nothing has changed.
@inlinable @inline(__always)
package func nextValueAtHand(
    _ cursor: UnsafeMutablePointer<CursorState>,
    _ transaction: UnsafeMutablePointer<TransactionState>
) -> ValueRun.Bytes? {
    guard case .onEntry = cursor.pointee.place,
        case .active = transaction.pointee.status,
        transaction.pointee.snapshots == cursor.pointee.snapshots,
        let value = cursor.pointee.run.next()
    else { return nil }
    transaction.pointee.reads.cursorMoves &+= 1
    return value
}

/// Moves a cursor of a read transaction to the entry beside the one where it stands, if that lies with it
/// in a leaf and is as plain.
///
/// - Parameters:
///   - cursor: one whose transaction is known to be open.
///   - forward: to the entry after it; otherwise the one before.
/// - Returns: nil if it is not so simple, and then nothing has changed.
package func neighborAtHand(
    _ cursor: UnsafeMutablePointer<CursorState>, forward: Bool
) -> CursorState.Entry? {
    cursor.pointee.neighbor(forward: forward)
}

/// The transaction that a handle names; nil if the handle is dead or never was one.
@inlinable @inline(__always)
package func transaction(of handle: UInt64) -> UnsafeMutablePointer<TransactionState>? {
    zp_resolve_handle(zp_handle_table_of(UInt64(ZP_TRANSACTIONS)), handle)?
        .assumingMemoryBound(to: TransactionState.self)
}

/// The cursor that a handle names; nil if the handle is dead or never was one.
@inlinable @inline(__always)
package func cursor(of handle: UInt64) -> UnsafeMutablePointer<CursorState>? {
    zp_resolve_handle(zp_handle_table_of(UInt64(ZP_CURSORS)), handle)?
        .assumingMemoryBound(to: CursorState.self)
}

/// `Operations.get`, for a caller that only has the transaction.
package func get(
    _ transaction: UnsafeMutablePointer<TransactionState>, _ database: Int, _ key: KeyBytes,
    wanted: Bool
) throws(DatabaseError) -> UnsafeRawBufferPointer? {
    try Operations(transaction).get(database, key, wanted: wanted)
}
