/// Page numbers, of which there may be many, scattered over a file with holes.
struct LMDBPageSet {
    private var words: [UInt64: UInt64] = [:]

    /// - Returns: false if it is there.
    mutating func insert(_ page: UInt64) -> Bool {
        let bit: UInt64 = 1 << (page & 63)
        let word = words[page >> 6, default: 0]
        guard word & bit == 0 else { return false }
        words[page >> 6] = word | bit
        return true
    }
}
