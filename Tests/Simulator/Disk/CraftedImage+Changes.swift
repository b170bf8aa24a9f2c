@testable import ZeroDB

/// Changes that a fuzzer or a seed chooses. `store` and the checksums of pages make them look sound.
extension CraftedImage {
    /// A part of the meta record.
    enum MetaField: Int, CaseIterable {
        case transaction, pageCount, availablePages, pendingPages, youngPages, allocationCursor
        case pinnedTotal, logEnd, logSegment, loggedTransaction, main, catalog, free
        case freeListAvailable, freeListPending, wallClock
    }

    /// Makes one change of any kind.
    func change(_ input: inout some ChoiceSource) {
        switch input.below(8) {
        case 0, 1, 2: changePage(&input)
        case 3: changeMeta(&input)
        case 4: changeFreeList(&input)
        case 5, 6: setFreeTree(&input)
        default: setTree(&input)
        }
    }

    /// Puts a number somewhere in a page.
    func changePage(_ input: inout some ChoiceSource) {
        let pages = Int(meta.pageCount) - 2
        guard pages > 0 else { return }
        let number = UInt64(2 + input.below(pages))
        let base = address(number)
        for _ in 0..<(1 + input.below(4)) {
            let offset = input.byte() % 2 == 0 ? 24 + input.below(200) : input.below(pageSize - 8)
            switch input.below(4) {
            case 0: base.storeLittleEndian(input.byte(), at: offset)
            case 1:
                base.storeLittleEndian(
                    UInt16(truncatingIfNeeded: input.hurtful(near: UInt64(pageSize))), at: offset)
            case 2: base.storeLittleEndian(UInt32(truncatingIfNeeded: input.number()), at: offset)
            default:
                base.storeLittleEndian(input.hurtful(near: base.littleEndian(offset)), at: offset)
            }
        }
        if input.byte() % 8 > 0 { base.storeLittleEndian(number, at: Format.Header.number) }
        reseal(number)
    }

    func changeMeta(_ input: inout some ChoiceSource) {
        changeMeta(MetaField.allCases[input.below(MetaField.allCases.count)], &input)
    }

    func changeMeta(_ field: MetaField, _ input: inout some ChoiceSource) {
        let pages = meta.pageCount
        switch field {
        case .transaction: meta.transaction = input.hurtful(near: meta.transaction)
        case .pageCount: meta.pageCount = min(input.hurtful(near: pages), pages)
        case .availablePages: meta.availablePages = input.hurtful(near: meta.availablePages)
        case .pendingPages: meta.pendingPages = input.hurtful(near: meta.pendingPages)
        case .youngPages: meta.youngPages = input.hurtful(near: meta.youngPages)
        case .allocationCursor: meta.allocationCursor = input.hurtful(near: pages)
        case .pinnedTotal: meta.pinnedTotal = input.hurtful(near: pages)
        case .logEnd: meta.logEnd = input.hurtful(near: 4096)
        case .logSegment: meta.logSegment = input.hurtful(near: 4096)
        case .loggedTransaction: meta.loggedTransaction = input.hurtful(near: meta.transaction)
        case .main: meta.main = changed(meta.main, &input)
        case .catalog: meta.catalog = changed(meta.catalog, &input)
        case .free: meta.free = changed(meta.free, &input)
        case .freeListAvailable: meta.freeListAvailable = UInt32(truncatingIfNeeded: input.number())
        case .freeListPending: meta.freeListPending = UInt32(truncatingIfNeeded: input.number())
        case .wallClock: meta.wallClock = input.number()
        }
    }

    private func changed(_ known: TreeRecord, _ input: inout some ChoiceSource) -> TreeRecord {
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

    func changeFreeList(_ input: inout some ChoiceSource) {
        if input.byte() % 4 == 0 { clearFreeList() }
        for _ in 0..<input.below(6) {
            let place = input.byte() % 2 == 0 ? input.below(FreeList.wordCount) : 0
            freeListWords[place] = freeWord(&input)
        }
        if input.byte() % 2 == 0 {
            meta.freeListAvailable = UInt32(input.byte())
            meta.freeListPending = UInt32(input.byte())
        }
    }

    /// A run, or any number.
    private func freeWord(_ input: inout some ChoiceSource) -> UInt64 {
        if input.byte() % 4 == 0 { return input.hurtful(near: meta.pageCount) }
        let start = UInt64(input.byte()) % (meta.pageCount + 2)
        return PageRun(start: start, count: UInt64(input.byte() % 8)).word
    }

    /// Makes a leaf of entries, sound or not, the free tree.
    func setFreeTree(_ input: inout some ChoiceSource) {
        var entries: [Entry] = []
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
                let next = tag == 2 ? input.number() : freeWord(&input)
                withUnsafeBytes(of: next.littleEndian) { value += $0 }
            }
            let kind = input.byte() % 16 == 0 ? ValueKind(rawValue: UInt16(input.byte() % 4)) : nil
            entries.append(Entry(key, value, kind: kind ?? .inline))
        }
        meta.free = Self.tree(
            appendLeaf(entries), depth: 1, entries: UInt64(entries.count))
        meta.availablePages = UInt64(input.byte()) % max(meta.pageCount, 1)
        meta.pendingPages = UInt64(input.byte()) % max(meta.pageCount, 1)
        meta.youngPages = min(meta.pendingPages, UInt64(input.byte()))
    }

    /// Makes a new leaf of any entries, or a branch that leads to any pages, a tree of the meta record.
    func setTree(_ input: inout some ChoiceSource) {
        var record = TreeRecord()
        if input.byte() % 3 == 0 {
            var children: [PageReference] = []
            for _ in 0..<(1 + input.below(20)) {
                // The number of pages may have been changed to anything.
                let number = 2 + UInt64(input.byte()) % (max(meta.pageCount, 3) - 2)
                children.append(
                    PageReference(number: number, transaction: page(number).transaction))
            }
            let level = 1 + input.below(4)
            record = Self.tree(
                appendBranch(children, level: level), depth: level + 1)
        } else {
            var entries: [Entry] = []
            for number in 0..<(1 + input.below(12)) {
                let kind = ValueKind(rawValue: UInt16(input.byte() % 4)) ?? .inline
                let value = input.run(kind.sizeMin + input.below(40))
                entries.append(
                    Entry(
                        [UInt8(number)] + input.run(input.below(6)), value, kind: kind))
            }
            record = Self.tree(appendLeaf(entries), depth: 1)
        }
        record.overflowPages = UInt64(input.byte() % 2)
        switch input.below(3) {
        case 0: meta.catalog = record
        default:
            record.flags = DatabaseFlags(rawValue: UInt16(input.byte()))
            record.valueWidth = UInt16(input.byte() % 16)
            record.keyWidth = [0, 4, 8][input.below(3)]
            meta.main = record
        }
    }
}
