/// How many entries a page stands for: what the branches of a counted database say of what is below
/// them. A key with several values counts once for each of them.
extension Page {
    /// The heap bytes of a counted branch's entry that hold its count; nil if they are out of bounds.
    @inline(__always)
    private func countField(_ index: Int) -> UnsafeMutableRawPointer? {
        let slot = UnsafeRawPointer(slot(index))
        let offset =
            Self.offset(slot) + Self.restLength(suffixLength: Self.suffixLength(slot))
        guard offset + 8 <= size else { return nil }
        return base + offset
    }

    /// The entries below child `index` of a counted branch, or those of entry `index` of a leaf.
    @inline(__always)
    func entryCount(_ index: Int) -> UInt64 {
        guard isLeaf else {
            guard layout.contains(.counted), let field = countField(index) else { return 0 }
            return field.littleEndian(0)
        }
        if layout.contains(.valueLeaf) { return 1 }
        guard let value = value(index) else { return 0 }
        return LeafValue.entryCount(LeafValue(value))
    }

    func setEntryCount(_ index: Int, _ entries: UInt64) {
        countField(index)?.storeLittleEndian(entries, at: 0)
    }

    /// The entries before entry `index` of the page.
    func entryCount(before index: Int) -> UInt64 {
        // Without duplicates, or in a value leaf, every entry of a leaf is one.
        if isLeaf, layout.contains(.valueLeaf) { return UInt64(index) }
        var total: UInt64 = 0
        for entry in 0..<min(index, count) { total &+= entryCount(entry) }
        return total
    }

    /// The entries of the whole page.
    var entryCount: UInt64 { entryCount(before: count) }
}

extension LeafValue {
    /// The values that a leaf entry holds.
    @inline(__always)
    static func entryCount(_ value: LeafValue) -> UInt64 {
        switch value.kind {
        case .inline, .overflow: return 1
        case .inlineValues: return InlineValues(value.bytes).map { UInt64($0.count) } ?? 0
        case .valueTree:
            guard value.bytes.count >= ValueTree.size, let start = value.bytes.baseAddress else {
                return 0
            }
            return ValueTree(at: start).entries
        }
    }
}
