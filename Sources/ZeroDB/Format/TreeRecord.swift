/// What a database is: chosen when it is made, recorded in it, the same bits as in `zerodb.h`.
public struct DatabaseFlags: OptionSet, Sendable, Hashable {
    /// The bits, as in `zerodb.h`.
    public let rawValue: UInt16

    /// Of the bits in `zerodb.h`.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Keys are ordered by their bytes from the last to the first.
    public static let reverseKeys = DatabaseFlags(rawValue: 0x02)
    /// A key may have several values, which are ordered too.
    public static let duplicates = DatabaseFlags(rawValue: 0x04)
    /// Keys are unsigned little-endian integers of 4 or of 8 bytes, ordered as numbers.
    public static let integerKeys = DatabaseFlags(rawValue: 0x08)
    /// All values have one size.
    public static let fixedSizeDuplicates = DatabaseFlags(rawValue: 0x10)
    /// Values are integers as `integerKeys` are.
    public static let integerDuplicates = DatabaseFlags(rawValue: 0x20)
    /// Values are ordered by their bytes from the last to the first.
    public static let reverseDuplicates = DatabaseFlags(rawValue: 0x40)
    /// Branches count the entries below them.
    public static let counted = DatabaseFlags(rawValue: 0x80)

    static let all: DatabaseFlags = [
        .reverseKeys, .duplicates, .integerKeys, .fixedSizeDuplicates, .integerDuplicates,
        .reverseDuplicates, .counted,
    ]

    /// Whether they are known and go together.
    var isConsistent: Bool { inconsistency == nil }

    /// Whether keys are held in reverse: then their bytes order as they should.
    @inline(__always)
    var reversesKeys: Bool { !isDisjoint(with: [.reverseKeys, .integerKeys]) }

    /// Of the branches of a tree.
    @inline(__always)
    var branchLayout: PageLayout { PageLayout(rawValue: (rawValue & 0x80) >> 4) }

    /// The same of values.
    @inline(__always)
    var reversesValues: Bool { !isDisjoint(with: [.reverseDuplicates, .integerDuplicates]) }
}

/// What is stored of a tree: where its root is, and its counts. 80 bytes in the catalog. In a meta
/// record the digest, which only the main database has there, lies apart from the other 64.
struct TreeRecord: Equatable {
    static let size = placeSize + ContentDigest.size
    /// Bytes without the digest.
    static let placeSize = 64
    /// Where depth, width of keys, flags and width of values are: one word.
    static let shapeOffset = 48
    /// No count comes near this; below it, sums of counts cannot overflow.
    static let countLimit: UInt64 = 1 << 60

    var root = PageReference.none
    var entries: UInt64 = 0
    var branchPages: UInt64 = 0
    var leafPages: UInt64 = 0
    /// Pages in overflow runs.
    var overflowPages: UInt64 = 0
    /// Levels, the leaves' included; 0 for an empty tree.
    var depth: UInt8 = 0
    /// Key order and kind of values.
    var flags = DatabaseFlags()
    /// Bytes of an integer key: 4 or 8; 0 if keys are no integers, or before the first.
    var keyWidth: UInt8 = 0
    /// Bytes of a value where all have one size; 0 if not, or before the first.
    var valueWidth: UInt16 = 0
    /// Different keys, where one may have several values; otherwise 0.
    var keys: UInt64 = 0
    /// The transaction that made the tree.
    var created: UInt64 = 0
    /// Of all pairs of key and value. Zero in trees that are no databases.
    var digest = ContentDigest()

    init() {}

    init(at bytes: UnsafeRawPointer) {
        self.init(placeAt: bytes)
        digest = ContentDigest(at: bytes + Self.placeSize)
    }

    /// Reads a record without its digest.
    @inline(__always)
    init(placeAt bytes: UnsafeRawPointer) {
        root = PageReference(raw: bytes.littleEndian(0))
        entries = bytes.littleEndian(8)
        branchPages = bytes.littleEndian(16)
        leafPages = bytes.littleEndian(24)
        overflowPages = bytes.littleEndian(32)
        created = bytes.littleEndian(40)
        depth = bytes.littleEndian(48)
        keyWidth = bytes.littleEndian(49)
        flags = DatabaseFlags(rawValue: bytes.littleEndian(50))
        valueWidth = bytes.littleEndian(52)
        keys = bytes.littleEndian(56)
    }

    /// Bytes of each value of a key, 0 if they may differ.
    var fixedValueSize: Int { flags.contains(.fixedSizeDuplicates) ? Int(valueWidth) : 0 }

    /// Counts up. A count that a damaged file made wrong stays wrong without harm: `verify` tells.
    @inline(__always)
    static func add(_ change: UInt64, to count: inout UInt64) {
        count = min(count &+ change, countLimit - 1)
    }

    /// Counts down, not below 0.
    @inline(__always)
    static func subtract(_ change: UInt64, from count: inout UInt64) {
        count -= min(count, change)
    }

    func store(to bytes: UnsafeMutableRawPointer) {
        storePlace(to: bytes)
        digest.store(to: bytes + Self.placeSize)
    }

    /// Writes the record without its digest.
    func storePlace(to bytes: UnsafeMutableRawPointer) {
        bytes.initializeMemory(as: UInt8.self, repeating: 0, count: Self.placeSize)
        bytes.storeLittleEndian(root.raw, at: 0)
        bytes.storeLittleEndian(entries, at: 8)
        bytes.storeLittleEndian(branchPages, at: 16)
        bytes.storeLittleEndian(leafPages, at: 24)
        bytes.storeLittleEndian(overflowPages, at: 32)
        bytes.storeLittleEndian(created, at: 40)
        bytes.storeLittleEndian(depth, at: 48)
        bytes.storeLittleEndian(keyWidth, at: 49)
        bytes.storeLittleEndian(flags.rawValue, at: 50)
        bytes.storeLittleEndian(valueWidth, at: 52)
        // Wrong counts in a damaged value tree can make the entries fewer than they are.
        bytes.storeLittleEndian(min(keys, entries), at: 56)
    }

    /// Whether depth and root can belong together.
    var isPlausible: Bool {
        root.isNone == (depth == 0) && Int(depth) <= Format.depthMax && !root.isFrame
            && flags.isConsistent && (keyWidth == 0 || keyWidth == 4 || keyWidth == 8)
            && max(entries, branchPages, leafPages, overflowPages) < Self.countLimit
            && keys <= entries
    }
}
