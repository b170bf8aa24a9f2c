import Glibc

/// The values of a key that has several, in the value field of its leaf entry.
///
/// ```
/// 0  count u16   values
/// 2  width u16   bytes of each if all have one size, else 0
/// 4  ends        if width is 0: for each value, where it ends (u16), from the first's beginning
///    values     in their order, one after the other, whole
/// ```
struct InlineValues {
    static let headerSize = 4

    let count: Int
    let width: Int
    private let ends: UnsafeRawPointer
    private let duplicates: UnsafeRawPointer
    /// Bytes of all values.
    private let size: Int

    /// - Returns: nil if the values do not fill the field exactly.
    init?(_ field: UnsafeRawBufferPointer) {
        guard let start = field.baseAddress, field.count >= Self.headerSize else { return nil }
        count = Int(start.littleEndian(0, as: UInt16.self))
        width = Int(start.littleEndian(2, as: UInt16.self))
        ends = start + Self.headerSize
        let table = width == 0 ? 2 * count : 0
        guard count > 0, Self.headerSize + table <= field.count else { return nil }
        duplicates = ends + table
        size = field.count - Self.headerSize - table
        if width > 0 {
            guard size == count * width else { return nil }
        } else {
            guard Int(ends.littleEndian(2 * (count - 1), as: UInt16.self)) == size else {
                return nil
            }
        }
    }

    /// - Returns: nil if the field is damaged.
    @inline(__always)
    func duplicate(_ index: Int) -> UnsafeRawBufferPointer? {
        if width > 0 {
            return UnsafeRawBufferPointer(start: duplicates + index * width, count: width)
        }
        let start = index == 0 ? 0 : Int(ends.littleEndian(2 * (index - 1), as: UInt16.self))
        let end = Int(ends.littleEndian(2 * index, as: UInt16.self))
        guard start <= end, end <= size else { return nil }
        return UnsafeRawBufferPointer(start: duplicates + start, count: end - start)
    }

    /// Whether every value lies in the field.
    var isPlausible: Bool {
        guard width == 0 else { return true }
        for index in 0..<count where duplicate(index) == nil { return false }
        return true
    }

    /// The first value at or after one.
    func search(_ wanted: UnsafeRawBufferPointer, reversed: Bool) -> PagePosition {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) >> 1
            guard let duplicate = duplicate(middle) else { return .badEntry }
            let order = KeyOrder.compare(duplicate, wanted, reversed: reversed)
            if order == 0 { return PagePosition(index: middle, found: true) }
            if order < 0 { low = middle + 1 } else { high = middle }
        }
        return PagePosition(index: low, found: false)
    }

    /// Values `range`, where all have one size.
    func packedValues(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: duplicates + range.lowerBound * width, count: range.count * width)
    }

    /// Them for a cursor that is on one, and hands out `key` with each.
    func run(from index: Int, key: UnsafeRawBufferPointer) -> ValueRun {
        ValueRun(
            ends: ends, base: duplicates, size: size, width: width, count: count, index: index,
            key: key)
    }

    // MARK: Making one

    /// Bytes of a field of so many values.
    @inline(__always)
    static func fieldSize(count: Int, bytes: Int, width: Int) -> Int {
        headerSize + (width == 0 ? 2 * count : 0) + bytes
    }

    /// Bytes of this one with a value of `length` bytes more.
    func fieldSize(adding length: Int) -> Int {
        Self.fieldSize(count: count + 1, bytes: size + length, width: width)
    }

    /// Writes a copy with a value more.
    ///
    /// - Parameter destination: room for `fieldSize(adding:)`; not these values' own bytes.
    /// - Returns: the bytes written.
    func copy(
        inserting duplicate: UnsafeRawBufferPointer, at index: Int,
        to destination: UnsafeMutableRawPointer
    ) -> Int {
        let start = self.start(index)
        let newCount = count + 1
        Self.storeHeader(count: newCount, width: width, to: destination)
        var place = destination + Self.headerSize
        if width == 0 {
            memcpy(place, ends, 2 * index)
            for old in index..<newCount {
                let end =
                    old == index
                    ? start : Int(ends.littleEndian(2 * (old - 1), as: UInt16.self))
                place.storeLittleEndian(
                    UInt16(truncatingIfNeeded: end + duplicate.count), at: 2 * old)
            }
            place += 2 * newCount
        }
        memcpy(place, duplicates, start)
        if let bytes = duplicate.baseAddress { memcpy(place + start, bytes, duplicate.count) }
        memcpy(place + start + duplicate.count, duplicates + start, size - start)
        return fieldSize(adding: duplicate.count)
    }

    /// Writes a copy without a value.
    ///
    /// - Returns: the bytes written.
    func copy(removing index: Int, to destination: UnsafeMutableRawPointer) -> Int {
        let start = self.start(index)
        let end = self.start(index + 1)
        let newCount = count - 1
        Self.storeHeader(count: newCount, width: width, to: destination)
        var place = destination + Self.headerSize
        if width == 0 {
            memcpy(place, ends, 2 * index)
            for old in (index + 1)..<max(count, index + 1) {
                let oldEnd = Int(ends.littleEndian(2 * old, as: UInt16.self))
                place.storeLittleEndian(
                    UInt16(truncatingIfNeeded: oldEnd - (end - start)), at: 2 * (old - 1))
            }
            place += 2 * newCount
        }
        memcpy(place, duplicates, start)
        memcpy(place + start, duplicates + end, size - end)
        return Self.fieldSize(count: newCount, bytes: size - (end - start), width: width)
    }

    /// Where a value begins; `index` may be `count`. Bounded by `size` whatever the table says.
    private func start(_ index: Int) -> Int {
        if width > 0 { return index * width }
        return index == 0
            ? 0 : min(size, Int(ends.littleEndian(2 * (index - 1), as: UInt16.self)))
    }

    /// Writes two values.
    ///
    /// - Returns: the bytes written.
    static func store(
        _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, width: Int,
        to destination: UnsafeMutableRawPointer
    ) -> Int {
        storeHeader(count: 2, width: width, to: destination)
        var place = destination + headerSize
        if width == 0 {
            place.storeLittleEndian(UInt16(truncatingIfNeeded: first.count), at: 0)
            place.storeLittleEndian(UInt16(truncatingIfNeeded: first.count + second.count), at: 2)
            place += 4
        }
        if let bytes = first.baseAddress { memcpy(place, bytes, first.count) }
        if let bytes = second.baseAddress { memcpy(place + first.count, bytes, second.count) }
        return fieldSize(count: 2, bytes: first.count + second.count, width: width)
    }

    private static func storeHeader(
        count: Int, width: Int, to destination: UnsafeMutableRawPointer
    ) {
        destination.storeLittleEndian(UInt16(truncatingIfNeeded: count), at: 0)
        destination.storeLittleEndian(UInt16(truncatingIfNeeded: width), at: 2)
    }

    /// Writes the values of a value leaf.
    ///
    /// - Returns: the bytes written; nil if a value is damaged.
    static func store(
        _ page: Page, width: Int, to destination: UnsafeMutableRawPointer
    ) -> Int? {
        let count = page.count
        storeHeader(count: count, width: width, to: destination)
        let table = destination + headerSize
        var place = table + (width == 0 ? 2 * count : 0)
        var bytes = 0
        for index in 0..<count {
            guard let duplicate = page.duplicate(index) else { return nil }
            if let start = duplicate.baseAddress { memcpy(place, start, duplicate.count) }
            place += duplicate.count
            bytes += duplicate.count
            if width == 0 {
                table.storeLittleEndian(UInt16(truncatingIfNeeded: bytes), at: 2 * index)
            }
        }
        return fieldSize(count: count, bytes: bytes, width: width)
    }
}
