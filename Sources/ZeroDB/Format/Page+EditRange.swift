import Glibc

extension Page {
    /// Takes several entries of a leaf out. Their heap bytes are dead until the page is rebuilt.
    func removeLeafEntries(_ range: Range<Int>) {
        let slotSize = Self.leafSlotSize
        let count = self.count
        var dead = heapDead
        for index in range { dead += entrySize(index) - slotSize }
        let behind = count - range.upperBound
        if behind > 0 { memmove(slot(range.lowerBound), slot(range.upperBound), behind * slotSize) }
        let left = count - range.count
        base.storeLittleEndian(UInt16(truncatingIfNeeded: left), at: Format.Header.count)
        if left == 0 { base.storeLittleEndian(UInt16(0), at: Format.Header.heapUsed) }
        base.storeLittleEndian(
            UInt16(truncatingIfNeeded: left == 0 ? 0 : dead), at: Format.Header.heapDead)
    }
}
