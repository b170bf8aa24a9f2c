/// The tree of a key's values, in the value field of its leaf entry, where they are too many to
/// lie in the leaf.
struct ValueTree {
    static let size = 56

    var root: PageReference
    /// Values.
    var entries: UInt64
    var branchPages: UInt64
    var leafPages: UInt64
    var depth: UInt8
    /// Of the pairs of the key and each of the values.
    var digest: ContentDigest

    init(at bytes: UnsafeRawPointer) {
        root = PageReference(raw: bytes.littleEndian(0))
        entries = bytes.littleEndian(8)
        branchPages = bytes.littleEndian(16)
        leafPages = bytes.littleEndian(24)
        depth = bytes.littleEndian(32)
        digest = ContentDigest(at: bytes + 40)
    }

    init(_ record: TreeRecord) {
        root = record.root
        entries = record.entries
        branchPages = record.branchPages
        leafPages = record.leafPages
        depth = record.depth
        digest = record.digest
    }

    func store(to bytes: UnsafeMutableRawPointer) {
        bytes.initializeMemory(as: UInt8.self, repeating: 0, count: Self.size)
        bytes.storeLittleEndian(root.raw, at: 0)
        bytes.storeLittleEndian(entries, at: 8)
        bytes.storeLittleEndian(branchPages, at: 16)
        bytes.storeLittleEndian(leafPages, at: 24)
        bytes.storeLittleEndian(depth, at: 32)
        digest.store(to: bytes + 40)
    }

    /// Whether it can be one on disk.
    var isPlausible: Bool {
        depth > 0 && Int(depth) <= Format.depthMax && !root.isFrame
            && root.number >= Format.metaPageCount && entries > 0
            && max(entries, branchPages, leafPages) < TreeRecord.countLimit
    }
}
