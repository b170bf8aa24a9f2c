import Testing

@testable import Simulator
@testable import ZeroDB

/// What the bytes of a sound data file are for, found by walking its trees.
struct PageMap {
    /// The part of each page that something depends on: from its start to this byte; 0 for free
    /// pages. A run's pages count as one, at its first.
    private var used: [Int]
    let pageSize: Int
    private(set) var meta = Meta()

    init(_ file: MemoryContents) throws {
        let first = try Meta(at: file.base, page: 0)
        pageSize = Int(first.pageSize)
        let second = try Meta(at: file.base + pageSize, page: 1)
        meta = first.transaction > second.transaction ? first : second
        used = Array(repeating: 0, count: Int(meta.pageCount))
        try walk(file, meta.main) { _, _ in }
        var records: [TreeRecord] = []
        try walk(file, meta.catalog) { page, index in
            let value = try #require(page.value(index))
            records.append(TreeRecord(at: value.bytes))
        }
        for record in records { try walk(file, record) { _, _ in } }
        try walk(file, meta.free) { _, _ in }
    }

    private mutating func walk(
        _ file: MemoryContents, _ record: TreeRecord, _ entry: (Page, Int) throws -> Void
    ) throws {
        guard record.depth > 0 else { return }
        try walk(file, record.root, level: Int(record.depth) - 1, entry)
    }

    private mutating func walk(
        _ file: MemoryContents, _ reference: PageReference, level: Int,
        _ entry: (Page, Int) throws -> Void
    ) throws {
        let number = Int(reference.number)
        used[number] = pageSize
        let page = Page(file.base + number * pageSize, size: pageSize)
        for index in 0..<page.count {
            guard level == 0 else {
                try walk(file, page.child(index), level: level - 1, entry)
                continue
            }
            guard !page.layout.contains(.valueLeaf) else { continue }
            try entry(page, index)
            guard let value = page.value(index) else { continue }
            if value.kind == .valueTree {
                let tree = ValueTree(at: value.bytes)
                try walk(file, tree.root, level: Int(tree.depth) - 1) { _, _ in }
            }
            guard value.kind == .overflow else { continue }
            let pointer = OverflowPointer(at: value.bytes)
            var left = Page.headerSize + Int(pointer.length)
            var place = Int(pointer.reference.number)
            while left > 0 {
                used[place] = min(left, pageSize)
                left -= pageSize
                place += 1
            }
        }
    }

    /// Whether data depends on a byte. The meta pages hold everything twice.
    func matters(_ offset: Int) -> Bool {
        let page = offset / pageSize
        return page >= 2 && page < used.count && offset % pageSize < used[page]
    }

    func isFree(_ page: Int) -> Bool { page >= used.count || used[page] == 0 }

    var pageCount: Int { used.count }
}
