@testable import ZeroDB

/// What a database should hold: its entries in order, one value a key, or with duplicates any
/// number of them.
///
/// A value type whose copies share their unchanged chunks, so that keeping the state of a snapshot
/// costs little. It has its orders from `ModelOrder` and shares no code with the engine.
struct ReferenceModel: Sendable {
    struct Entry: Sendable, Equatable {
        var key: [UInt8]
        var value: ModelValue
    }

    /// A place of an entry.
    struct Index: Comparable {
        var chunk: Int
        var offset: Int

        static func < (left: Index, right: Index) -> Bool {
            (left.chunk, left.offset) < (right.chunk, right.offset)
        }
    }

    private static let chunkMax = 256

    let type: DatabaseType
    private let keyOrder: ModelOrder
    private let valueOrder: ModelOrder
    /// Sorted, none empty.
    private var chunks: [[Entry]] = []
    /// Entries, each value of a key for itself.
    private(set) var count = 0
    private(set) var keyCount = 0
    /// Of all entries.
    private(set) var digest: UInt128 = 0

    init(_ type: DatabaseType = DatabaseType()) {
        self.type = type
        keyOrder = .ofKeys(type.flags)
        valueOrder = .ofValues(type.flags)
    }

    func compareKeys(_ left: [UInt8], _ right: [UInt8]) -> Int { keyOrder.compare(left, right) }

    func compareValues(_ left: ModelValue, _ right: ModelValue) -> Int {
        valueOrder.compare(left.bytes, right.bytes)
    }
}

// MARK: - A collection of entries

extension ReferenceModel: BidirectionalCollection {
    var startIndex: Index { Index(chunk: 0, offset: 0) }
    var endIndex: Index { Index(chunk: chunks.count, offset: 0) }

    subscript(index: Index) -> Entry { chunks[index.chunk][index.offset] }

    func index(after index: Index) -> Index {
        index.offset + 1 < chunks[index.chunk].count
            ? Index(chunk: index.chunk, offset: index.offset + 1)
            : Index(chunk: index.chunk + 1, offset: 0)
    }

    func index(before index: Index) -> Index {
        index.offset > 0
            ? Index(chunk: index.chunk, offset: index.offset - 1)
            : Index(chunk: index.chunk - 1, offset: chunks[index.chunk - 1].count - 1)
    }

    func distance(from start: Index, to end: Index) -> Int { rank(of: end) - rank(of: start) }

    /// The entry at an index; nil at the end.
    func entry(at index: Index) -> Entry? { index < endIndex ? self[index] : nil }

    /// Any entry.
    func pick(_ random: inout SeededGenerator) -> Entry? {
        isEmpty ? nil : self[rank: random.below(count)]
    }
}

// MARK: - Search

extension ReferenceModel {
    /// The first entry at or after a key.
    func lowerBound(_ key: [UInt8]) -> Index {
        partition { keyOrder.compare($0.key, key) < 0 }
    }

    /// The first entry at or after a pair; without duplicates, at or after its key.
    func lowerBound(_ key: [UInt8], _ value: ModelValue) -> Index {
        guard type.hasDuplicates else { return lowerBound(key) }
        return partition { entry in
            let order = keyOrder.compare(entry.key, key)
            return order < 0 || (order == 0 && compareValues(entry.value, value) < 0)
        }
    }

    /// The first entry after all of a key.
    func upperBound(_ key: [UInt8]) -> Index {
        partition { keyOrder.compare($0.key, key) <= 0 }
    }

    /// Where the entries end for which a condition holds, which holds for the first ones.
    private func partition(_ isBefore: (Entry) -> Bool) -> Index {
        var low = 0
        var high = chunks.count
        while low < high {
            let middle = (low + high) / 2
            let chunk = chunks[middle]
            if isBefore(chunk[chunk.count - 1]) { low = middle + 1 } else { high = middle }
        }
        guard low < chunks.count else { return endIndex }
        let chunk = chunks[low]
        var (first, last) = (0, chunk.count)
        while first < last {
            let middle = (first + last) / 2
            if isBefore(chunk[middle]) { first = middle + 1 } else { last = middle }
        }
        return Index(chunk: low, offset: first)
    }

    /// A pair, or without duplicates a key; nil if it is not there.
    func find(_ key: [UInt8], _ value: ModelValue) -> Index? {
        let index = lowerBound(key, value)
        guard let entry = entry(at: index), entry.key == key,
            !type.hasDuplicates || compareValues(entry.value, value) == 0
        else { return nil }
        return index
    }

    func contains(_ key: [UInt8]) -> Bool { value(for: key) != nil }

    /// The value of a key, or the first of them.
    func value(for key: [UInt8]) -> ModelValue? {
        entry(atOrAfter: key).flatMap { $0.key == key ? $0.value : nil }
    }

    /// The values of a key, in order.
    func values(of key: [UInt8]) -> [ModelValue] { self[range(of: key)].map(\.value) }

    /// The entries of a key.
    func range(of key: [UInt8]) -> Range<Index> { lowerBound(key)..<upperBound(key) }

    /// The entries of the keys from one to another, not included; nil is an end of the database.
    func range(from: [UInt8]?, to: [UInt8]?) -> Range<Index> {
        let start = from.map { lowerBound($0) } ?? startIndex
        let end = to.map { lowerBound($0) } ?? endIndex
        return start..<Swift.max(start, end)
    }

    func entry(atOrAfter key: [UInt8]) -> Entry? { entry(at: lowerBound(key)) }

    /// The entry after one, which may have been deleted.
    func entry(after other: Entry) -> Entry? {
        let index = find(other.key, other.value).map { self.index(after: $0) }
        return entry(at: index ?? lowerBound(other.key, other.value))
    }

    /// The entry before one, which may have been deleted.
    func entry(before other: Entry) -> Entry? {
        entry(before: lowerBound(other.key, other.value))
    }

    /// The entry before an index; nil at the start.
    func entry(before index: Index) -> Entry? {
        index > startIndex ? self[self.index(before: index)] : nil
    }
}

// MARK: - Ranks

extension ReferenceModel {
    /// How many entries are before an index.
    func rank(of index: Index) -> Int {
        chunks[..<index.chunk].reduce(index.offset) { $0 + $1.count }
    }

    /// How many entries are before those of a key.
    func rank(_ key: [UInt8]) -> Int { rank(of: lowerBound(key)) }

    /// The entry that so many are before.
    subscript(rank rank: Int) -> Entry { self[index(ofRank: rank)] }

    func entry(atRank rank: Int) -> Entry? { rank < count ? self[rank: rank] : nil }

    /// - Precondition: `rank` is from 0 to the count of entries.
    private func index(ofRank rank: Int) -> Index {
        var left = rank
        for (number, chunk) in chunks.enumerated() {
            if left < chunk.count { return Index(chunk: number, offset: left) }
            left -= chunk.count
        }
        return endIndex
    }
}

// MARK: - Changes

extension ReferenceModel {
    /// Puts a pair; without duplicates in place of the key's value.
    mutating func put(_ key: [UInt8], _ value: ModelValue) {
        digest &+= ModelDigest.pair(key, value.bytes)
        if let index = find(key, value) {
            digest &-= ModelDigest.pair(key, self[index].value.bytes)
            chunks[index.chunk][index.offset].value = value
            return
        }
        let index = lowerBound(key, value)
        if !isBeside(key, index) { keyCount += 1 }
        count += 1
        insert(Entry(key: key, value: value), at: index)
    }

    private mutating func insert(_ entry: Entry, at index: Index) {
        guard !chunks.isEmpty else {
            chunks = [[entry]]
            return
        }
        let isAtEnd = index == endIndex
        let chunk = isAtEnd ? chunks.count - 1 : index.chunk
        chunks[chunk].insert(entry, at: isAtEnd ? chunks[chunk].count : index.offset)
        let size = chunks[chunk].count
        if size > Self.chunkMax {
            let right = Array(chunks[chunk][(size / 2)...])
            chunks[chunk].removeLast(size - size / 2)
            chunks.insert(right, at: chunk + 1)
        }
    }

    /// Whether the entry at an index or the one before it is one of a key.
    private func isBeside(_ key: [UInt8], _ index: Index) -> Bool {
        entry(at: index)?.key == key || entry(before: index)?.key == key
    }

    /// Deletes a pair, or without duplicates a key.
    ///
    /// - Returns: whether it was there.
    @discardableResult
    mutating func delete(_ key: [UInt8], _ value: ModelValue) -> Bool {
        guard let index = find(key, value) else { return false }
        remove(index..<self.index(after: index))
        if !contains(key) { keyCount -= 1 }
        return true
    }

    /// Deletes a key with all its values.
    ///
    /// - Returns: whether it was there.
    @discardableResult
    mutating func delete(_ key: [UInt8]) -> Bool {
        let range = range(of: key)
        guard !range.isEmpty else { return false }
        keyCount -= 1
        remove(range)
        return true
    }

    /// Deletes the entries of the keys from one to another, not included.
    ///
    /// - Returns: how many there were.
    @discardableResult
    mutating func deleteRange(from: [UInt8]?, to: [UInt8]?) -> Int {
        let range = range(from: from, to: to)
        var previous: [UInt8]?
        for entry in self[range] where entry.key != previous {
            keyCount -= 1
            previous = entry.key
        }
        let before = count
        remove(range)
        return before - count
    }

    mutating func removeAll() { self = ReferenceModel(type) }

    private mutating func remove(_ range: Range<Index>) {
        var left = distance(from: range.lowerBound, to: range.upperBound)
        var (chunk, offset) = (range.lowerBound.chunk, range.lowerBound.offset)
        count -= left
        while left > 0 {
            let here = Swift.min(left, chunks[chunk].count - offset)
            for entry in chunks[chunk][offset..<(offset + here)] {
                digest &-= ModelDigest.pair(entry.key, entry.value.bytes)
            }
            chunks[chunk].removeSubrange(offset..<(offset + here))
            left -= here
            if chunks[chunk].isEmpty { chunks.remove(at: chunk) } else { chunk += 1 }
            offset = 0
        }
    }
}
