/// What is where in a sound data file, found by a walk that follows `docs/FORMAT.md` and uses none of the
/// engine's code.
struct DataLayout {
    /// A reference to a page.
    struct Link {
        var page: Int
        /// Of the reference in its page.
        var offset: Int
        var target: Int
        /// Of the page it leads to; nil for an overflow run.
        var level: Int?
    }

    /// A number that says what is below, or what it hashes to.
    struct Number {
        enum Kind {
            case count
            case digest
        }

        var page: Int
        var offset: Int
        var kind: Kind
    }

    /// An entry of a database, and all pages without which it cannot be had.
    struct Entry {
        var key: [UInt8]
        /// In a database with duplicates.
        var value: [UInt8]?
        var pages: [Int]
    }

    let bytes: [UInt8]
    let pageSize: Int
    /// Of the newest record.
    let metaPage: Int
    let transaction: UInt64
    let pageCount: Int
    /// The part of each page that something depends on: from its start to this byte; 0 for free pages.
    private(set) var usedBytes: [Int]
    /// Pages of trees, those of the free tree included.
    private(set) var treePages: [Int] = []
    private(set) var overflowPages: [Int] = []
    private(set) var links: [Link] = []
    private(set) var numbers: [Number] = []
    /// By the names of their databases.
    private(set) var entries: [String: [Entry]] = [:]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        let reader = LittleEndianReader(bytes)
        pageSize = Int(reader.u32(20))
        metaPage = reader.u64(40) > reader.u64(pageSize + 40) ? 0 : 1
        let record = metaPage * pageSize
        transaction = reader.u64(record + 40)
        pageCount = Int(reader.u64(record + 48))
        usedBytes = Array(repeating: 0, count: pageCount)
        usedBytes[0] = pageSize
        usedBytes[1] = pageSize
        var main: [Entry] = []
        walk(TreePlace(reader, record + 128), above: []) { main.append($0) }
        entries[""] = main
        var named: [(String, TreePlace, [Int])] = []
        walkLeaves(TreePlace(reader, record + 192), above: []) { layout, leaf, index, path in
            let entry = LeafEntry(reader, leaf, index)
            let page = leaf.start / layout.pageSize
            let hasDuplicates = reader.u16(entry.valueOffset + 50) & 0x04 != 0
            layout.noteNumbers(
                page, entry.valueOffset - leaf.start,
                hasDuplicates ? [8, 16, 24, 32, 56] : [8, 16, 24, 32], [64])
            let place = TreePlace(reader, entry.valueOffset)
            layout.noteLink(
                page, entry.valueOffset - leaf.start, place.root, level: place.depth - 1)
            named.append((String(decoding: entry.key, as: UTF8.self), place, path))
        }
        for (name, place, path) in named {
            var found: [Entry] = []
            walk(place, above: path) { found.append($0) }
            entries[name] = found
        }
        walkLeaves(TreePlace(reader, record + 256), above: []) { _, _, _, _ in }
    }

    func isUsed(_ page: Int) -> Bool { page < pageCount && usedBytes[page] > 0 }

    // MARK: The walk

    /// Where a tree is, by its record.
    private struct TreePlace {
        var root: UInt64
        var depth: Int
        var flags: UInt16

        init(root: UInt64, depth: Int, flags: UInt16) {
            self.root = root
            self.depth = depth
            self.flags = flags
        }

        init(_ reader: LittleEndianReader, _ record: Int) {
            self.init(
                root: reader.u64(record), depth: Int(reader.u8(record + 48)),
                flags: reader.u16(record + 50))
        }
    }

    /// A page of a tree: where it begins in the file, and where its slots do.
    private struct PageView {
        let start: Int
        let count: Int
        let prefix: Range<Int>
        let slots: Int
        let flags: UInt16

        init(_ reader: LittleEndianReader, _ start: Int) {
            self.start = start
            count = Int(reader.u16(start + 28))
            let length = Int(reader.u16(start + 30))
            prefix = (start + 40)..<(start + 40 + length)
            slots = start + 40 + (length + 7) / 8 * 8
            flags = reader.u16(start + 26)
        }
    }

    private struct LeafEntry {
        var key: [UInt8]
        var isIndirect: Bool
        /// With its kind.
        var length: UInt16
        /// In the file.
        var valueOffset: Int

        init(_ reader: LittleEndianReader, _ leaf: PageView, _ index: Int) {
            let slot = leaf.slots + 8 * index
            let field = reader.u16(slot + 6)
            let suffix = Int(field & 0x7fff)
            var place = leaf.start + Int(reader.u16(slot + 4))
            key = Array(reader.bytes[leaf.prefix])
            key += reader.bytes[slot..<(slot + 4)].reversed().prefix(suffix)
            let rest = max(0, suffix - 4)
            key += reader.bytes[place..<(place + rest)]
            place += rest
            isIndirect = field & 0x8000 != 0
            length = reader.u16(place)
            valueOffset = place + 2
        }
    }

    private mutating func noteLink(_ page: Int, _ offset: Int, _ reference: UInt64, level: Int?) {
        guard reference != 0 else { return }
        links.append(
            Link(
                page: page, offset: offset, target: Int(reference & 0xffff_ffff_ffff),
                level: level))
    }

    private mutating func noteNumbers(
        _ page: Int, _ offset: Int, _ counts: [Int], _ digests: [Int]
    ) {
        for count in counts {
            numbers.append(Number(page: page, offset: offset + count, kind: .count))
        }
        for digest in digests {
            numbers.append(Number(page: page, offset: offset + digest, kind: .digest))
        }
    }

    /// Visits the entries of a tree's leaves, with the pages that lead to them, the leaf included.
    private mutating func walkLeaves(
        _ place: TreePlace, above: [Int],
        _ visit: (inout DataLayout, PageView, Int, [Int]) -> Void
    ) {
        guard place.depth > 0 else { return }
        walkPage(place.root, level: place.depth - 1, above: above) { layout, leaf, path in
            for index in 0..<leaf.count { visit(&layout, leaf, index, path) }
        }
    }

    private mutating func walkPage(
        _ reference: UInt64, level: Int, above: [Int],
        _ visit: (inout DataLayout, PageView, [Int]) -> Void
    ) {
        let reader = LittleEndianReader(bytes)
        let number = Int(reference & 0xffff_ffff_ffff)
        usedBytes[number] = pageSize
        treePages.append(number)
        let page = PageView(reader, number * pageSize)
        let path = above + [number]
        guard level > 0 else {
            visit(&self, page, path)
            return
        }
        for index in 0..<page.count {
            let slot = page.slots + 16 * index
            let child = reader.u64(slot + 8)
            noteLink(number, slot + 8 - page.start, child, level: level - 1)
            if page.flags & 8 != 0 {
                let rest = max(0, Int(reader.u16(slot + 6) & 0x7fff) - 4)
                noteNumbers(number, Int(reader.u16(slot + 4)) + rest, [0], [])
            }
            walkPage(child, level: level - 1, above: path, visit)
        }
    }

    /// Visits the entries of a database.
    private mutating func walk(
        _ place: TreePlace, above: [Int], _ visit: (Entry) -> Void
    ) {
        let reader = LittleEndianReader(bytes)
        walkLeaves(place, above: above) { layout, leaf, index, path in
            let entry = LeafEntry(reader, leaf, index)
            let key = place.flags & 0x0a != 0 ? entry.key.reversed() : entry.key
            let hasDuplicates = place.flags & 0x04 != 0
            guard entry.isIndirect else {
                let end = entry.valueOffset + Int(entry.length)
                let value = hasDuplicates ? Array(reader.bytes[entry.valueOffset..<end]) : nil
                visit(Entry(key: key, value: value, pages: path))
                return
            }
            if entry.length & 0x8000 == 0 {
                for value in reader.inlineValues(entry.valueOffset) {
                    visit(Entry(key: key, value: value, pages: path))
                }
            } else if entry.length & 0x4000 == 0 {
                let run = layout.noteRun(leaf, entry.valueOffset)
                visit(Entry(key: key, value: nil, pages: path + run))
            } else {
                layout.walkValues(place, leaf, entry.valueOffset, path) {
                    visit(Entry(key: key, value: $0, pages: $1))
                }
            }
        }
    }

    /// - Returns: the pages of an overflow run.
    private mutating func noteRun(_ leaf: PageView, _ pointer: Int) -> [Int] {
        let reader = LittleEndianReader(bytes)
        let page = leaf.start / pageSize
        noteLink(page, pointer - leaf.start, reader.u64(pointer), level: nil)
        noteNumbers(page, pointer - leaf.start, [8], [16])
        let first = Int(reader.u64(pointer) & 0xffff_ffff_ffff)
        let length = 40 + Int(reader.u64(pointer + 8))
        let pages = Array(first..<(first + (length + pageSize - 1) / pageSize))
        for (index, page) in pages.enumerated() {
            usedBytes[page] = min(pageSize, length - index * pageSize)
        }
        overflowPages += pages
        return pages
    }

    /// Visits the values of a value tree.
    private mutating func walkValues(
        _ place: TreePlace, _ leaf: PageView, _ record: Int, _ path: [Int],
        _ visit: ([UInt8], [Int]) -> Void
    ) {
        let reader = LittleEndianReader(bytes)
        let page = leaf.start / pageSize
        let depth = Int(reader.u8(record + 32))
        noteLink(page, record - leaf.start, reader.u64(record), level: depth - 1)
        noteNumbers(page, record - leaf.start, [8, 16, 24], [40])
        walkPage(reader.u64(record), level: depth - 1, above: path) { _, leaf, path in
            for index in 0..<leaf.count { visit(reader.value(leaf.start, index), path) }
        }
    }
}

/// Numbers and values in the bytes of a file.
struct LittleEndianReader {
    let bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private func number(_ offset: Int, _ count: Int) -> UInt64 {
        var number: UInt64 = 0
        for index in (0..<count).reversed() { number = number << 8 | UInt64(bytes[offset + index]) }
        return number
    }

    func u8(_ offset: Int) -> UInt8 { bytes[offset] }
    func u16(_ offset: Int) -> UInt16 { UInt16(truncatingIfNeeded: number(offset, 2)) }
    func u32(_ offset: Int) -> UInt32 { UInt32(truncatingIfNeeded: number(offset, 4)) }
    func u64(_ offset: Int) -> UInt64 { number(offset, 8) }

    /// Several values of a key in its leaf.
    fileprivate func inlineValues(_ offset: Int) -> [[UInt8]] {
        let count = Int(u16(offset))
        let width = Int(u16(offset + 2))
        var start = offset + 4 + (width == 0 ? 2 * count : 0)
        let first = start
        return (0..<count).map { index in
            let end =
                width > 0 ? start + width : first + Int(u16(offset + 4 + 2 * index))
            defer { start = end }
            return Array(bytes[start..<end])
        }
    }

    /// A value of a value leaf.
    fileprivate func value(_ page: Int, _ index: Int) -> [UInt8] {
        if u16(page + 26) & 2 != 0 {
            let width = Int(u16(page + 36))
            return Array(bytes[(page + 40 + index * width)..<(page + 40 + (index + 1) * width)])
        }
        let slot = page + 40 + 8 * index
        let start = page + Int(u16(slot + 4))
        return Array(bytes[start..<(start + Int(u16(slot + 6)))])
    }
}
