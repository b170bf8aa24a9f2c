@testable import ZeroDB

/// Changes `data.zdb` as the input says, puts all checksums right, and uses what has become of it.
private struct FuzzData {
    private let fileSystem = MemoryFileSystem()
    private let image: [UInt8]

    init() throws {
        try FuzzProgram.make(fileSystem)
        let file = fileSystem.contents("env/data.zdb")
        for name in try fileSystem.list("env/log") { try fileSystem.remove("env/log/\(name)") }
        if let file, let crafted = CraftedImage(file) {
            crafted.cutLog()
            crafted.store()
        }
        image = file?.bytes ?? []
    }

    func run(_ start: UnsafePointer<UInt8>?, _ count: Int) {
        guard let file = fileSystem.contents("env/data.zdb") else { return }
        file.restore(image)
        guard let crafted = CraftedImage(file) else { return }
        var input = FuzzInput(start, count)
        let changes = 1 + input.below(12)
        for _ in 0..<changes where !input.isAtEnd { change(crafted, &input) }
        crafted.store()
        var options = FuzzProgram.options()
        options.checksumMode = input.byte() % 4 == 0 ? .none : .fast
        for _ in 0..<2 {
            guard
                let environment = try? Environment(
                    path: FuzzProgram.path, options: options, fileSystem: fileSystem)
            else { break }
            FuzzProgram.use(environment, &input)
            check((try? environment.close()) != nil, "an environment does not close")
        }
        for name in (try? fileSystem.list("env/log")) ?? [] {
            try? fileSystem.remove("env/log/\(name)")
        }
    }

    private func change(_ image: CraftedImage, _ input: inout FuzzInput) {
        switch input.below(8) {
        case 0, 1, 2: changePage(image, &input)
        case 3: changeMeta(image, &input)
        case 4: changeFreeList(image, &input)
        case 5, 6: setFreeTree(image, &input)
        default: setTree(image, &input)
        }
    }

    /// Puts a number somewhere in a page.
    private func changePage(_ image: CraftedImage, _ input: inout FuzzInput) {
        let pages = Int(image.meta.pageCount) - 2
        guard pages > 0 else { return }
        let number = UInt64(2 + input.below(pages))
        let base = image.address(number)
        for _ in 0..<(1 + input.below(4)) {
            let offset = input.byte() % 2 == 0 ? 24 + input.below(200) : input.below(4088)
            switch input.below(4) {
            case 0: base.storeLittleEndian(input.byte(), at: offset)
            case 1:
                base.storeLittleEndian(
                    UInt16(truncatingIfNeeded: input.hurtful(near: 4096)), at: offset)
            case 2: base.storeLittleEndian(UInt32(truncatingIfNeeded: input.number()), at: offset)
            default:
                base.storeLittleEndian(input.hurtful(near: base.littleEndian(offset)), at: offset)
            }
        }
        if input.byte() % 8 > 0 { base.storeLittleEndian(number, at: Format.Header.number) }
        image.reseal(number)
    }

    private func changeMeta(_ image: CraftedImage, _ input: inout FuzzInput) {
        let pages = image.meta.pageCount
        switch input.below(16) {
        case 0: image.meta.transaction = input.hurtful(near: image.meta.transaction)
        case 1: image.meta.pageCount = min(input.hurtful(near: pages), pages)
        case 2: image.meta.availablePages = input.hurtful(near: image.meta.availablePages)
        case 3: image.meta.pendingPages = input.hurtful(near: image.meta.pendingPages)
        case 4: image.meta.youngPages = input.hurtful(near: image.meta.youngPages)
        case 5: image.meta.allocationCursor = input.hurtful(near: pages)
        case 6: image.meta.pinnedTotal = input.hurtful(near: pages)
        case 7: image.meta.logEnd = input.hurtful(near: 4096)
        case 8: image.meta.logSegment = input.hurtful(near: 4096)
        case 9: image.meta.loggedTransaction = input.hurtful(near: image.meta.transaction)
        case 10: image.meta.main = record(image.meta.main, &input)
        case 11: image.meta.catalog = record(image.meta.catalog, &input)
        case 12: image.meta.free = record(image.meta.free, &input)
        case 13: image.meta.freeListAvailable = UInt32(truncatingIfNeeded: input.number())
        case 14: image.meta.freeListPending = UInt32(truncatingIfNeeded: input.number())
        default: image.meta.wallClock = input.number()
        }
    }

    private func record(_ known: TreeRecord, _ input: inout FuzzInput) -> TreeRecord {
        var record = known
        switch input.below(9) {
        case 0: record.root.raw = input.hurtful(near: record.root.raw)
        case 1: record.entries = input.hurtful(near: record.entries)
        case 2: record.depth = input.byte()
        case 3: record.flags = DatabaseFlags(rawValue: UInt16(input.byte()))
        case 4: record.keyWidth = input.byte()
        case 5: record.valueWidth = UInt16(truncatingIfNeeded: input.word())
        case 6: record.keys = input.hurtful(near: record.keys)
        case 7: record.overflowPages = input.hurtful(near: record.overflowPages)
        default: record.leafPages = input.hurtful(near: record.leafPages)
        }
        return record
    }

    private func changeFreeList(_ image: CraftedImage, _ input: inout FuzzInput) {
        if input.byte() % 4 == 0 { image.clearFreeList() }
        for _ in 0..<input.below(6) {
            let place = input.byte() % 2 == 0 ? input.below(FreeList.wordCount) : 0
            image.freeListWords[place] = word(image, &input)
        }
        if input.byte() % 2 == 0 {
            image.meta.freeListAvailable = UInt32(input.byte())
            image.meta.freeListPending = UInt32(input.byte())
        }
    }

    /// A run, or any number.
    private func word(_ image: CraftedImage, _ input: inout FuzzInput) -> UInt64 {
        if input.byte() % 4 == 0 { return input.hurtful(near: image.meta.pageCount) }
        let start = UInt64(input.byte()) % (image.meta.pageCount + 2)
        return PageRun(start: start, count: UInt64(input.byte() % 8)).word
    }

    /// Makes a leaf of entries, sound or not, the free tree.
    private func setFreeTree(_ image: CraftedImage, _ input: inout FuzzInput) {
        var entries: [CraftedImage.Entry] = []
        for number in 0..<(1 + input.below(20)) {
            let tag = input.byte() % 4
            var key = [tag]
            if tag == 2 {
                withUnsafeBytes(of: UInt64(input.byte() % 4).bigEndian) { key += $0 }
            } else {
                for _ in 0...(1 - min(tag, 1)) {
                    let transaction = UInt64(input.byte() % 16)
                    withUnsafeBytes(of: transaction.bigEndian) { key += $0 }
                }
                withUnsafeBytes(of: UInt32(number).bigEndian) { key += $0 }
            }
            let words = tag == 2 ? 8 : input.below(4) == 0 ? input.below(250) : input.below(6)
            var value: [UInt8] = []
            if tag < 2 {
                let birth = UInt64(input.byte() % 16)
                for number in [birth, birth + UInt64(input.byte() % 16)] {
                    withUnsafeBytes(of: number.littleEndian) { value += $0 }
                }
            }
            for _ in 0..<words {
                let next = tag == 2 ? input.number() : word(image, &input)
                withUnsafeBytes(of: next.littleEndian) { value += $0 }
            }
            let kind = input.byte() % 16 == 0 ? ValueKind(rawValue: UInt16(input.byte() % 4)) : nil
            entries.append(CraftedImage.Entry(key, value, kind: kind ?? .inline))
        }
        image.meta.free = CraftedImage.tree(
            image.appendLeaf(entries), depth: 1, entries: UInt64(entries.count))
        image.meta.availablePages = UInt64(input.byte()) % max(image.meta.pageCount, 1)
        image.meta.pendingPages = UInt64(input.byte()) % max(image.meta.pageCount, 1)
        image.meta.youngPages = min(image.meta.pendingPages, UInt64(input.byte()))
    }

    /// Makes a new leaf of any entries, or a branch that leads to any pages, a tree of the meta record.
    private func setTree(_ image: CraftedImage, _ input: inout FuzzInput) {
        var record = TreeRecord()
        if input.byte() % 3 == 0 {
            var children: [PageReference] = []
            for _ in 0..<(1 + input.below(20)) {
                // The number of pages may have been changed to anything.
                let number = 2 + UInt64(input.byte()) % (max(image.meta.pageCount, 3) - 2)
                children.append(
                    PageReference(number: number, transaction: image.page(number).transaction))
            }
            let level = 1 + input.below(4)
            record = CraftedImage.tree(
                image.appendBranch(children, level: level), depth: level + 1)
        } else {
            var entries: [CraftedImage.Entry] = []
            for number in 0..<(1 + input.below(12)) {
                let kind = ValueKind(rawValue: UInt16(input.byte() % 4)) ?? .inline
                let value = input.run(kind.sizeMin + input.below(40))
                entries.append(
                    CraftedImage.Entry(
                        [UInt8(number)] + input.run(input.below(6)), value, kind: kind))
            }
            record = CraftedImage.tree(image.appendLeaf(entries), depth: 1)
        }
        record.overflowPages = UInt64(input.byte() % 2)
        switch input.below(3) {
        case 0: image.meta.catalog = record
        default:
            record.flags = DatabaseFlags(rawValue: UInt16(input.byte()))
            record.valueWidth = UInt16(input.byte() % 16)
            record.keyWidth = [0, 4, 8][input.below(3)]
            image.meta.main = record
        }
    }
}

private let target = try? FuzzData()

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    check(target != nil, "the environment to change cannot be made")
    target?.run(start, count)
    return 0
}
