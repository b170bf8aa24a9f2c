import CZeroDBPlatform

/// A transaction that this process has open.
public struct OpenTransaction: Sendable, Equatable {
    /// What names it in C.
    package var handle: UInt64
    /// The transaction whose state it sees, or the id that its commit will have; nil if it has been
    /// reset.
    public var id: UInt64?
    /// Whether it writes.
    public var isWrite: Bool
    /// A number of the thread that began it; in C of the last that used a write transaction.
    public var thread: UInt64
    /// Whether that thread has ended.
    public var hasThreadEnded: Bool
    /// Since it began, or was renewed.
    public var openNanoseconds: UInt64
}

extension Transactions {
    /// The open transactions of a store. They go on meanwhile: what is read of one that ends or begins
    /// may be of the one before it.
    static func list(_ store: Store) -> [OpenTransaction] {
        let tag = tag(of: store.state)
        return (0..<table.count).compactMap { index in
            // In this order: a tag is of the handle that the slot has while it has the tag.
            guard let handle = table.handle(at: index), table.tag(at: index) == tag,
                let state = table.object(at: index), state.pointee.status != .ended
            else { return nil }
            let slot = state.pointee.readerSlot
            if slot >= 0, slot < store.shared.readersMax {
                let reader = store.shared.reader(slot)
                return OpenTransaction(
                    handle: handle, id: reader.snapshot, isWrite: false, thread: reader.thread,
                    hasThreadEnded: zp_thread_has_ended(reader.thread),
                    openNanoseconds: reader.openNanoseconds)
            }
            let user = store.state.pointee.writerUser.load(ordering: .relaxed)
            let thread = user == 0 ? store.writerThread.load(ordering: .relaxed) : user
            return OpenTransaction(
                handle: handle, id: state.pointee.id, isWrite: true, thread: thread,
                hasThreadEnded: zp_thread_has_ended(thread),
                openNanoseconds: zp_nanoseconds_since(state.pointee.began))
        }
    }
}
