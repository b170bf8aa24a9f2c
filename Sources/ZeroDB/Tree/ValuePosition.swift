/// Which of a key's values.
struct ValuePosition {
    /// How the key's values are stored.
    enum Kind {
        /// Of no key: one that has been deleted, or that of a database without duplicates.
        case none
        /// The key's only value.
        case single
        case inlineValues
        case valueTree
    }

    var kind = Kind.none
    /// In `InlineValues`. Of an only value 0, or 1 for the place behind it.
    var index = 0
    /// Of `InlineValues`.
    var count = 0
    /// The value tree, in which a path says the place.
    var tree = TreeState()
}

/// The values of a key, where it may have several.
extension TreeRead {
    /// Learns how the values of an entry are stored.
    ///
    /// - Returns: the position of the first, except in a value tree, where a path has to say it.
    /// - Throws: `corrupted`.
    static func values(
        _ source: PageSource, _ leaf: Page, _ index: Int, _ record: borrowing TreeRecord
    ) throws(DatabaseError) -> ValuePosition {
        guard leaf.slotsAreInBounds, index >= 0, index < leaf.count, let field = leaf.value(index)
        else { throw source.badEntry(leaf) }
        var position = ValuePosition()
        switch field.kind {
        case .inline: position.kind = .single
        case .overflow:
            throw source.corrupted(
                leaf.number, "page", "a database with duplicates has a value in an overflow run")
        case .inlineValues:
            position.kind = .inlineValues
            position.count = try inlineValues(source, leaf, field, record).count
        case .valueTree:
            position.kind = .valueTree
            position.tree = ValueTree(at: field.bytes).state(in: copy record)
            guard position.tree.depth > 0 else { throw source.badEntry(leaf) }
        }
        return position
    }

    /// The inline values in a field.
    static func inlineValues(
        _ source: PageSource, _ leaf: Page, _ field: Page.ValueField,
        _ record: borrowing TreeRecord
    ) throws(DatabaseError) -> InlineValues {
        guard field.kind == .inlineValues,
            let values = InlineValues(
                UnsafeRawBufferPointer(start: field.bytes, count: field.count)),
            values.width == record.fixedValueSize
        else { throw source.badEntry(leaf) }
        return values
    }

    /// Moves a position to the first value of an entry at or after one.
    ///
    /// - Parameters:
    ///   - position: receives the position, which may be behind the last value.
    ///   - valueKey: room for the key of a value.
    ///   - path: receives the way to the value in a value tree.
    /// - Returns: whether it is that value.
    /// - Throws: `corrupted`.
    static func find(
        _ value: UnsafeRawBufferPointer, in leaf: Page, _ index: Int, _ source: PageSource,
        _ record: borrowing TreeRecord, _ position: inout ValuePosition,
        valueKey: UnsafeMutableRawPointer, path: Path
    ) throws(DatabaseError) -> Bool {
        position = try values(source, leaf, index, record)
        guard let field = leaf.value(index) else { throw source.badEntry(leaf) }
        let isReversed = record.flags.reversesValues
        switch position.kind {
        case .none, .single:
            let size = record.fixedValueSize
            guard size == 0 || field.count == size else { throw source.badEntry(leaf) }
            let order = KeyOrder.compare(
                UnsafeRawBufferPointer(start: field.bytes, count: field.count), value,
                reversed: isReversed)
            position.index = order < 0 ? 1 : 0
            return order == 0
        case .inlineValues:
            let found = try inlineValues(source, leaf, field, record)
                .search(value, reversed: isReversed)
            guard found.index >= 0 else { throw source.badEntry(leaf) }
            position.index = found.index
            return found.found
        case .valueTree:
            KeyOrder.copyKey(of: value, reversed: isReversed, to: valueKey)
            return try descend(
                source, position.tree, to: KeyBytes(start: valueKey, count: value.count),
                path: path
            ).found
        }
    }
}
