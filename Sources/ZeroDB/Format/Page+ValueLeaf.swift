import Glibc

/// Leaves of a value tree. Their entries are the values of one key, and nothing else. Values lie in
/// the page whole and as they were given, so that a reader gets a pointer to them. Where they are
/// ordered from the last byte to the first, searches and branches use a value's *key*, its bytes
/// reversed.
///
/// A packed page holds values of one size as an array. The others have slots with the first four
/// bytes of the value's key, and the value's length and place; the whole value is in the heap.
extension Page {
    /// Bytes of a value of a packed page.
    @inline(__always)
    var width: Int { Int(base.littleEndian(Format.Header.width, as: UInt16.self)) }

    /// The value of entry `index`.
    ///
    /// - Returns: nil if it reaches beyond the page.
    @inline(__always)
    func duplicate(_ index: Int) -> UnsafeRawBufferPointer? {
        // Not by a width of 0, which a damaged packed page may have.
        if layout.contains(.packed) {
            return UnsafeRawBufferPointer(start: slot(index), count: width)
        }
        let value = ValueRun.value(
            index, leaf: UnsafeRawPointer(base), slots: UnsafeRawPointer(base + slotsOffset),
            width: 0, pageSize: size)
        return value.map { UnsafeRawBufferPointer(start: $0.start, count: $0.count) }
    }

    /// The values from entry `index` to the last, or the first to it: they lie one after the other
    /// in a packed page.
    func packedValues(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: slot(range.lowerBound), count: range.count * width)
    }

    /// As `copyKey`, of a value leaf.
    func copyDuplicateKey(_ index: Int, to destination: UnsafeMutableRawPointer) -> Int {
        guard let duplicate = duplicate(index), duplicate.count <= Format.keyBoundInPage(size)
        else {
            return -1
        }
        KeyOrder.copyKey(
            of: duplicate, reversed: layout.contains(.reversed), to: destination)
        return duplicate.count
    }

    /// The first value whose key is at or after one.
    func searchValueLeaf(_ key: KeyBytes) -> PagePosition {
        guard slotsAreInBounds else { return .badEntry }
        let layout = self.layout
        let isReversed = layout.contains(.reversed)
        let isPacked = layout.contains(.packed)
        if isPacked, isReversed, key.count == width, width == 8 || width == 4 {
            return searchIntegers(key)
        }
        let head = key.baseAddress.map { Self.head(of: $0, count: key.count) } ?? 0
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) >> 1
            if !isPacked {
                let probe = Self.head(slot(middle))
                if probe != head {
                    if probe < head { low = middle + 1 } else { high = middle }
                    continue
                }
            }
            guard let duplicate = duplicate(middle) else { return .badEntry }
            let order = KeyOrder.compare(duplicate, toKey: key, reversed: isReversed)
            if order == 0 { return PagePosition(index: middle, found: true) }
            if order < 0 { low = middle + 1 } else { high = middle }
        }
        return PagePosition(index: low, found: false)
    }

    /// The same of integers, without jumps that depend on them.
    private func searchIntegers(_ key: KeyBytes) -> PagePosition {
        guard let start = key.baseAddress else { return .badEntry }
        let duplicates = UnsafeRawPointer(base + slotsOffset)
        let count = self.count
        let width = self.width
        let wanted = KeyOrder.bigEndian(start, width: width)
        var low = 0
        var length = count
        while length > 1 {
            let half = length >> 1
            let probe = KeyOrder.littleEndian(duplicates + (low + half - 1) * width, width: width)
            low += probe < wanted ? half : 0
            length -= half
        }
        guard length == 1 else { return PagePosition(index: low, found: false) }
        let last = KeyOrder.littleEndian(duplicates + low * width, width: width)
        if last < wanted { return PagePosition(index: low + 1, found: false) }
        return PagePosition(index: low, found: last == wanted)
    }

    // MARK: Edits

    /// Bytes that a value takes, slot included.
    @inline(__always)
    static func valueLeafEntrySize(_ layout: PageLayout, length: Int) -> Int {
        layout.contains(.packed) ? length : leafSlotSize + length
    }

    func valueLeafEntrySize(_ index: Int) -> Int {
        layout.contains(.packed)
            ? width : Self.leafSlotSize + Self.suffixLength(UnsafeRawPointer(slot(index)))
    }

    /// Inserts a value, given by its key. The caller has checked `gap`.
    func insertDuplicate(at index: Int, key: KeyBytes) {
        let layout = self.layout
        assert(index <= count && gap >= Self.valueLeafEntrySize(layout, length: key.count))
        let isReversed = layout.contains(.reversed)
        if layout.contains(.packed) {
            let width = self.width
            let count = self.count
            let place = slot(index)
            if index < count { memmove(place + width, place, (count - index) * width) }
            KeyOrder.copyKey(of: key, reversed: isReversed, to: place)
            set(count + 1, at: Format.Header.count)
            return
        }
        let count = self.count
        let place = slot(index)
        if index < count {
            memmove(place + Self.leafSlotSize, place, (count - index) * Self.leafSlotSize)
        }
        let used = heapUsed + key.count
        let offset = size - used
        let head = key.baseAddress.map { Self.head(of: $0, count: key.count) } ?? 0
        place.storeLittleEndian(head, at: 0)
        place.storeLittleEndian(UInt16(truncatingIfNeeded: key.count > 0 ? offset : 0), at: 4)
        place.storeLittleEndian(UInt16(truncatingIfNeeded: key.count), at: 6)
        KeyOrder.copyKey(of: key, reversed: isReversed, to: base + offset)
        set(count + 1, at: Format.Header.count)
        set(used, at: Format.Header.heapUsed)
    }

    // MARK: Structure

    /// What is wrong with the entries of a value leaf, or nil.
    func valueLeafProblem() -> String? {
        guard prefixLength == 0 else { return "it has values and a prefix" }
        if layout.contains(.packed) {
            guard width > 0, width <= Format.keySizeMax(pageSize: size), heapUsed == 0 else {
                return "its values have \(width) bytes"
            }
            return nil
        }
        guard width == 0 else { return "its values have \(width) bytes and slots" }
        let heapStart = size - heapUsed
        for index in 0..<count {
            let slot = UnsafeRawPointer(slot(index))
            let length = Self.suffixLength(slot)
            let offset = Self.offset(slot)
            guard length <= Format.keySizeMax(pageSize: size),
                length == 0 ? offset == 0 : offset >= heapStart && offset + length <= size
            else { return "value \(index) reaches beyond the heap" }
            guard Self.head(slot) == headOfValue(offset, length) else {
                return "the head of value \(index) is of another one"
            }
        }
        return nil
    }

    /// The first four bytes of the key of a value in the heap, as a number.
    private func headOfValue(_ offset: Int, _ length: Int) -> UInt32 {
        guard layout.contains(.reversed) else { return Self.head(of: base + offset, count: length) }
        var head: UInt32 = 0
        for index in 0..<min(4, length) {
            let byte: UInt8 = base.littleEndian(offset + length - 1 - index)
            head |= UInt32(byte) << UInt32(24 - 8 * index)
        }
        return head
    }
}
