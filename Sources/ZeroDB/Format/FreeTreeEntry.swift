/// An entry of the free tree, which holds the pages that no transaction needs (the `FreeList` holds
/// some more):
///
/// - **pending** `00 | state u64 | transaction u64 | sequence u32` → birth and end of a `StateRange`, and
///   runs of pages that the states in it have. The state in the key is one of them: somebody needed it when
///   the transaction recorded the entry. As long as that is so, nobody looks at the entry again.
/// - **young** `01 | transaction u64 | sequence u32` → the same of pages that nobody needed then: when the
///   transaction is visible, they may be free.
/// - **available** `02 | region u64` → which pages of a `FreeRegion` may be taken.
///
/// Numbers in keys are big-endian, so that they sort.
enum FreeTreeEntry {
    case freed(Freed)
    case available(FreeRegion)

    /// A pending or young entry.
    struct Freed {
        var key: Key
        /// The states that have pages of it.
        var range: StateRange
        var runs: [PageRun]
    }

    /// The key of a pending or young entry.
    struct Key: Equatable {
        /// A state that needs the pages; nil in a young entry.
        var holder: UInt64?
        /// The transaction that recorded the entry.
        var transaction: UInt64
        var sequence: UInt32
    }

    private static let pendingTag: UInt8 = 0
    private static let youngTag: UInt8 = 1
    private static let availableTag: UInt8 = 2
    private static let youngKeySize = 13
    private static let pendingKeySize = 21
    private static let availableKeySize = 9

    /// Bytes of the longest key.
    static let keySizeMax = pendingKeySize
    /// Bytes of a run in a pending entry: see `PageRun.word`.
    static let runSize = 8
    /// Bytes that a pending or young entry has in front of its runs: birth and end.
    static let rangeSize = 16
    /// Runs in one entry: few enough that any leaf has room for it.
    static let runsMax = 100

    /// Writes the key of a pending or young entry.
    ///
    /// - Parameter bytes: room for `keySizeMax`.
    static func store(_ key: Key, to bytes: UnsafeMutableRawPointer) -> KeyBytes {
        var size = 1
        if let holder = key.holder {
            bytes.storeBytes(of: pendingTag, as: UInt8.self)
            bytes.storeBytes(of: holder.bigEndian, toByteOffset: 1, as: UInt64.self)
            size = 9
        } else {
            bytes.storeBytes(of: youngTag, as: UInt8.self)
        }
        bytes.storeBytes(of: key.transaction.bigEndian, toByteOffset: size, as: UInt64.self)
        bytes.storeBytes(of: key.sequence.bigEndian, toByteOffset: size + 8, as: UInt32.self)
        return KeyBytes(start: bytes, count: size + 12)
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
        guard let keyStart = key.baseAddress, let valueStart = value.baseAddress, key.count > 0
        else { return nil }
        func number(_ offset: Int) -> UInt64 {
            UInt64(bigEndian: keyStart.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        switch (key[0], key.count) {
        case (Self.availableTag, Self.availableKeySize):
            guard let region = FreeRegion(number: number(1), at: value) else { return nil }
            self = .available(region)
        case (Self.pendingTag, Self.pendingKeySize), (Self.youngTag, Self.youngKeySize):
            let holder = key[0] == Self.pendingTag ? number(1) : nil
            let offset = key.count - 12
            let sequence = UInt32(
                bigEndian: keyStart.loadUnaligned(fromByteOffset: offset + 8, as: UInt32.self))
            let size = value.count - Self.rangeSize
            guard size > 0, size % Self.runSize == 0, size / Self.runSize <= Self.runsMax else {
                return nil
            }
            let range = StateRange(
                birth: valueStart.littleEndian(0), end: valueStart.littleEndian(8))
            var runs: [PageRun] = []
            runs.reserveCapacity(size / Self.runSize)
            for offset in stride(from: Self.rangeSize, to: value.count, by: Self.runSize) {
                runs.append(PageRun(word: valueStart.littleEndian(offset)))
            }
            self = .freed(
                Freed(
                    key: Key(holder: holder, transaction: number(offset), sequence: sequence),
                    range: range, runs: runs))
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
        case .available(let region): region.count > 0 && region.isInside(pageCount)
        case .freed(let freed):
            freed.problem(transaction: transaction) == nil
                && freed.runs.allSatisfy { $0.isInside(pageCount) }
        }
    }
}

extension FreeTreeEntry.Freed {
    /// What is wrong with the numbers of transactions, nil if nothing is.
    ///
    /// - Parameter transaction: whose state it is an entry of.
    func problem(transaction: UInt64) -> String? {
        if key.transaction > transaction {
            return "an entry is of transaction \(key.transaction), after the newest"
        }
        if range.end > key.transaction {
            return "transaction \(key.transaction) recorded pages that \(range.end) freed after it"
        }
        if range.birth > range.end {
            return "transaction \(range.end) freed pages that \(range.birth) wrote after it"
        }
        if let holder = key.holder, holder < range.birth || holder >= range.end {
            return "pages wait for the state \(holder), which does not have them: "
                + "\(range.birth) wrote them and \(range.end) freed them"
        }
        return nil
    }
}
