import Glibc

/// Orders two keys by their bytes, a prefix before what it begins: what the engine promises.
func keyOrder(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
    let common = min(left.count, right.count)
    if common > 0, let leftStart = left.baseAddress, let rightStart = right.baseAddress {
        let order = memcmp(leftStart, rightStart, common)
        if order != 0 { return Int(order) }
    }
    return left.count - right.count
}

func keyOrder(_ left: [UInt8], _ right: [UInt8]) -> Int {
    left.withUnsafeBytes { left in right.withUnsafeBytes { keyOrder(left, $0) } }
}

/// A key for a message: as text if it is, and not all of it if it is long.
func show(_ key: [UInt8]?) -> String {
    guard let key else { return "nothing" }
    let isText = key.allSatisfy { $0 >= 0x20 && $0 < 0x7f }
    let start = key.prefix(40)
    let text = isText ? "\"\(String(decoding: start, as: UTF8.self))\"" : "\(start)"
    return key.count > 40 ? "\(text)… (\(key.count) bytes)" : text
}

/// A sorted dictionary: what a database should hold. A value type whose copies share their
/// unchanged chunks, so that keeping the state of a snapshot costs little.
struct SortedModel: Sendable {
    struct Entry: Sendable {
        var key: [UInt8]
        var value: ValueRecipe
    }

    /// A place of an entry.
    struct Index: Equatable {
        var chunk: Int
        var offset: Int
    }

    private static let chunkMax = 256

    /// Sorted, none empty.
    private(set) var chunks: [[Entry]] = []
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    subscript(index: Index) -> Entry { chunks[index.chunk][index.offset] }

    // MARK: Search

    /// The first entry at or after a key, and whether it is the key. nil at the end.
    func search(_ key: [UInt8]) -> (index: Index?, found: Bool) {
        var low = 0
        var high = chunks.count
        while low < high {
            let middle = (low + high) / 2
            let chunk = chunks[middle]
            if keyOrder(chunk[chunk.count - 1].key, key) < 0 {
                low = middle + 1
            } else {
                high = middle
            }
        }
        guard low < chunks.count else { return (nil, false) }
        let chunk = chunks[low]
        var first = 0
        var last = chunk.count
        while first < last {
            let middle = (first + last) / 2
            if keyOrder(chunk[middle].key, key) < 0 { first = middle + 1 } else { last = middle }
        }
        return (Index(chunk: low, offset: first), keyOrder(chunk[first].key, key) == 0)
    }

    func value(for key: [UInt8]) -> ValueRecipe? {
        let (index, found) = search(key)
        guard found, let index else { return nil }
        return self[index].value
    }

    func contains(_ key: [UInt8]) -> Bool { value(for: key) != nil }

    func entry(atOrAfter key: [UInt8]) -> Entry? { search(key).index.map { self[$0] } }

    func entry(after key: [UInt8]) -> Entry? {
        let (index, found) = search(key)
        guard let index else { return nil }
        return found ? next(index).map { self[$0] } : self[index]
    }

    func entry(before key: [UInt8]) -> Entry? {
        guard let index = search(key).index else { return last }
        return previous(index).map { self[$0] }
    }

    var first: Entry? { chunks.first?.first }
    var last: Entry? { chunks.last?.last }

    var firstIndex: Index? { isEmpty ? nil : Index(chunk: 0, offset: 0) }

    var lastIndex: Index? {
        chunks.last.map { Index(chunk: chunks.count - 1, offset: $0.count - 1) }
    }

    func next(_ index: Index) -> Index? {
        if index.offset + 1 < chunks[index.chunk].count {
            return Index(chunk: index.chunk, offset: index.offset + 1)
        }
        guard index.chunk + 1 < chunks.count else { return nil }
        return Index(chunk: index.chunk + 1, offset: 0)
    }

    func previous(_ index: Index) -> Index? {
        if index.offset > 0 { return Index(chunk: index.chunk, offset: index.offset - 1) }
        guard index.chunk > 0 else { return nil }
        return Index(chunk: index.chunk - 1, offset: chunks[index.chunk - 1].count - 1)
    }

    /// Any entry.
    func pick(_ random: inout SeededGenerator) -> Entry? {
        guard count > 0 else { return nil }
        let chunk = chunks[random.below(chunks.count)]
        return chunk[random.below(chunk.count)]
    }

    // MARK: Change

    mutating func put(_ key: [UInt8], _ value: ValueRecipe) {
        let (index, found) = search(key)
        if found, let index {
            chunks[index.chunk][index.offset].value = value
            return
        }
        count += 1
        let entry = Entry(key: key, value: value)
        guard !chunks.isEmpty else {
            chunks = [[entry]]
            return
        }
        let chunk = index?.chunk ?? chunks.count - 1
        let offset = index?.offset ?? chunks[chunk].count
        chunks[chunk].insert(entry, at: offset)
        let size = chunks[chunk].count
        if size > Self.chunkMax {
            let right = Array(chunks[chunk][(size / 2)...])
            chunks[chunk].removeLast(size - size / 2)
            chunks.insert(right, at: chunk + 1)
        }
    }

    /// - Returns: whether it was there.
    mutating func delete(_ key: [UInt8]) -> Bool {
        let (index, found) = search(key)
        guard found, let index else { return false }
        chunks[index.chunk].remove(at: index.offset)
        if chunks[index.chunk].isEmpty { chunks.remove(at: index.chunk) }
        count -= 1
        return true
    }
}
