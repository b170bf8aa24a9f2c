import Testing

@testable import Simulator
@testable import ZeroDB

/// The entries of a sound data file, each with the pages that lead to it.
struct EntryPaths {
    struct Entry: Hashable {
        /// The bytes of the database's name; none for the main database.
        var database: [UInt8]
        var key: [UInt8]
        var value: [UInt8]
    }

    /// In the order of the file's trees.
    private(set) var entries: [(entry: Entry, pages: Set<Int>)] = []
    private(set) var databases: [[UInt8]: TreeRecord] = [:]
    let meta: Meta
    private let base: UnsafeMutableRawPointer
    private let pageSize: Int

    /// - Parameter file: as the newest meta page has it.
    init(_ file: MemoryContents) throws {
        let map = try PageMap(file)
        try self.init(file, map.meta)
    }

    init(_ file: MemoryContents, _ meta: Meta) throws {
        self.meta = meta
        base = file.base
        pageSize = Int(meta.pageSize)
        try walk([], meta.main, [])
        var records: [([UInt8], TreeRecord, Set<Int>)] = []
        try walkLeaves(meta.catalog.root, Int(meta.catalog.depth), []) { leaf, pages in
            for index in 0..<leaf.count {
                let value = try #require(leaf.value(index))
                records.append((key(leaf, index), TreeRecord(at: value.bytes), pages))
            }
        }
        for (name, record, pages) in records { try walk(name, record, pages) }
    }

    private func page(_ number: UInt64) -> Page {
        Page(base + Int(number) * pageSize, size: pageSize)
    }

    private func key(_ page: Page, _ index: Int) -> [UInt8] {
        let buffer = UnsafeMutableRawPointer.allocate(
            byteCount: Format.keyBufferSize(pageSize: pageSize), alignment: 8)
        defer { buffer.deallocate() }
        let length = page.copyKey(index, to: buffer)
        return Array(UnsafeRawBufferPointer(start: buffer, count: max(0, length)))
    }

    private func walkLeaves(
        _ root: PageReference, _ depth: Int, _ above: Set<Int>,
        _ body: (Page, Set<Int>) throws -> Void
    ) throws {
        guard depth > 0 else { return }
        let page = page(root.number)
        let pages = above.union([Int(root.number)])
        guard depth > 1 else { return try body(page, pages) }
        for index in 0..<page.count {
            try walkLeaves(page.child(index), depth - 1, pages, body)
        }
    }

    private mutating func walk(
        _ name: [UInt8], _ record: TreeRecord, _ above: Set<Int>
    ) throws {
        databases[name] = record
        var found: [(Entry, Set<Int>)] = []
        try walkLeaves(record.root, Int(record.depth), above) { leaf, pages in
            for index in 0..<leaf.count {
                var key = key(leaf, index)
                if record.flags.reversesKeys { key.reverse() }
                for (value, more) in try values(leaf, index) {
                    found.append(
                        (
                            Entry(database: name, key: key, value: value),
                            pages.union(more)
                        ))
                }
            }
        }
        entries += found.map { (entry: $0.0, pages: $0.1) }
    }

    private func values(_ leaf: Page, _ index: Int) throws -> [([UInt8], Set<Int>)] {
        let field = try #require(leaf.value(index))
        let bytes = UnsafeRawBufferPointer(start: field.bytes, count: field.count)
        switch field.kind {
        case .inline: return [(Array(bytes), [])]
        case .overflow:
            let pointer = OverflowPointer(at: field.bytes)
            let first = Int(pointer.reference.number)
            let count = OverflowPointer.pageCount(length: pointer.length, pageSize: pageSize)
            let start = base + first * pageSize + Page.headerSize
            return [
                (
                    Array(UnsafeRawBufferPointer(start: start, count: Int(pointer.length))),
                    Set(first..<(first + Int(count)))
                )
            ]
        case .inlineValues:
            let values = try #require(InlineValues(bytes))
            return try (0..<values.count).map { (Array(try #require(values.duplicate($0))), []) }
        case .valueTree:
            let tree = ValueTree(at: field.bytes)
            var found: [([UInt8], Set<Int>)] = []
            try walkLeaves(tree.root, Int(tree.depth), []) { leaf, pages in
                for index in 0..<leaf.count {
                    found.append((Array(try #require(leaf.duplicate(index))), pages))
                }
            }
            return found
        }
    }
}
