/// Leaves to which no sound path leads: what they hold may be lost, or may have been deleted or replaced
/// long ago. A database for each transaction that wrote some takes them.
///
/// An entry's key is 12 bytes, both numbers big-endian: the page, 8 bytes, and the entry in it, 4 bytes. Its
/// value:
///
/// | bytes | |
/// | ---: | --- |
/// | 1 | kind: see `LostKind` |
/// | 3 | 0 |
/// | 4 | length of the key, little-endian |
/// | that | the key, as the page has it: from the last byte where its database orders keys so |
/// | the rest | the value, or what the kind says |
extension Salvage {
    /// What an entry of a lost leaf has as its value.
    enum LostKind: UInt8 {
        /// The value.
        case value = 0
        /// Several values, as `InlineValues` has them.
        case values = 1
        /// The record of a tree of values. Its leaves are there by themselves, or in use.
        case valueTree = 2
        /// An overflow pointer: the run cannot be read, is in use or is the value of another lost entry.
        case overflow = 3
        /// A value of a key that is not known; the entry has no key.
        case valueOfUnknownKey = 4
    }

    /// Keeps all lost leaves.
    func keepLostLeaves(_ meta: Meta) throws(DatabaseError) {
        try markFreeTree()
        let prefix = try unusedPrefix()
        var databases: [UInt64: Int] = [:]
        var entries: [UInt64: UInt64] = [:]
        for number in Format.metaPageCount..<trees.source.pageCount
        where !trees.reached.contains(number) {
            guard let leaf = trees.source.leaf(at: number), leaf.count > 0 else { continue }
            let transaction = leaf.transaction
            let handle: Int
            if let known = databases[transaction] {
                handle = known
            } else {
                handle = try writer.makeDatabase(Array("\(prefix)\(transaction)".utf8), [])
                databases[transaction] = handle
            }
            try keep(leaf, in: handle)
            report.lostLeaves += 1
            report.lostEntries += UInt64(leaf.count)
            entries[transaction, default: 0] += UInt64(leaf.count)
        }
        report.lostAndFound = entries.sorted { $0.key < $1.key }.map {
            ("\(prefix)\($0.key)", $0.value)
        }
    }

    /// The leaves of the free tree hold nothing of anybody's. That tree is not in the state that recovery
    /// mode shows.
    private func markFreeTree() throws(DatabaseError) {
        let copies = try MetaPages.findCopies(in: source.store.dataFile)
        guard let meta = try? MetaPages.choose(options.root, from: copies).meta else { return }
        var free = TreeState()
        free.record = meta.free
        try trees.walk(free) { _, _, _ in
        } _: { _, _ in
        }
    }

    /// Of names of databases: one that no database in the copy has.
    private func unusedPrefix() throws(DatabaseError) -> String {
        let names = try writer.names()
        var number = 0
        while true {
            let prefix = number == 0 ? "lost+found/" : "lost+found.\(number)/"
            guard names.contains(where: { $0.starts(with: prefix.utf8) }) else { return prefix }
            number += 1
        }
    }

    private func keep(_ leaf: Page, in handle: Int) throws(DatabaseError) {
        for index in 0..<leaf.count {
            var key: [UInt8] = []
            withUnsafeBytes(of: leaf.number.bigEndian) { key += $0 }
            withUnsafeBytes(of: UInt32(index).bigEndian) { key += $0 }
            if leaf.layout.contains(.valueLeaf) {
                guard let value = leaf.duplicate(index) else { continue }
                try put(handle, key, .valueOfUnknownKey, [], value)
                continue
            }
            guard let field = leaf.value(index) else { continue }
            let owner = trees.key(of: leaf, index)
            let bytes = UnsafeRawBufferPointer(start: field.bytes, count: field.count)
            switch field.kind {
            case .inline: try put(handle, key, .value, owner, bytes)
            case .inlineValues: try put(handle, key, .values, owner, bytes)
            case .valueTree: try put(handle, key, .valueTree, owner, bytes)
            case .overflow:
                // Each run once: older versions of a leaf have it too.
                if let value = try? trees.overflow(OverflowPointer(at: field.bytes)) {
                    try put(handle, key, .value, owner, value)
                } else {
                    try put(handle, key, .overflow, owner, bytes)
                }
            }
        }
    }

    private func put(
        _ handle: Int, _ key: [UInt8], _ kind: LostKind, _ owner: [UInt8],
        _ value: UnsafeRawBufferPointer
    ) throws(DatabaseError) {
        guard 8 + owner.count + value.count <= Format.valueSizeMax else { return }
        var stored: [UInt8] = [kind.rawValue, 0, 0, 0]
        stored.reserveCapacity(8 + owner.count + value.count)
        withUnsafeBytes(of: UInt32(owner.count).littleEndian) { stored += $0 }
        stored += owner
        stored += value
        try stored.withBytes { value throws(DatabaseError) in
            try writer.put(handle, key, value, mode: .append)
        }
        notePut()
    }
}
