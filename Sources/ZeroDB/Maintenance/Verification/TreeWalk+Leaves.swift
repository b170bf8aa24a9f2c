/// What is in a page: the order of its keys, and the entries of a leaf.
extension TreeWalk {
    /// Holds keys one after the other against their order and the bounds of their page.
    struct OrderCheck {
        private var previous: KeyBytes?
        private let high: KeyBytes?
        /// Equal to the lower bound is allowed for the first key only.
        private var isFirst = true
        /// One problem of its order is enough for a page.
        private var isTold = false

        init(_ bounds: Bounds) {
            previous = bounds.low
            high = bounds.high
        }

        /// - Parameters:
        ///   - key: stays as it is until the next call has returned.
        ///   - isLast: whether it is the last one.
        /// - Returns: what is wrong with its order, in words.
        @inline(__always)
        mutating func next(_ key: KeyBytes, isLast: Bool) -> StaticString? {
            defer {
                previous = key
                isFirst = false
            }
            if let previous {
                let order = KeyOrder.compare(previous, key, reversed: false)
                if order > 0 || (order == 0 && !isFirst) {
                    return tell(
                        isFirst
                            ? "is before its parent's separator" : "is not after the one before it")
                }
            }
            // Of keys in their order the last tells for all.
            if isLast, let high, KeyOrder.compare(key, high, reversed: false) >= 0 {
                return tell("is not below its parent's next separator")
            }
            return nil
        }

        private mutating func tell(_ problem: StaticString) -> StaticString? {
            if isTold { return nil }
            isTold = true
            return problem
        }
    }

    /// Checks the order of separators, or of the values in a value leaf.
    func checkOrder(
        _ tree: VerifiedTree, _ page: Page, _ stack: KeyStack, slot: Int, _ bounds: Bounds,
        _ counts: inout TreeCounts
    ) {
        let first = page.isLeaf ? 0 : 1
        guard first < page.count else { return }
        var order = OrderCheck(bounds)
        for index in first..<page.count {
            guard let key = stack.load(page, index, slot: slot + index % 2) else {
                problem(
                    .structure, tree, page.number, bounds, writer: page.transaction, &counts,
                    "page \(page.number) (\(tree.description)): key \(index) is damaged")
                return
            }
            if let wrong = order.next(key, isLast: index + 1 == page.count) {
                disorder(tree, page, index, wrong, bounds, &counts)
            }
        }
    }

    private func disorder(
        _ tree: VerifiedTree, _ page: Page, _ index: Int, _ wrong: StaticString,
        _ bounds: Bounds, _ counts: inout TreeCounts
    ) {
        problem(
            .order, tree, page.number, bounds,
            entries: page.isLeaf ? UInt64(page.count) : 0, writer: page.transaction, &counts,
            "page \(page.number) (\(page.isLeaf ? "leaf" : "branch"), \(tree.description)): key "
                + "\(index) \(wrong)")
    }

    /// Checks the entries of a leaf that is no value leaf.
    mutating func visitLeaf(
        _ tree: VerifiedTree, _ page: Page, slot: Int, _ bounds: Bounds,
        _ counts: inout TreeCounts
    ) {
        let stack = keys
        let flags = tree.record.flags
        let isReversed = flags.reversesKeys
        let isPlain = flags.isDisjoint(with: [.integerKeys, .duplicates]) && check == nil
        let digests = subject.readsValues
        var order = OrderCheck(bounds)
        for index in 0..<page.count {
            counts.keys += 1
            guard let key = stack.load(page, index, slot: slot + index % 2),
                let field = page.value(index)
            else {
                problem(
                    .structure, tree, page.number, bounds, entries: 1, writer: page.transaction,
                    &counts,
                    "page \(page.number) (leaf, \(tree.description)): entry \(index) is damaged")
                continue
            }
            if let wrong = order.next(key, isLast: index + 1 == page.count) {
                disorder(tree, page, index, wrong, bounds, &counts)
            }
            guard isPlain, field.kind == .inline else {
                visitEntry(tree, page, index, key, field, &counts)
                continue
            }
            counts.entries += 1
            if digests {
                counts.digest += ContentDigest(
                    ofKey: key, reversed: isReversed,
                    value: UnsafeRawBufferPointer(start: field.bytes, count: field.count))
            }
        }
    }

    /// Checks an entry of any kind.
    private mutating func visitEntry(
        _ tree: VerifiedTree, _ page: Page, _ index: Int, _ key: KeyBytes,
        _ field: Page.ValueField, _ counts: inout TreeCounts
    ) {
        let record = tree.record
        let place = { "page \(page.number) (leaf, \(tree.description)): entry \(index)" }
        if record.flags.contains(.integerKeys), key.count != Int(record.keyWidth) {
            problem(
                .structure, tree, page, key: key, &counts,
                "page \(page.number) (leaf, \(tree.description)): key \(index) has \(key.count) "
                    + "bytes in a database of integers of \(record.keyWidth)")
        }
        if record.flags.contains(.duplicates) {
            visitValues(tree, page, index, key, field, &counts)
            return
        }
        counts.entries += 1
        var value = UnsafeRawBufferPointer(start: field.bytes, count: field.count)
        switch field.kind {
        case .inline: break
        case .inlineValues, .valueTree:
            problem(
                .structure, tree, page, key: key, &counts,
                place() + " has several values in a database without duplicates")
            return
        case .overflow:
            let pointer = OverflowPointer(at: field.bytes)
            guard let bytes = visitOverflow(tree, page, key, pointer, &counts) else { return }
            value = bytes
        }
        if subject.readsValues {
            let digest = ContentDigest(
                ofKey: key, reversed: record.flags.reversesKeys, value: value)
            counts.digest += digest
            if field.kind == .overflow, OverflowPointer(at: field.bytes).digest != digest {
                problem(
                    .digest, tree, page, key: key, &counts,
                    place() + " does not have the digest of its key and value")
            }
        }
        if let check, let wrong = check(key, value, field.kind, page.number) {
            problem(
                .structure, tree, page, key: key, &counts,
                "page \(page.number) (leaf, \(tree.description)): \(wrong)")
        }
    }

    /// The values of a key, where it may have several.
    private mutating func visitValues(
        _ tree: VerifiedTree, _ page: Page, _ index: Int, _ key: KeyBytes,
        _ field: Page.ValueField, _ counts: inout TreeCounts
    ) {
        let record = tree.record
        let place = { "page \(page.number) (leaf, \(tree.description)): entry \(index)" }
        let value = UnsafeRawBufferPointer(start: field.bytes, count: field.count)
        let sizes = valueSizes(of: record)
        switch field.kind {
        case .inline:
            counts.entries += 1
            if subject.readsValues {
                counts.digest += ContentDigest(
                    ofKey: key, reversed: record.flags.reversesKeys, value: value)
            }
            if !sizes.contains(value.count) {
                problem(
                    .structure, tree, page, key: key, &counts,
                    place() + " has a value of \(value.count) bytes")
            }
        case .overflow:
            counts.losses += 1
            problem(
                .structure, tree, page, key: key, &counts,
                place() + " has a value in an overflow run, with duplicates")
        case .inlineValues:
            guard let values = InlineValues(value) else {
                counts.losses += 1
                problem(
                    .structure, tree, page, key: key, &counts, place() + " has impossible values")
                return
            }
            visitInlineValues(tree, page, index, key, values, &counts)
        case .valueTree:
            visitValueTree(tree, page, index, key: key, ValueTree(at: field.bytes), &counts)
        }
    }

    private func valueSizes(of record: TreeRecord) -> ClosedRange<Int> {
        let width = Int(record.valueWidth)
        return record.flags.contains(.fixedSizeDuplicates)
            ? width...width : 0...Format.keySizeMax(pageSize: subject.source.pageSize)
    }

    private func visitInlineValues(
        _ tree: VerifiedTree, _ page: Page, _ index: Int, _ key: KeyBytes, _ values: InlineValues,
        _ counts: inout TreeCounts
    ) {
        let record = tree.record
        let place = { "page \(page.number) (leaf, \(tree.description)): entry \(index)" }
        let isFixedSize = record.flags.contains(.fixedSizeDuplicates)
        let width = isFixedSize ? Int(record.valueWidth) : 0
        let sizes = valueSizes(of: record)
        counts.entries += UInt64(values.count)
        if values.width != width {
            problem(
                .structure, tree, page, key: key, &counts,
                place() + " has values of \(values.width) bytes each, expected \(width) (0: any)")
        }
        if values.count < 2 {
            problem(
                .structure, tree, page, key: key, &counts, place() + " has one value as several")
        }
        var previous: UnsafeRawBufferPointer?
        for duplicate in 0..<values.count {
            guard let bytes = values.duplicate(duplicate) else {
                problem(
                    .structure, tree, page, key: key, &counts,
                    place() + ", value \(duplicate) is damaged")
                return
            }
            if !isFixedSize, !sizes.contains(bytes.count) {
                problem(
                    .structure, tree, page, key: key, &counts,
                    place() + ", value \(duplicate) has \(bytes.count) bytes")
            }
            if let previous,
                KeyOrder.compare(previous, bytes, reversed: record.flags.reversesValues) >= 0
            {
                problem(
                    .order, tree, page, key: key, &counts,
                    place() + ", value \(duplicate) is not after the one before it")
            }
            previous = bytes
            if subject.readsValues {
                counts.digest += ContentDigest(
                    ofKey: key, reversed: record.flags.reversesKeys, value: bytes)
            }
        }
    }

    // MARK: Overflow runs

    /// Reaches the run of an entry's value.
    ///
    /// - Returns: the value, or as much of it as is looked at; nil if it cannot be had.
    private mutating func visitOverflow(
        _ tree: VerifiedTree, _ leaf: Page, _ key: KeyBytes, _ pointer: OverflowPointer,
        _ counts: inout TreeCounts
    ) -> UnsafeRawBufferPointer? {
        let start = pointer.reference.number
        let pageCount = subject.meta.pageCount
        let pages = OverflowPointer.pageCount(
            length: min(pointer.length, UInt64(Format.valueSizeMax)),
            pageSize: subject.source.pageSize)
        counts.overflowPages += pages
        // Before the checksum: entries that share a run must not have it computed for each.
        if start >= Format.metaPageCount, start < pageCount, pages <= pageCount - start {
            for number in start..<(start + pages) {
                guard subject.reached.insert(number) else {
                    counts.losses += 1
                    problem(
                        .reference, tree, leaf, key: key, &counts,
                        "page \(number) (\(tree.description)) is also reachable from another place")
                    return nil
                }
                overflowPages += 1
            }
            subject.monitor.add(pages: pages)
        }
        do throws(DatabaseError) {
            guard subject.readsValues else {
                try subject.source.checkOverflowHeader(pointer)
                return UnsafeRawBufferPointer(start: nil, count: 0)
            }
            let bytes = try subject.source.overflow(pointer)
            subject.onPages?(PageRun(start: start, count: pages))
            return bytes
        } catch {
            counts.losses += 1
            counts.problems += 1
            report(
                VerifyProblem(
                    kind: VerifyProblem.Kind(error), place: tree.place, page: start,
                    databaseName: tree.databaseName, range: tree.range(of: key), entries: 1,
                    transaction: writer(of: pointer.reference),
                    message: "in \(tree.description): \(error.message)"))
            return nil
        }
    }
}
