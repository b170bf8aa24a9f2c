/// An integer that a cursor remembers, for a search in a tree whose integers have another size by now: a
/// database that has been emptied takes the size of the first one put into it.
private struct ResizedInteger {
    /// In little-endian order.
    let bytes: UInt64
    let count: Int

    /// - Parameter width: the size in the tree, 4 or 8.
    init(_ number: UInt64, width: Int) {
        let isTooLarge = width == 4 && number > UInt64(UInt32.max)
        // Such a number is behind all of four bytes: as one of eight it begins as the largest of them does.
        bytes = (isTooLarge ? UInt64.max : number).littleEndian
        count = isTooLarge ? 8 : width
    }

    func copy(reversed: Bool, to destination: UnsafeMutableRawPointer) {
        withUnsafeBytes(of: bytes) {
            KeyOrder.copyKey(
                of: UnsafeRawBufferPointer(rebasing: $0[..<count]), reversed: reversed,
                to: destination)
        }
    }
}

/// Cursors whose entry has been deleted, and with it the last of the database: the integers there may have
/// another size when the cursor moves on. What orders them is the number.
extension CursorState {
    /// Makes the path lead to the key under the cursor.
    mutating func descendToKey(_ tree: TreeState) throws(DatabaseError) -> PagePosition {
        let source = transaction.pointee.source
        let width = Int(tree.record.keyWidth)
        guard tree.record.flags.contains(.integerKeys), keyLength != width,
            keyLength == 4 || keyLength == 8
        else {
            return try TreeRead.descend(
                source, tree, to: KeyBytes(start: key, count: keyLength), path: path)
        }
        let number = ResizedInteger(KeyOrder.bigEndian(key, width: keyLength), width: width)
        var room: UInt64 = 0
        let path = path
        let position = try withUnsafeMutablePointer(to: &room) { room throws(DatabaseError) in
            number.copy(reversed: true, to: room)
            return try TreeRead.descend(
                source, tree, to: KeyBytes(start: room, count: number.count), path: path)
        }
        if position.found {
            number.copy(reversed: true, to: key)
            keyLength = number.count
        }
        return position
    }

    /// Makes the position among the values of a key that of the value under the cursor, or of the first
    /// behind it.
    mutating func seekCurrentValue(_ tree: TreeState) throws(DatabaseError) -> Bool {
        let width = Int(tree.record.valueWidth)
        guard tree.record.flags.contains(.integerDuplicates), valueLength != width,
            valueLength == 4 || valueLength == 8
        else { return try seekValue(currentValue, tree) }
        let start = needExtra().duplicate
        let number = ResizedInteger(
            KeyOrder.littleEndian(start, width: valueLength), width: width)
        let isFound = try withUnsafeBytes(of: number.bytes) { bytes throws(DatabaseError) in
            try seekValue(UnsafeRawBufferPointer(rebasing: bytes[..<number.count]), tree)
        }
        if isFound {
            number.copy(reversed: false, to: start)
            valueLength = number.count
        }
        return isFound
    }
}
