/// What the bytes of a page tell of how it came to be damaged. Only what they prove is said.
extension PageSource {
    /// The error for a page or run whose checksum is wrong.
    @inline(never)
    func badChecksum(
        _ page: Page, length: Int, computed: UInt64, as reference: PageReference, kind: String
    ) -> DatabaseError {
        let sums =
            "checksum 0x\(String(computed, radix: 16)), expected 0x"
            + String(page.checksum, radix: 16)
        return corrupted(
            reference.number, kind,
            "\(sums); \(diagnosis(page, length: length, as: reference))", damage: .checksum)
    }

    private func diagnosis(_ page: Page, length: Int, as reference: PageReference) -> String {
        let zeros = zeroSectors(page, length: length)
        if zeros.count == 1, zeros[0] == 0..<length { return "it is all zeros" }
        guard page.number == reference.number else {
            return "its header names page \(page.number)" + describe(zeros)
        }
        guard UInt16(truncatingIfNeeded: page.transaction) == reference.transactionTag else {
            return
                "its header is that of transaction \(page.transaction), and not of the one that its "
                + "parent names, as if the last write had been lost in part" + describe(zeros)
        }
        return
            "its header is the expected one, of transaction \(page.transaction), but not what follows: "
            + "bits have changed, or it was written in part only" + describe(zeros)
    }

    private func describe(_ zeros: [Range<Int>]) -> String {
        guard !zeros.isEmpty else { return "" }
        let places = zeros.prefix(8).map { "\($0.lowerBound) to \($0.upperBound - 1)" }
        return "; its bytes \(places.joined(separator: ", "))"
            + (zeros.count > 8 ? " and others" : "") + " are zeros, as if a sector had been lost"
    }

    /// The sectors that are zeros although something else belongs there. A value may well have some: of a
    /// run only the first page counts, if all of it is zeros.
    private func zeroSectors(_ page: Page, length: Int) -> [Range<Int>] {
        // What devices write at once: 512 bytes, and of larger pages 4096.
        let sector = pageSize > 4096 ? 4096 : 512
        if isZero(page.base, 0..<min(length, pageSize)) { return [0..<length] }
        guard length == pageSize, page.isLeaf || page.isBranch, page.slotsAreInBounds,
            page.gap >= 0
        else { return [] }
        // What lies between slots and heap is zeros in a sound page.
        let slotsEnd = page.slotsOffset + page.count * page.slotSize
        let heapStart = pageSize - page.heapUsed
        var found: [Range<Int>] = []
        for start in stride(from: 0, to: pageSize, by: sector) {
            let range = start..<(start + sector)
            let isUsed = start < slotsEnd || range.upperBound > heapStart
            guard isUsed, isZero(page.base, range) else { continue }
            if let last = found.last, last.upperBound == start {
                found[found.count - 1] = last.lowerBound..<range.upperBound
            } else {
                found.append(range)
            }
        }
        return found
    }

    private func isZero(_ start: UnsafeRawPointer, _ range: Range<Int>) -> Bool {
        for offset in stride(from: range.lowerBound, to: range.upperBound - 7, by: 8)
        where start.loadUnaligned(fromByteOffset: offset, as: UInt64.self) != 0 {
            return false
        }
        return true
    }
}
