/// Writes the pages of a snapshot that were written after an earlier one. A page is copied when it changes,
/// up to the root, so nothing below a page that has not changed has.
///
/// A reference tells by its tag, as far as that goes, whether what it leads to has changed (FORMAT.md,
/// "Which transaction changed a subtree"). The header of the page tells for certain.
struct ChangedPages {
    let source: PageSource
    let meta: Meta
    let freeList: FreeList
    /// The transaction of the earlier snapshot.
    let since: UInt64
    let writer: CopyWriter
    let monitor: CopyMonitor

    private struct Tree {
        var record: TreeRecord
        var leafLayout: PageLayout = []
        var isCatalog = false

        func layout(level: Int) -> PageLayout {
            level == 0 ? leafLayout : record.flags.branchLayout
        }
    }

    func run() throws(DatabaseError) {
        try walk(Tree(record: meta.main), meta.transaction)
        try walk(Tree(record: meta.catalog, isCatalog: true), meta.transaction)
        try walk(Tree(record: meta.free), meta.transaction)
        try writer.writeMeta(meta, freeList)
        try monitor.tell(meta.pageCount, of: meta.pageCount, isLast: true)
    }

    private func walk(_ tree: Tree, _ transaction: UInt64) throws(DatabaseError) {
        guard tree.record.depth > 0 else { return }
        try visit(
            tree, tree.record.root, level: Int(tree.record.depth) - 1, below: transaction)
    }

    /// Whether what a reference leads to may have changed.
    ///
    /// - Parameter transaction: of the page that has the reference.
    static func mayHaveChanged(
        _ reference: PageReference, below transaction: UInt64, since: UInt64
    ) -> Bool {
        let age = UInt64(
            UInt16(truncatingIfNeeded: transaction) &- reference.transactionTag)
        // The newest that it can be of.
        return transaction < age || transaction - age > since
    }

    /// Judges a page or run and writes it if it has changed.
    ///
    /// - Parameter length: of it, as far as its checksum covers it.
    /// - Returns: the transaction that wrote it; nil if it has not changed.
    private func write(
        _ number: UInt64, pages: UInt64, length: Int
    ) throws(DatabaseError) -> UInt64? {
        let start = UnsafeRawPointer(source.map + Int(number) << source.pageShift)
        let transaction: UInt64 = start.littleEndian(Format.Header.transaction)
        guard transaction > since else { return nil }
        guard
            Checksum.ofPage(start, length: length, seed: source.seed)
                == start.littleEndian(Format.Header.checksum)
        else { throw source.corrupted(number, "page", "it does not have its checksum") }
        try writer.write(
            lasting: UnsafeRawBufferPointer(
                start: start, count: Int(pages) << source.pageShift),
            at: number << UInt64(source.pageShift))
        return transaction
    }

    private func visit(
        _ tree: Tree, _ reference: PageReference, level: Int, below: UInt64
    ) throws(DatabaseError) {
        guard Self.mayHaveChanged(reference, below: below, since: since) else { return }
        let page = try source.page(reference, level: level, layout: tree.layout(level: level))
        guard
            let transaction = try write(reference.number, pages: 1, length: source.pageSize)
        else { return }
        guard page.slotsAreInBounds else { throw source.badEntry(page) }
        try monitor.tell(reference.number, of: meta.pageCount)
        if level > 0 {
            for index in 0..<page.count {
                try visit(tree, page.child(index), level: level - 1, below: transaction)
            }
        } else if tree.isCatalog {
            try visitDatabases(page, transaction)
        } else if !page.layout.contains(.valueLeaf) {
            try visitValues(tree, page, transaction)
        }
    }

    private func visitDatabases(_ page: Page, _ transaction: UInt64) throws(DatabaseError) {
        for index in 0..<page.count {
            guard let value = page.value(index), value.kind == .inline,
                value.count == TreeRecord.size,
                case let record = TreeRecord(at: UnsafeRawPointer(value.bytes)),
                record.isPlausible
            else {
                throw source.corrupted(
                    page.number, "page", "the record of a database is impossible")
            }
            try walk(Tree(record: record), transaction)
        }
    }

    private func visitValues(
        _ tree: Tree, _ page: Page, _ transaction: UInt64
    ) throws(DatabaseError) {
        var index = page.firstIndirectValue(from: 0)
        while index < page.count {
            guard let value = page.value(index), value.isPlausible else {
                throw source.badEntry(page)
            }
            switch value.kind {
            case .inline, .inlineValues: break
            case .overflow:
                let pointer = OverflowPointer(at: value.bytes)
                guard
                    Self.mayHaveChanged(pointer.reference, below: transaction, since: since)
                else { break }
                let length = Page.headerSize + (try source.overflow(pointer)).count
                let pages = OverflowPointer.pageCount(
                    length: pointer.length, pageSize: source.pageSize)
                _ = try write(pointer.reference.number, pages: pages, length: length)
            case .valueTree:
                let values = ValueTree(at: value.bytes)
                var below = tree
                below.leafLayout = values.state(in: tree.record).leafLayout
                try visit(
                    below, values.root, level: Int(values.depth) - 1, below: transaction)
            }
            index = page.firstIndirectValue(from: index + 1)
        }
    }
}
