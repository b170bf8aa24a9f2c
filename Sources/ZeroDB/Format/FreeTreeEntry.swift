/// An entry of the free tree, which holds the pages that no transaction needs (the `FreeList` holds
/// some more):
///
/// - **pending** `00 | transaction u64 | sequence u32` → runs that this transaction freed, or an
///   earlier one whose free list had room for them. Readers of the snapshots before it may still need
///   them, and so may the durable root.
/// - **young** `01 | transaction u64 | sequence u32` → the oldest writer of these pages, and runs
///   that were written after the durable root and freed again: only readers can need them.
/// - **available** `02 | region u64` → which pages of a `FreeRegion` may be taken.
///
/// Numbers in keys are big-endian, so that they sort.
enum FreeTreeEntry {
    /// `birth` is nil for pages that the durable root may need.
    case pending(transaction: UInt64, sequence: UInt32, birth: UInt64?, runs: [PageRun])
    case available(FreeRegion)

    private static let pendingTag: UInt8 = 0
    private static let youngTag: UInt8 = 1
    private static let availableTag: UInt8 = 2
    private static let pendingKeySize = 13
    private static let availableKeySize = 9

    /// Bytes of the longest key.
    static let keySizeMax = pendingKeySize
    /// Bytes of a run in a pending entry: see `PageRun.word`.
    static let runSize = 8
    /// Bytes that a young entry has in front of its runs.
    static let birthSize = 8
    /// Runs in one entry: few enough that any leaf has room for it.
    static let runsMax = 100

    /// Writes the key of a pending entry.
    ///
    /// - Parameter bytes: room for `keySizeMax`.
    static func storePendingKey(
        _ transaction: UInt64, _ sequence: UInt32, isYoung: Bool,
        to bytes: UnsafeMutableRawPointer
    ) -> KeyBytes {
        bytes.storeBytes(of: isYoung ? youngTag : pendingTag, as: UInt8.self)
        bytes.storeBytes(of: transaction.bigEndian, toByteOffset: 1, as: UInt64.self)
        bytes.storeBytes(of: sequence.bigEndian, toByteOffset: 9, as: UInt32.self)
        return KeyBytes(start: bytes, count: pendingKeySize)
    }

    /// Writes the key of a region's entry.
    ///
    /// - Parameter bytes: room for `keySizeMax`.
    static func storeAvailableKey(
        _ region: UInt64, to bytes: UnsafeMutableRawPointer
    ) -> KeyBytes {
        bytes.storeBytes(of: availableTag, as: UInt8.self)
        bytes.storeBytes(of: region.bigEndian, toByteOffset: 1, as: UInt64.self)
        return KeyBytes(start: bytes, count: availableKeySize)
    }

    /// Reads an entry.
    ///
    /// - Returns: nil if these bytes are none. Where the runs lie is for `isPlausible` to say.
    init?(key: KeyBytes, value: UnsafeRawBufferPointer) {
        guard let keyStart = key.baseAddress, let valueStart = value.baseAddress,
            key.count >= Self.availableKeySize
        else { return nil }
        let number = UInt64(bigEndian: keyStart.loadUnaligned(fromByteOffset: 1, as: UInt64.self))
        switch (key[0], key.count) {
        case (Self.availableTag, Self.availableKeySize):
            guard let region = FreeRegion(number: number, at: value) else { return nil }
            self = .available(region)
        case (Self.pendingTag, Self.pendingKeySize), (Self.youngTag, Self.pendingKeySize):
            let isYoung = key[0] == Self.youngTag
            let first = isYoung ? Self.birthSize : 0
            guard value.count > first, (value.count - first) % Self.runSize == 0,
                (value.count - first) / Self.runSize <= Self.runsMax
            else { return nil }
            let sequence = UInt32(
                bigEndian: keyStart.loadUnaligned(fromByteOffset: 9, as: UInt32.self))
            var runs: [PageRun] = []
            runs.reserveCapacity(value.count / Self.runSize)
            for offset in stride(from: first, to: value.count, by: Self.runSize) {
                runs.append(PageRun(word: valueStart.littleEndian(offset)))
            }
            self = .pending(
                transaction: number, sequence: sequence,
                birth: isYoung ? valueStart.littleEndian(0) : nil, runs: runs)
        default: return nil
        }
    }

    /// Whether it can be an entry of a state.
    ///
    /// - Parameters:
    ///   - pageCount: of the state.
    ///   - transaction: whose state it is.
    func isPlausible(pageCount: UInt64, transaction: UInt64) -> Bool {
        switch self {
        case .available(let region):
            region.count > 0 && region.isInside(pageCount)
        case .pending(let freeing, _, let birth, let runs):
            freeing <= transaction && birth ?? 0 <= freeing
                && runs.allSatisfy { $0.isInside(pageCount) }
        }
    }
}
