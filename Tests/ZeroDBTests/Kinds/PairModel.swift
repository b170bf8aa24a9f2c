@testable import ZeroDB

/// What a database of some kind is, and how large its keys and values are.
struct DatabaseKind: Sendable, CustomStringConvertible {
    var flags: DatabaseFlags
    /// Bytes of a key, 0 if they differ.
    var keyWidth = 0
    /// Bytes of a value, 0 if they differ.
    var valueWidth = 0

    init(_ flags: DatabaseFlags = [], keyWidth: Int = 0, valueWidth: Int = 0) {
        self.flags = flags
        self.keyWidth = keyWidth
        self.valueWidth = valueWidth
    }

    var hasDuplicates: Bool { flags.contains(.duplicates) }
    var isCounted: Bool { flags.contains(.counted) }

    var description: String {
        flags.inWords + (keyWidth > 0 ? ", keys of \(keyWidth)" : "")
            + (valueWidth > 0 ? ", values of \(valueWidth)" : "")
    }

    /// Keys and values in every order, one value a key.
    static let single = [
        DatabaseKind(), DatabaseKind(.reverseKeys), DatabaseKind(.integerKeys, keyWidth: 4),
        DatabaseKind(.integerKeys, keyWidth: 8), DatabaseKind(.counted),
        DatabaseKind([.counted, .reverseKeys]),
        DatabaseKind([.counted, .integerKeys], keyWidth: 8),
    ]

    /// The same with several.
    static let several: [DatabaseKind] = {
        let fixed: DatabaseFlags = [.duplicates, .fixedSizeDuplicates]
        return [
            DatabaseKind(.duplicates),
            DatabaseKind([.duplicates, .reverseDuplicates, .reverseKeys]),
            DatabaseKind(fixed, valueWidth: 3),
            DatabaseKind(fixed, valueWidth: 200),
            DatabaseKind(
                fixed.union([.reverseDuplicates, .integerKeys]), keyWidth: 4, valueWidth: 9),
            DatabaseKind(fixed.union(.integerDuplicates), valueWidth: 4),
            DatabaseKind(
                fixed.union([.integerDuplicates, .integerKeys]), keyWidth: 8, valueWidth: 8),
        ]
    }()

    static let severalCounted = several.map {
        DatabaseKind($0.flags.union(.counted), keyWidth: $0.keyWidth, valueWidth: $0.valueWidth)
    }
}

/// How a database orders keys or values, told without the engine's code.
enum ModelOrder: Sendable {
    case bytes
    case reversedBytes
    case numbers

    static func ofKeys(_ flags: DatabaseFlags) -> Self {
        flags.contains(.integerKeys)
            ? .numbers : flags.contains(.reverseKeys) ? .reversedBytes : .bytes
    }

    static func ofValues(_ flags: DatabaseFlags) -> Self {
        flags.contains(.integerDuplicates)
            ? .numbers : flags.contains(.reverseDuplicates) ? .reversedBytes : .bytes
    }

    func compare(_ left: [UInt8], _ right: [UInt8]) -> Int {
        switch self {
        case .bytes: return keyOrder(left, right)
        case .reversedBytes:
            var (one, other) = (left.count - 1, right.count - 1)
            while one >= 0, other >= 0 {
                if left[one] != right[other] { return left[one] < right[other] ? -1 : 1 }
                one -= 1
                other -= 1
            }
            return left.count - right.count
        case .numbers:
            let (one, other) = (Self.number(left), Self.number(right))
            return one == other ? 0 : one < other ? -1 : 1
        }
    }

    static func number(_ bytes: [UInt8]) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    static func bytes(of number: UInt64, width: Int) -> [UInt8] {
        (0..<width).map { UInt8(truncatingIfNeeded: number >> (8 * UInt64($0))) }
    }
}

/// A sorted list of pairs of key and value: what a database of any kind should hold. A value type
/// whose copies share their unchanged chunks.
struct PairModel: Sendable {
    struct Pair: Sendable, Equatable {
        var key: [UInt8]
        var value: [UInt8]
    }

    let kind: DatabaseKind
    private let keyOrder: ModelOrder
    private let valueOrder: ModelOrder
    /// Sorted, none empty.
    private(set) var chunks: [[Pair]] = []
    private(set) var count = 0
    private(set) var keyCount = 0

    private static let chunkMax = 512

    init(_ kind: DatabaseKind) {
        self.kind = kind
        keyOrder = .ofKeys(kind.flags)
        valueOrder = .ofValues(kind.flags)
    }

    var isEmpty: Bool { count == 0 }
    var first: Pair? { chunks.first?.first }
    var last: Pair? { chunks.last?.last }

    // MARK: Search

    /// A pair by the number of those before it.
    subscript(rank: Int) -> Pair {
        let (chunk, offset) = place(rank)
        return chunks[chunk][offset]
    }

    func pair(at rank: Int) -> Pair? { rank >= 0 && rank < count ? self[rank] : nil }

    private func place(_ rank: Int) -> (chunk: Int, offset: Int) {
        var left = rank
        for (number, chunk) in chunks.enumerated() {
            if left < chunk.count { return (number, left) }
            left -= chunk.count
        }
        return (chunks.count, left)
    }

    func compareKeys(_ left: [UInt8], _ right: [UInt8]) -> Int { keyOrder.compare(left, right) }
    func compareValues(_ left: [UInt8], _ right: [UInt8]) -> Int {
        valueOrder.compare(left, right)
    }

    /// How many pairs are before one; without a value, before all of the key.
    func rank(_ key: [UInt8], _ value: [UInt8]? = nil) -> Int {
        partition { pair in
            let order = keyOrder.compare(pair.key, key)
            if order != 0 { return order < 0 }
            guard kind.hasDuplicates, let value else { return false }
            return valueOrder.compare(pair.value, value) < 0
        }
    }

    /// How many pairs there are up to the last of a key.
    func rank(after key: [UInt8]) -> Int {
        partition { keyOrder.compare($0.key, key) <= 0 }
    }

    /// How many pairs a condition holds for, which holds for the first ones.
    private func partition(_ isBefore: (Pair) -> Bool) -> Int {
        var low = 0
        var high = chunks.count
        while low < high {
            let middle = (low + high) / 2
            let chunk = chunks[middle]
            if isBefore(chunk[chunk.count - 1]) { low = middle + 1 } else { high = middle }
        }
        var rank = 0
        for chunk in chunks[..<low] { rank += chunk.count }
        guard low < chunks.count else { return rank }
        let chunk = chunks[low]
        var (first, last) = (0, chunk.count)
        while first < last {
            let middle = (first + last) / 2
            if isBefore(chunk[middle]) { first = middle + 1 } else { last = middle }
        }
        return rank + first
    }

    func contains(_ key: [UInt8]) -> Bool { pair(at: rank(key))?.key == key }

    /// The values of a key, in order.
    func values(of key: [UInt8]) -> [[UInt8]] {
        let first = rank(key)
        let end = kind.hasDuplicates ? rank(after: key) : contains(key) ? first + 1 : first
        return (first..<end).map { self[$0].value }
    }

    /// The rank of a pair, or without duplicates of a key; nil if it is not there.
    func find(_ key: [UInt8], _ value: [UInt8]) -> Int? {
        let rank = rank(key, value)
        guard let pair = pair(at: rank), pair.key == key,
            !kind.hasDuplicates || pair.value == value
        else { return nil }
        return rank
    }

    // MARK: Change

    /// Puts a pair; without duplicates in place of the key's value.
    mutating func put(_ key: [UInt8], _ value: [UInt8]) {
        if let rank = find(key, value) {
            let (chunk, offset) = place(rank)
            chunks[chunk][offset].value = value
            return
        }
        if !contains(key) { keyCount += 1 }
        let rank = rank(key, value)
        count += 1
        guard !chunks.isEmpty else {
            chunks = [[Pair(key: key, value: value)]]
            return
        }
        var (chunk, offset) = place(rank)
        if chunk == chunks.count {
            chunk -= 1
            offset = chunks[chunk].count
        }
        chunks[chunk].insert(Pair(key: key, value: value), at: offset)
        let size = chunks[chunk].count
        if size > Self.chunkMax {
            let right = Array(chunks[chunk][(size / 2)...])
            chunks[chunk].removeLast(size - size / 2)
            chunks.insert(right, at: chunk + 1)
        }
    }

    /// - Returns: whether it was there.
    mutating func delete(_ key: [UInt8], _ value: [UInt8]) -> Bool {
        guard let rank = find(key, value) else { return false }
        remove(rank..<(rank + 1))
        if !contains(key) { keyCount -= 1 }
        return true
    }

    /// - Returns: how many pairs there were.
    mutating func delete(_ key: [UInt8]) -> Int {
        let range = rank(key)..<rank(after: key)
        if !range.isEmpty { keyCount -= 1 }
        remove(range)
        return range.count
    }

    /// Deletes the pairs of keys from one to another, not included.
    ///
    /// - Returns: how many there were.
    mutating func deleteRange(from: [UInt8]?, to: [UInt8]?) -> Int {
        let range = rankRange(from: from, to: to)
        var keys = 0
        var previous: [UInt8]?
        for rank in range {
            let key = self[rank].key
            if key != previous { keys += 1 }
            previous = key
        }
        keyCount -= keys
        remove(range)
        return range.count
    }

    func rankRange(from: [UInt8]?, to: [UInt8]?) -> Range<Int> {
        let start = from.map { rank($0) } ?? 0
        let end = to.map { rank($0) } ?? count
        return start..<max(start, end)
    }

    private mutating func remove(_ range: Range<Int>) {
        var left = range.count
        var (chunk, offset) = place(range.lowerBound)
        while left > 0 {
            let here = min(left, chunks[chunk].count - offset)
            chunks[chunk].removeSubrange(offset..<(offset + here))
            left -= here
            count -= here
            if chunks[chunk].isEmpty { chunks.remove(at: chunk) } else { chunk += 1 }
            offset = 0
        }
    }
}
