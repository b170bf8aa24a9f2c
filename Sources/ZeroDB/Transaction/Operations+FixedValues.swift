import Glibc

/// Values of a fixed size as an array.
extension Operations {
    /// Copies all values of keys, each behind its key, without anything in between.
    ///
    /// - Parameters:
    ///   - reader: a list of keys. Those that are not there are passed over.
    ///   - valueSize: of each value.
    ///   - room: is filled if there is enough of it.
    /// - Returns: how many bytes there are.
    /// - Throws: `incompatible` where values have no fixed size; `badValueSize` where it is another.
    package func copyFixedValues(
        _ database: Int, ofKeysIn reader: inout PackedList.Reader, valueSize: Int,
        to room: UnsafeMutableRawBufferPointer
    ) throws(DatabaseError) -> Int {
        let record = try record(database)
        guard record.flags.contains(.fixedSizeDuplicates) else {
            throw DatabaseError(
                .incompatible,
                describe(database) + " was made without \(c: "ZDB_DUPFIXED"): its values have "
                    + "no fixed size")
        }
        guard valueSize > 0 else {
            throw DatabaseError(.badValueSize, "values of 0 bytes have no fixed size")
        }
        guard record.entries == 0 || Int(record.valueWidth) == valueSize else {
            throw DatabaseError(
                .badValueSize,
                "the values of \(describe(database)) have \(record.valueWidth) bytes, not "
                    + "\(UInt(bitPattern: valueSize))")
        }
        var cursor = CursorState(transaction: state)
        defer { cursor.deallocate() }
        cursor.begin(state, handle: 0, database: database)
        var used = 0
        for _ in 0..<reader.count {
            let key = try reader.string()
            guard try cursor.seek(key, exact: true) != nil else { continue }
            var values = try cursor.multiple(.fromCurrent)
            while let array = values?.value {
                let pairs = array.count / valueSize
                let size = pairs * (key.count + valueSize)
                if let target = room.baseAddress, size <= room.count - used {
                    Self.interleave(key, array, valueSize, pairs, target + used)
                }
                // Where there is no room any more, the rest is only counted.
                used += size
                values = try cursor.multiple(.next)
            }
        }
        return used
    }

    @inline(__always)
    private static func interleave(
        _ key: KeyBytes, _ array: UnsafeRawBufferPointer, _ width: Int, _ count: Int,
        _ target: UnsafeMutableRawPointer
    ) {
        guard let keyStart = key.baseAddress, let start = array.baseAddress else { return }
        var target = target
        for index in 0..<count {
            copyShort(keyStart, key.count, to: target)
            copyShort(start + index * width, width, to: target + key.count)
            target += key.count + width
        }
    }

    /// Copies few bytes, most often 8, without a call.
    @inline(__always)
    private static func copyShort(
        _ source: UnsafeRawPointer, _ count: Int, to target: UnsafeMutableRawPointer
    ) {
        guard count >= 8, count <= 16 else {
            memcpy(target, source, count)
            return
        }
        // The two may overlap.
        let last = source.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self)
        target.storeBytes(of: source.loadUnaligned(as: UInt64.self), as: UInt64.self)
        target.storeBytes(of: last, toByteOffset: count - 8, as: UInt64.self)
    }
}
