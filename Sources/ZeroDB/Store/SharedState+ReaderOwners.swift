/// Which process has a reader slot.
extension SharedState {
    /// The owner of a reader slot, its id left out; nil if the slot is free.
    func readerOwner(_ slot: Int) -> Owner? {
        guard slot >= 0, slot < readers else { return nil }
        let raw = self[Layout.readerSlots + slot * Layout.readerSlotSize + Layout.slotOwner]
        return raw == 0 ? nil : Owner(raw: raw)
    }
}

extension Store {
    /// Whether the process that has a reader slot lives.
    func isReaderAlive(_ slot: Int) -> Bool {
        guard let owner = shared.readerOwner(slot), !shared.isSuperseded(owner) else {
            return false
        }
        return isAlive(entry: owner.entry)
    }
}
