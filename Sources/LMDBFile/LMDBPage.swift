/// A page, or a page in a value (a sub-page), that has been checked as far as that is possible without
/// others.
struct LMDBPage {
    private let bytes: LMDBBytes
    private let layout: LMDBLayout
    /// Bytes of each key, if they lie side by side without headers (P_LEAF2).
    let fixedSize: Int?
    let isLeaf: Bool
    /// Nodes, or keys of one size.
    let count: Int

    /// What is wrong with a page.
    struct Damage: Error {
        let text: String
    }

    /// A node: in a leaf a key and its data, in a branch a key and the page below.
    struct Node {
        let key: ArraySlice<UInt8>
        let flags: UInt16
        /// Of the data, which may lie in an overflow run; in a branch 0.
        let size: Int
        /// What lies in the page itself.
        let data: LMDBBytes
        /// In a branch, the page below.
        let child: UInt64
    }

    /// - Parameters:
    ///   - bytes: all of it, from its header.
    ///   - number: what it must say that it is; nil in a sub-page.
    ///   - flags: the kind that it must have, less that of keys of one size.
    init(
        _ bytes: LMDBBytes, _ layout: LMDBLayout, number: UInt64?, flags: UInt16
    ) throws(Damage) {
        self.bytes = bytes
        self.layout = layout
        let header = layout.headerSize
        guard let own = bytes.number(at: 0, size: layout.word),
            let pad = bytes.short(at: header - 8), let kind = bytes.short(at: header - 6),
            let lower = bytes.short(at: header - 4), let upper = bytes.short(at: header - 2)
        else { throw Damage(text: "it ends within its header") }
        if let number, own != number { throw Damage(text: "it says that it is page \(own)") }
        let isFixed = kind & LMDBLayout.PageFlag.fixedSize != 0
        let mask = LMDBLayout.PageFlag.kindBits & ~LMDBLayout.PageFlag.fixedSize
        isLeaf = flags & LMDBLayout.PageFlag.leaf != 0
        guard kind & mask == flags, isLeaf || !isFixed else {
            throw Damage(text: "it has flags \(kind), where a page with \(flags) should be")
        }
        let bytesUsed = Int(lower) + layout.pageBase - header
        guard bytesUsed >= 2, bytesUsed.isMultiple(of: 2) else {
            throw Damage(text: "its lower bound is \(lower)")
        }
        count = bytesUsed / 2
        let end = Int(upper) + layout.pageBase
        fixedSize = isFixed ? Int(pad) : nil
        if isFixed {
            guard pad > 0, count <= (bytes.count - header) / Int(pad) else {
                throw Damage(text: "\(count) keys of \(pad) bytes are more than it has room for")
            }
        } else {
            guard header + bytesUsed <= end, end <= bytes.count else {
                throw Damage(text: "its bounds are \(lower) and \(upper)")
            }
            try checkNodes(from: end)
        }
    }

    /// Nodes lie side by side from a bound to the end, in whatever order.
    private func checkNodes(from start: Int) throws(Damage) {
        var total = 0
        for index in 0..<count {
            let node = try node(index, from: start)
            total += LMDBLayout.nodeHeaderSize + layout.padded(node.key.count, node.data.count)
        }
        guard total == bytes.count - start else {
            throw Damage(
                text: "its entries have \(total) bytes, where it has \(bytes.count - start) of them"
            )
        }
    }

    /// A key of a page with keys of one size.
    func fixedKey(_ index: Int) -> ArraySlice<UInt8> {
        let size = fixedSize ?? 0
        let start = layout.headerSize + index * size
        return LMDBBytes(bytes, start..<start + size)?.slice ?? []
    }

    /// A node.
    func node(_ index: Int) throws(Damage) -> Node { try node(index, from: layout.headerSize) }

    private func node(_ index: Int, from start: Int) throws(Damage) -> Node {
        let pointer = layout.headerSize + 2 * index
        guard let offset = bytes.short(at: pointer).map({ Int($0) + layout.pageBase }),
            offset >= start, let low = bytes.long(at: offset),
            let flags = bytes.short(at: offset + 4), let keySize = bytes.short(at: offset + 6)
        else { throw Damage(text: "entry \(index) does not lie in it") }
        let keyStart = offset + LMDBLayout.nodeHeaderSize
        guard let key = LMDBBytes(bytes, keyStart..<keyStart + Int(keySize)) else {
            throw Damage(text: "the key of entry \(index) ends behind it")
        }
        guard isLeaf else {
            let high = layout.word == 8 ? UInt64(flags) << 32 : 0
            let nothing = LMDBBytes([])
            return Node(
                key: key.slice, flags: 0, size: 0, data: nothing, child: UInt64(low) | high)
        }
        guard flags & ~LMDBLayout.NodeFlag.all == 0 else {
            throw Damage(text: "entry \(index) has flags \(flags)")
        }
        let isRun = flags & LMDBLayout.NodeFlag.run != 0
        let size = isRun ? layout.runReferenceSize : Int(low)
        let dataStart = keyStart + layout.dataOffset(Int(keySize))
        guard let data = LMDBBytes(bytes, dataStart..<dataStart + size) else {
            throw Damage(text: "the value of entry \(index) ends behind it")
        }
        return Node(key: key.slice, flags: flags, size: Int(low), data: data, child: 0)
    }
}
