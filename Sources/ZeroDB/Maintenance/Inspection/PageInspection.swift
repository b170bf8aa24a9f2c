/// Looking at one page.
struct PageInspection {
    private let subject: PageSubject
    private let number: UInt64

    init(_ subject: PageSubject, _ number: UInt64) {
        self.subject = subject
        self.number = number
    }

    /// - Throws: `notFound` if the file has no such page; a system error.
    func run() throws(DatabaseError) -> InspectedPage {
        let pages = try subject.filePages
        guard number < pages else {
            throw DatabaseError(
                .notFound, "there is no page \(number): \(subject.file.name) has \(pages) pages")
        }
        let pageSize = subject.source.pageSize
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pageSize, alignment: 64)
        defer { buffer.deallocate() }
        let offset = number << UInt64(subject.source.pageShift)
        guard let start = buffer.baseAddress,
            try subject.file.read(into: buffer, at: offset) == pageSize
        else {
            throw DatabaseError(.notFound, "page \(number) is behind the end of the file")
        }
        let walk = try PageWalk(subject, wanted: number)
        walk.run()
        var found = InspectedPage(
            number: number, offset: offset, snapshot: subject.meta.transaction,
            use: walk.use(of: number), bytes: Array(buffer))
        found.referrers = walk.referrers
        found.runStart = walk.runStart
        found.notes = subject.notes
        if number < Format.metaPageCount {
            try lookAtMeta(&found)
        } else {
            judge(&found, walk)
            decode(Page(start, size: pageSize), &found, walk)
        }
        guard subject.isUnchanged else {
            throw DatabaseError(
                .busy, "the environment was changed while it was looked at; try again")
        }
        return found
    }

    // MARK: What is wrong

    private func judge(_ found: inout InspectedPage, _ walk: PageWalk) {
        for referrer in walk.referrers {
            guard let expected = referrer.expected else { continue }
            do throws(DatabaseError) {
                if let length = expected.length {
                    _ = try subject.source.overflow(
                        OverflowPointer(reference: expected.reference, length: length))
                } else {
                    _ = try subject.source.page(
                        expected.reference, level: expected.level, layout: expected.layout)
                }
            } catch {
                found.use = .damaged
                found.problems.append(error.message)
            }
        }
        if walk.referrers.count > 1 {
            found.problems.append("\(walk.referrers.count) places refer to it")
        }
        if found.use == .unreached {
            found.problems.append(
                walk.problemCount == 0
                    ? "nothing refers to it" : "nothing that can be read refers to it")
        }
        if walk.problemCount > 0 {
            found.notes.append(
                "\(walk.problemCount) other pages or entries cannot be read; what they refer to is not "
                    + "known")
        }
    }

    private func lookAtMeta(_ found: inout InspectedPage) throws(DatabaseError) {
        let pageSize = subject.source.pageSize
        var copies = try MetaPages.readCopies(
            subject.file, page: Int(number), pageSize: pageSize)
        // A checkpoint may be writing it.
        for _ in 0..<3 where copies.contains(where: { (try? $0.get()) == nil }) {
            copies = try MetaPages.readCopies(
                subject.file, page: Int(number), pageSize: pageSize)
        }
        for (index, copy) in copies.enumerated() {
            let offset = Meta.copyOffset(index, pageSize: pageSize)
            switch copy {
            case .success(let meta):
                found.metaCopies.append(
                    InspectedPage.MetaCopy(
                        offset: offset, transaction: meta.transaction, wallClock: meta.wallClock,
                        pageCount: meta.pageCount, logEnd: meta.logEnd))
            case .failure:
                let problem = MetaPages.describe([copy])
                found.metaCopies.append(InspectedPage.MetaCopy(offset: offset, problem: problem))
                found.problems.append(
                    "the copy of its record at byte \(offset) of the page is damaged (\(problem))")
            }
        }
    }

    // MARK: What is in it

    private func decode(_ page: Page, _ found: inout InspectedPage, _ walk: PageWalk) {
        // Behind the first page of a large value there is no header.
        if let start = found.runStart, start != number { return }
        guard let kind = page.kind, kind != .meta else { return }
        var header = InspectedPage.Header(
            checksum: page.checksum, computedChecksum: nil, number: page.number,
            transaction: page.transaction, kind: page.kindByte, level: page.level,
            flags: page.layout.rawValue, count: page.count, prefixLength: page.prefixLength,
            heapBytes: page.heapUsed, deadBytes: page.heapDead, width: page.width)
        if kind == .overflow {
            header.count = 0
            (header.prefixLength, header.heapBytes, header.deadBytes, header.width) = (0, 0, 0, 0)
            header.valueLength = page.base.littleEndian(Format.OverflowHeader.length)
            header.computedChecksum = overflowChecksum(page)
        } else {
            header.computedChecksum = Checksum.ofPage(
                page.base, length: page.size, seed: subject.source.seed)
        }
        found.header = header
        guard kind != .overflow, page.structuralProblem() == nil else { return }
        let reverses = walk.flags.reversesKeys && !page.layout.contains(.valueLeaf)
        for index in 0..<page.count {
            var key = page.isBranch && index == 0 ? [] : page.keyBytes(index) ?? []
            if page.layout.contains(.valueLeaf) { key = [] }
            if reverses { key.reverse() }
            found.entries.append(
                InspectedPage.Entry(key: key, content: Self.content(of: page, index)))
        }
    }

    /// Of a large value that lies in the environment as a whole.
    private func overflowChecksum(_ page: Page) -> UInt64? {
        let length: UInt64 = page.base.littleEndian(Format.OverflowHeader.length)
        let source = subject.source
        guard length <= UInt64(Format.valueSizeMax), number < source.pageCount else { return nil }
        let pages = OverflowPointer.pageCount(length: length, pageSize: source.pageSize)
        guard pages <= source.pageCount - number,
            (try? source.fetcher.fetch(
                number..<(number + pages), of: source.pageCount, in: source.verified)) != nil
        else { return nil }
        return Checksum.ofPage(
            source.map + Int(number) << source.pageShift, length: Page.headerSize + Int(length),
            seed: source.seed)
    }

    private static func content(of page: Page, _ index: Int) -> InspectedPage.Entry.Content {
        if page.isBranch {
            let child = page.child(index)
            return .child(
                page: child.number, tag: child.transactionTag,
                entries: page.layout.contains(.counted) ? page.entryCount(index) : nil)
        }
        if page.layout.contains(.valueLeaf) {
            return page.duplicate(index).map { .value(Array($0)) } ?? .damaged
        }
        guard let field = page.value(index), field.isPlausible else { return .damaged }
        let bytes = UnsafeRawBufferPointer(start: field.bytes, count: field.count)
        switch field.kind {
        case .inline: return .value(Array(bytes))
        case .overflow:
            let pointer = OverflowPointer(at: field.bytes)
            return .overflow(page: pointer.reference.number, bytes: pointer.length)
        case .inlineValues:
            guard let values = InlineValues(bytes) else { return .damaged }
            return .values(
                (0..<values.count).compactMap { values.duplicate($0).map { Array($0) } })
        case .valueTree:
            let tree = ValueTree(at: field.bytes)
            return .valueTree(
                root: tree.root.number, values: tree.entries, depth: Int(tree.depth))
        }
    }
}
