@testable import ZeroDB

/// A data file that is changed with intent: whatever is put into it gets right checksums, so that
/// nothing but the engine's own checks of what it says can refuse it.
final class CraftedImage {
    let file: MemoryContents
    /// The newest state, as `store` writes it back.
    var meta: Meta
    /// The free list of that state.
    var freeListWords = Array(repeating: UInt64(0), count: FreeList.wordCount)
    private let metaPage: UInt64

    /// An entry of a leaf: its value as it is there, whatever its kind says.
    struct Entry {
        var key: [UInt8]
        var value: [UInt8]
        var kind = ValueKind.inline

        init(_ key: [UInt8], _ value: [UInt8], kind: ValueKind = .inline) {
            self.key = key
            self.value = value
            self.kind = kind
        }
    }

    /// - Parameter file: a data file whose meta pages have sound records at their beginnings.
    init?(_ file: MemoryContents) {
        guard file.count >= 2 * Format.pageSizeMin,
            let first = try? Meta(at: file.base, page: 0),
            file.count >= 2 * Int(first.pageSize),
            let second = try? Meta(at: file.base + Int(first.pageSize), page: 1),
            second.pageSize == first.pageSize
        else { return nil }
        self.file = file
        metaPage = first.transaction > second.transaction ? 0 : 1
        meta = metaPage == 0 ? first : second
        let words = address(metaPage) + Meta.freeListOffset
        for index in freeListWords.indices { freeListWords[index] = words.littleEndian(index * 8) }
    }

    var pageSize: Int { Int(meta.pageSize) }

    func address(_ page: UInt64) -> UnsafeMutableRawPointer {
        file.base + Int(page) * pageSize
    }

    func page(_ number: UInt64) -> Page { Page(address(number), size: pageSize) }

    // MARK: Pages

    /// A new page at the end of the file, all zeros.
    func append() -> UInt64 {
        let number = meta.pageCount
        meta.pageCount += 1
        file.count = max(file.count, Int(meta.pageCount) * pageSize)
        return number
    }

    /// Gives a page a header that fits its place, and a checksum.
    func seal(_ number: UInt64, transaction: UInt64? = nil) -> PageReference {
        let base = address(number)
        let transaction = transaction ?? meta.transaction
        base.storeLittleEndian(number, at: Format.Header.number)
        base.storeLittleEndian(transaction, at: Format.Header.transaction)
        reseal(number)
        return PageReference(number: number, transaction: transaction)
    }

    /// Puts the checksum of a page or run right, whatever the rest of it says.
    func reseal(_ number: UInt64) {
        let base = address(number)
        var length = pageSize
        if base.littleEndian(Format.Header.kind, as: UInt8.self) == PageKind.overflow.rawValue {
            let value: UInt64 = base.littleEndian(Format.OverflowHeader.length)
            let room = file.count - Int(number) * pageSize
            length = Int(min(value, UInt64(room - Page.headerSize))) + Page.headerSize
        }
        let checksum = Checksum.ofPage(base, length: length, seed: meta.checksumSeed)
        base.storeLittleEndian(checksum, at: Format.Header.checksum)
    }

    /// A new leaf with as many of the entries as it has room for, in the order given.
    func appendLeaf(_ entries: [Entry]) -> PageReference {
        let number = append()
        let leaf = page(number)
        leaf.format(kind: .leaf, level: 0, prefix: UnsafeRawBufferPointer(start: nil, count: 0))
        for (index, entry) in entries.enumerated() {
            let size = Page.entrySize(
                isLeaf: true, suffixLength: entry.key.count, valueLength: entry.value.count)
            guard leaf.gap >= size else { break }
            entry.key.withUnsafeBytes { key in
                entry.value.withUnsafeBytes {
                    leaf.insertLeafEntry(
                        at: index, suffix: key, value: LeafValue(kind: entry.kind, bytes: $0))
                }
            }
        }
        return seal(number)
    }

    /// A new branch, whose separators are numbers.
    func appendBranch(_ children: [PageReference], level: Int) -> PageReference {
        let number = append()
        let branch = page(number)
        branch.format(
            kind: .branch, level: level, prefix: UnsafeRawBufferPointer(start: nil, count: 0))
        for (index, child) in children.enumerated() {
            let separator = index == 0 ? [] : [UInt8(index >> 8), UInt8(index & 0xff)]
            guard branch.gap >= Page.branchSlotSize + 2 else { break }
            separator.withUnsafeBytes {
                branch.insertBranchEntry(at: index, suffix: $0, child: child)
            }
        }
        return seal(number)
    }

    /// A new overflow run for a value of zeros.
    func appendRun(length: Int) -> OverflowPointer {
        let pages = OverflowPointer.pageCount(length: UInt64(length), pageSize: pageSize)
        let number = append()
        for _ in 1..<max(1, pages) { _ = append() }
        let base = address(number)
        base.storeLittleEndian(PageKind.overflow.rawValue, at: Format.Header.kind)
        base.storeLittleEndian(
            UInt32(truncatingIfNeeded: pages), at: Format.OverflowHeader.pageCount)
        base.storeLittleEndian(UInt64(length), at: Format.OverflowHeader.length)
        return OverflowPointer(reference: seal(number), length: UInt64(length))
    }

    /// The record of a tree, as plausible as one can be made.
    static func tree(_ root: PageReference, depth: Int, entries: UInt64 = 1) -> TreeRecord {
        var record = TreeRecord()
        record.root = root
        record.depth = UInt8(truncatingIfNeeded: depth)
        record.entries = entries
        record.leafPages = 1
        return record
    }

    // MARK: Meta

    /// Forgets the log, which is to be removed.
    func cutLog() {
        meta.logEnd = 0
        meta.logChecksum = 0
        meta.logSegment = 0
    }

    /// Forgets the free pages, so that commits look for them in the free tree.
    func clearFreeList() {
        for index in freeListWords.indices { freeListWords[index] = 0 }
        meta.freeListAvailable = 0
        meta.freeListPending = 0
    }

    /// Writes the state back.
    func store() {
        let base = address(metaPage)
        for copy in 0..<2 {
            let place = base + Meta.copyOffset(copy, pageSize: pageSize)
            for (index, word) in freeListWords.enumerated() {
                (place + Meta.freeListOffset).storeLittleEndian(word, at: index * 8)
            }
            meta.freeListChecksum = Meta.checksum(ofFreeList: place + Meta.freeListOffset)
            meta.store(to: place, page: metaPage)
        }
    }
}
