/// What is stored of a tree: where its root is, and its counts. 64 bytes in a meta page or in
/// the catalog.
struct TreeRecord: Equatable {
    static let size = 64
    /// No count comes near this; below it, sums of counts cannot overflow.
    private static let countLimit: UInt64 = 1 << 60

    var root = PageReference.none
    var entries: UInt64 = 0
    var branchPages: UInt64 = 0
    var leafPages: UInt64 = 0
    /// Pages in overflow runs.
    var overflowPages: UInt64 = 0
    /// Levels, the leaves' included; 0 for an empty tree.
    var depth: UInt8 = 0
    /// Key order and kind of values; 0 in this version.
    var flags: UInt16 = 0
    /// The transaction that made the tree.
    var created: UInt64 = 0

    init() {}

    init(at bytes: UnsafeRawPointer) {
        root = PageReference(raw: bytes.littleEndian(0))
        entries = bytes.littleEndian(8)
        branchPages = bytes.littleEndian(16)
        leafPages = bytes.littleEndian(24)
        overflowPages = bytes.littleEndian(32)
        created = bytes.littleEndian(40)
        depth = bytes.littleEndian(48)
        flags = bytes.littleEndian(50)
    }

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
        bytes.initializeMemory(as: UInt8.self, repeating: 0, count: Self.size)
        bytes.storeLittleEndian(root.raw, at: 0)
        bytes.storeLittleEndian(entries, at: 8)
        bytes.storeLittleEndian(branchPages, at: 16)
        bytes.storeLittleEndian(leafPages, at: 24)
        bytes.storeLittleEndian(overflowPages, at: 32)
        bytes.storeLittleEndian(created, at: 40)
        bytes.storeLittleEndian(depth, at: 48)
        bytes.storeLittleEndian(flags, at: 50)
    }

    /// Whether depth and root can belong together.
    var isPlausible: Bool {
        root.isNone == (depth == 0) && Int(depth) <= Format.depthMax && !root.isFrame
            && flags == 0
            && max(entries, branchPages, leafPages, overflowPages) < Self.countLimit
    }
}
