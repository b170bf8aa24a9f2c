/// What a file knows of a tree (`MDB_db`): a database, or the values of a key.
struct LMDBTree: Equatable {
    /// Bytes of a value where all have one size, in a tree of values; of a page, in that of free pages.
    var pad: UInt32
    var flags: UInt16
    var depth: Int
    var entries: UInt64
    var root: UInt64

    /// - Returns: nil if the bytes end before it.
    init?(_ bytes: LMDBBytes, at offset: Int, _ layout: LMDBLayout) {
        let word = layout.word
        guard let pad = bytes.long(at: offset), let flags = bytes.short(at: offset + 4),
            let depth = bytes.short(at: offset + 6),
            let entries = bytes.number(at: offset + 8 + 3 * word, size: word),
            let root = bytes.number(at: offset + 8 + 4 * word, size: word)
        else { return nil }
        self.pad = pad
        self.flags = flags
        self.depth = Int(depth)
        self.entries = entries
        self.root = root
    }

    /// Bits of `flags`, as in `lmdb.h`.
    enum Flag {
        static let reverseKeys: UInt16 = 0x02
        static let duplicates: UInt16 = 0x04
        static let integerKeys: UInt16 = 0x08
        static let fixedSize: UInt16 = 0x10
        static let integerDuplicates: UInt16 = 0x20
        static let reverseDuplicates: UInt16 = 0x40
        static let all: UInt16 = 0x7e
    }

    /// The most levels of a tree (CURSOR_STACK).
    static let depthMax = 32
}

/// How the keys of a tree are ordered.
enum LMDBOrder {
    case bytes
    /// From the last byte to the first.
    case reversed
    /// As little-endian numbers.
    case numbers

    static func ofKeys(_ flags: UInt16) -> LMDBOrder {
        if flags & LMDBTree.Flag.reverseKeys != 0 { return .reversed }
        return flags & LMDBTree.Flag.integerKeys != 0 ? .numbers : .bytes
    }

    static func ofValues(_ flags: UInt16) -> LMDBOrder {
        if flags & LMDBTree.Flag.integerDuplicates != 0 { return .numbers }
        return flags & LMDBTree.Flag.reverseDuplicates != 0 ? .reversed : .bytes
    }

    func isAscending(_ left: ArraySlice<UInt8>, _ right: ArraySlice<UInt8>) -> Bool {
        switch self {
        case .bytes:
            for (one, other) in zip(left, right) where one != other { return one < other }
        case .reversed, .numbers:
            for (one, other) in zip(left.reversed(), right.reversed()) where one != other {
                return one < other
            }
        }
        return left.count < right.count
    }
}
