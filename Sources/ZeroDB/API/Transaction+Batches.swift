import CZeroDBPlatform

/// A range of keys: from one, included, to another, not included.
///
/// Without a first key it begins at the beginning, without a last one it goes to the end. One
/// whose end is not after its beginning is empty.
public struct KeyRange: Sendable, Hashable {
    /// The first key; nil for the beginning of the database.
    public var from: [UInt8]?
    /// The key after the last; nil for the end of the database.
    public var to: [UInt8]?

    /// All keys.
    public static let all = KeyRange()

    /// From a key or the beginning to before a key or to the end.
    public init(from: [UInt8]? = nil, to: [UInt8]? = nil) {
        self.from = from
        self.to = to
    }

    /// From a key to before another.
    public init(from: some ByteSource, to: some ByteSource) {
        self.from = from.withBytes { Array($0) }
        self.to = to.withBytes { Array($0) }
    }

    /// From a key to the end.
    public init(from: some ByteSource) { self.from = from.withBytes { Array($0) } }

    /// From the beginning to before a key.
    public init(to: some ByteSource) { self.to = to.withBytes { Array($0) } }

    func withEnds<Result>(
        _ body: (KeyBytes?, KeyBytes?) throws(DatabaseError) -> Result
    ) throws(DatabaseError) -> Result {
        let middle = from?.count ?? 0
        return try ((from ?? []) + (to ?? [])).withBytes { bytes throws(DatabaseError) in
            try body(
                from == nil ? nil : KeyBytes(rebasing: bytes[..<middle]),
                to == nil ? nil : KeyBytes(rebasing: bytes[middle...]))
        }
    }
}

extension Transaction where Self: ~Copyable {
    /// Copies of the values of many keys, in their order; nil for a key that is not there. Their
    /// lookups wait for memory together: faster than one after another.
    ///
    /// - Throws: as `value(for:in:)`, for the first key that cannot be looked up.
    /// - Complexity: a descent of the tree a key; the copies.
    public func get(
        _ keys: some Collection<some ByteSource>, in database: Database = .main
    ) throws(DatabaseError) -> [[UInt8]?] {
        var bytes: [UInt8] = []
        var ends: [Int] = []
        ends.reserveCapacity(keys.count)
        for key in keys {
            key.withBytes { bytes.append(contentsOf: $0) }
            ends.append(bytes.count)
        }
        let values = UnsafeMutablePointer<zp_bytes>.allocate(capacity: max(1, 2 * ends.count))
        defer { values.deallocate() }
        let pointers = values + ends.count
        return try bytes.withBytes { bytes throws(DatabaseError) in
            var start = 0
            for (index, end) in ends.enumerated() {
                let key = KeyBytes(rebasing: bytes[start..<end])
                (pointers + index).initialize(to: zp_bytes(data: key.baseAddress, size: key.count))
                start = end
            }
            _ = try access.calling { operations throws(DatabaseError) in
                try operations.getMany(
                    database.handle, keys: pointers, values: values, count: ends.count)
            }
            var copies: [[UInt8]?] = []
            copies.reserveCapacity(ends.count)
            for index in 0..<ends.count {
                let value = values[index]
                copies.append(
                    value.data.map { Array(UnsafeRawBufferPointer(start: $0, count: value.size)) })
            }
            return copies
        }
    }

    /// Counts the entries of a range.
    ///
    /// - Throws: `badValueSize` for an end that can be no key; `badDatabase`, `badTransaction`,
    ///   `corrupted`.
    /// - Complexity: O(1) for all entries and O(log n) in a counted database, otherwise a pass over
    ///   the range's leaves.
    public func count(
        _ range: KeyRange = .all, in database: Database = .main
    ) throws(DatabaseError) -> UInt64 {
        try range.withEnds { from, to throws(DatabaseError) in
            try access.calling { operations throws(DatabaseError) in
                try operations.countRange(database.handle, from: from, to: to)
            }
        }
    }

    /// Orders two keys as a database does.
    ///
    /// - Returns: a number below, equal to or above 0.
    /// - Throws: `badValueSize` for a key that the database could not hold, such as an integer of
    ///   another size than its others, or for two that it could not hold together; `badDatabase`,
    ///   `badTransaction`.
    public func compareKeys(
        _ left: some ByteSource, _ right: some ByteSource, in database: Database = .main
    ) throws(DatabaseError) -> Int {
        try withBytes(left, right) { left, right throws(DatabaseError) in
            try access.calling { operations throws(DatabaseError) in
                try operations.compareKeys(database.handle, left, right)
            }
        }
    }
}

extension WriteTransaction {
    /// Deletes the entries of a range.
    ///
    /// - Returns: how many there were.
    /// - Throws: `badValueSize` for an end that can be no key; otherwise as `put(_:_:in:)`.
    /// - Complexity: O(log n) a leaf of the range; leaves that go whole are freed, not copied.
    @discardableResult
    public mutating func delete(
        _ range: KeyRange, in database: Database = .main
    ) throws(DatabaseError) -> UInt64 {
        try range.withEnds { from, to throws(DatabaseError) in
            try access.calling { operations throws(DatabaseError) in
                try operations.deleteRange(database.handle, from: from, to: to)
            }
        }
    }

    /// Puts a key, in place of an older value, and lets a body write its value where it will lie.
    ///
    /// - Parameters:
    ///   - key: the key.
    ///   - count: bytes of the value; zeros where the body writes nothing.
    ///   - database: where to.
    ///   - fill: writes the value. If it throws, the entry stays, with what was written.
    /// - Throws: as `put(_:_:in:)`, and what the body throws; `incompatible` in a database with
    ///   duplicates.
    public mutating func put(
        _ key: some ByteSource, reserving count: Int, in database: Database = .main,
        _ fill: (inout MutableRawSpan) throws -> Void
    ) throws {
        let result = try key.withBytes { key throws(DatabaseError) in
            try access.calling { operations throws(DatabaseError) in
                try operations.reserve(
                    database.handle, key, count: max(0, count), mode: .overwrite)
            }
        }
        guard case .space(let space) = result else { return }
        var span = unsafe MutableRawSpan(_unsafeBytes: space)
        try fill(&span)
    }
}

extension Cursor {
    /// Moves on over several entries, those after the current one or from the first, and leaves the
    /// cursor on the last of them. Fewer calls than moving one by one.
    ///
    /// - Parameters:
    ///   - count: how many at most.
    ///   - body: gets each, in order. If it throws, the cursor may be some entries further.
    /// - Returns: how many there were; 0 at the end.
    /// - Throws: as `next()`, and what the body throws.
    @discardableResult
    public mutating func forNext(
        _ count: Int, _ body: (borrowing Entry) throws -> Void
    ) throws -> Int {
        let room = min(max(count, 0), 256)
        let keys = UnsafeMutablePointer<zp_bytes>.allocate(capacity: 2 * max(room, 1))
        defer { keys.deallocate() }
        let values = keys + room
        var done = 0
        while done < count {
            let found = try nextMany(keys: keys, values: values, capacity: min(room, count - done))
            guard found > 0 else { break }
            for index in 0..<found {
                try body(
                    Entry(
                        CursorState.Entry(
                            key: KeyBytes(start: keys[index].data, count: keys[index].size),
                            value: UnsafeRawBufferPointer(
                                start: values[index].data, count: values[index].size))))
            }
            done += found
        }
        return done
    }
}
