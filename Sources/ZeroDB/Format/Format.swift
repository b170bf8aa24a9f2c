/// The constants of format version 1; `docs/FORMAT.md` says the same in prose.
enum Format {
    static let version: UInt32 = 1
    static let magic: UInt64 = 0x0a42_444f_5245_5a89  // "\x89ZERODB\n" in little-endian

    static let pageSizeMin = 4096
    static let pageSizeMax = 65536
    static let pageSizeDefault = 4096
    static let maxSizeMin: UInt64 = 1 << 20
    static let maxSizeDefault: UInt64 = 1 << 40

    /// The two meta pages are numbers 0 and 1.
    static let metaPageCount: UInt64 = 2

    /// Levels of a tree, the leaves' included. Branches of 4 KiB pages have at least 3 children
    /// even with the longest keys, so 32 levels hold more than 2^47 pages.
    static let depthMax = 32

    /// Transaction ids and positions in the log are below.
    static let idLimit: UInt64 = 1 << 62

    static let valueSizeMax = 1 << 31
    static let databaseNameSizeMax = 511

    static func isValidPageSize(_ size: Int) -> Bool {
        size >= pageSizeMin && size <= pageSizeMax && size & (size - 1) == 0
    }

    /// Largest key in bytes.
    static func keySizeMax(pageSize: Int) -> Int { pageSize / 4 - 8 }

    /// Bytes of memory for any key that a page can hold, and for what copying one may write behind it.
    static func keyBufferSize(pageSize: Int) -> Int { pageSize / 4 + 16 }

    /// A leaf entry of more bytes than this, slot included, has its value in an overflow run.
    ///
    /// Just under half a page: two such entries and a third can always be divided between two
    /// pages.
    static func inlineEntrySizeMax(pageSize: Int) -> Int { (pageSize - Page.headerSize) / 2 - 8 }

    /// Offsets in the header that begins every page.
    enum Header {
        static let checksum = 0  // u64
        static let number = 8  // u64
        static let transaction = 16  // u64
        static let kind = 24  // u8
        static let level = 25  // u8
        static let flags = 26  // u16
        static let count = 28  // u16
        static let prefixLength = 30  // u16
        static let heapUsed = 32  // u16
        static let heapDead = 34  // u16
        /// Bytes of a value, in packed value leaves; else zero.
        static let width = 36  // u16
        // 38: u16, zero
    }

    /// Offsets in the header of an overflow run, where they differ.
    enum OverflowHeader {
        /// How the value is stored: 0, as it was given. Others, such as compressed, are to come.
        static let encoding = 26  // u16
        static let pageCount = 28  // u32
        static let length = 32  // u64
    }
}

/// What a page is for.
enum PageKind: UInt8 {
    case branch = 1
    case leaf = 2
    case overflow = 3
    case meta = 4
}

/// How the entries of a branch or leaf are laid out: its header's flags. None for plain leaves and
/// branches.
struct PageLayout: OptionSet {
    let rawValue: UInt16

    @inline(__always)
    init(rawValue: UInt16) { self.rawValue = rawValue }

    /// A leaf of a value tree: its entries are the values of one key, whole and as given.
    static let valueLeaf = PageLayout(rawValue: 1)
    /// With `values`: all have one size and lie in an array in place of slots and heap.
    static let packed = PageLayout(rawValue: 2)
    /// With `values`: ordered by their bytes from the last to the first.
    static let reversed = PageLayout(rawValue: 4)
    /// A branch whose entries say how many entries are below them.
    static let counted = PageLayout(rawValue: 8)

    /// Whether a page of this kind can have it.
    func isPossible(isLeaf: Bool) -> Bool {
        guard isLeaf else { return isEmpty || self == .counted }
        return isEmpty || (contains(.valueLeaf) && !contains(.counted) && rawValue < 8)
    }
}

/// What a leaf entry's value field holds; the top two bits of the slot's key field.
enum ValueKind: UInt16 {
    /// The value itself.
    case inline = 0
    /// The reference (8 bytes) and length (8 bytes) of an overflow run.
    case overflow = 1
    /// Several values of one key: a `InlineValues`.
    case inlineValues = 2
    /// Many values of one key: a `ValueTree`.
    case valueTree = 3

    /// The kind in a slot's key field: every two bits are one.
    @inline(__always)
    init(ofKeyField field: UInt16) {
        switch field >> Self.shift {
        case Self.overflow.rawValue: self = .overflow
        case Self.inlineValues.rawValue: self = .inlineValues
        case Self.valueTree.rawValue: self = .valueTree
        default: self = .inline
        }
    }

    /// Bytes that a value field of the kind has at least.
    var sizeMin: Int {
        switch self {
        case .inline: 0
        case .overflow: OverflowPointer.size
        case .inlineValues: InlineValues.headerSize
        case .valueTree: ValueTree.size
        }
    }

    static let shift: UInt16 = 14
    @inline(__always)
    static var keyLengthMask: UInt16 { ValueRun.Slot.lengthMask }
}
