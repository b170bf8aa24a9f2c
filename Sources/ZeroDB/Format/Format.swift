/// The constants of format version 1; `docs/FORMAT.md` says the same in prose.
enum Format {
    static let version: UInt32 = 1
    static let magic: UInt64 = 0x0a42_444f_5245_5a89  // "\x89ZERODB\n" in little-endian

    static let pageSizeMin = 4096
    static let pageSizeMax = 65536
    static let pageSizeDefault = 4096

    /// The two meta pages are numbers 0 and 1.
    static let metaPageCount: UInt64 = 2

    /// Levels of a tree, the leaves' included. A branch that a split makes has at least 2 children
    /// even with the longest keys.
    static let depthMax = 32

    /// Transaction ids and positions in the log are below.
    static let idLimit: UInt64 = 1 << 62

    static let valueSizeMax = 1 << 31
    static let databaseNameSizeMax = 511

    static func isValidPageSize(_ size: Int) -> Bool {
        size >= pageSizeMin && size <= pageSizeMax && size & (size - 1) == 0
    }

    /// Largest key in bytes. Every branch has room for two separators of this size, which is what
    /// splits rest on (docs/internals/trees.md).
    static func keySizeMax(pageSize: Int) -> Int { pageSize / 2 - 64 }

    /// Bytes of memory for any key that a page can hold, and for what copying one may write behind it.
    static func keyBufferSize(pageSize: Int) -> Int { keyBoundInPage(pageSize) + 16 }

    /// A bound that is at least the largest key's and cheap: readers hold what a page says against it.
    @inline(__always)
    static func keyBoundInPage(_ pageSize: Int) -> Int { pageSize >> 1 }

    /// A leaf entry of more bytes than this, slot included, has its value in an overflow run.
    ///
    /// Just under half a page, so that a page holds two such entries.
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

/// What a leaf entry's value field holds. The top bit of the slot's key field is set if that is not
/// the value itself; then the top two bits of the value's length say what it is.
enum ValueKind: UInt16 {
    /// The value itself.
    case inline = 0
    /// The reference (8 bytes) and length (8 bytes) of an overflow run.
    case overflow = 1
    /// Several values of one key: a `InlineValues`.
    case inlineValues = 2
    /// Many values of one key: a `ValueTree`.
    case valueTree = 3

    /// The top bit of a slot's key field: the value is not inline.
    static var indirectBit: UInt16 { 0x8000 }
    /// The same of the length of a value that is not inline: it leads to pages of its own.
    static var pagesBit: UInt16 { 0x8000 }
    /// With `pagesBit`: to those of a value tree.
    static var treeBit: UInt16 { 0x4000 }

    /// The kind in the length of a value that is not inline: the two top bits are one.
    @inline(__always)
    init(ofLengthField field: UInt16) {
        guard field & Self.pagesBit != 0 else {
            self = .inlineValues
            return
        }
        self = field & Self.treeBit != 0 ? .valueTree : .overflow
    }

    /// Bits of the length of a value that is not inline.
    @inline(__always)
    var lengthMask: UInt16 {
        self == .inlineValues ? ~Self.pagesBit : ~(Self.pagesBit | Self.treeBit)
    }

    /// A value's length with its kind.
    @inline(__always)
    func lengthField(_ length: Int) -> UInt16 {
        let length = UInt16(truncatingIfNeeded: length)
        switch self {
        case .inline, .inlineValues: return length
        case .overflow: return length | Self.pagesBit
        case .valueTree: return length | Self.pagesBit | Self.treeBit
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

    @inline(__always)
    static var keyLengthMask: UInt16 { ValueRun.Slot.lengthMask }
}
