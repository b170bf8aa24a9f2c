import Glibc

/// One consistent state of an environment: what a meta page records.
///
/// A meta page holds its record twice, at offset 0 and at half the page, so that one damaged
/// sector neither loses the state nor passes for a write that was cut off. Behind each is the
/// `FreeList` of the state.
struct Meta: Equatable {
    static let size = 512

    var pageSize: UInt32
    var environmentID: (UInt64, UInt64)
    /// The transaction whose state this is.
    var transaction: UInt64
    /// Pages in use or free; all page numbers are below.
    var pageCount: UInt64
    /// Pages in the free tree, by its two parts.
    var availablePages: UInt64
    var pendingPages: UInt64
    /// Pages in the free list, by its two parts.
    var freeListAvailable: UInt32
    var freeListPending: UInt32
    /// Of the free list's bytes on disk. Only in records read from there or about to go there.
    var freeListChecksum: UInt64
    /// Where the next search of available space starts.
    var allocationCursor: UInt64
    /// Nanoseconds since 1970 of the commit.
    var wallClock: UInt64
    /// Pages in pending entries that only readers can hold back, not the durable root.
    var youngPages: UInt64
    /// Pages ever freed that the durable root of the time could need: how many are pinned now is
    /// the difference to what the root counts.
    var pinnedTotal: UInt64
    /// Where the log goes on after this state.
    var logEnd: UInt64
    /// The checksum of the record before that.
    var logChecksum: UInt64
    /// The base of the segment that holds the record before `logEnd`.
    var logSegment: UInt64
    /// The newest transaction in the log up to `logEnd`.
    var loggedTransaction: UInt64
    var main: TreeRecord
    /// Names of databases and their records.
    var catalog: TreeRecord
    /// The free tree.
    var free: TreeRecord
    /// Of all databases: their names, flags and digests.
    var digest: ContentDigest
    var features: Features
    /// The key that the environment is encrypted with; zero, as this version knows none.
    var keyIdentifier: (UInt64, UInt64)

    /// What the files contain beyond what every reader of this format version knows: a bit a feature.
    /// A writer keeps the bits that it does not know.
    struct Features: Equatable {
        /// Those without which the environment cannot be read.
        var toRead: UInt64 = 0
        /// Those without which it can be read, but not be written.
        var toWrite: UInt64 = 0
        /// Those that need not be known.
        var optional: UInt64 = 0

        /// The features that this library knows.
        static let known = Features()

        @inline(__always)
        init() {}

        @inline(__always)
        init(at bytes: UnsafeRawPointer) {
            toRead = bytes.littleEndian(0)
            toWrite = bytes.littleEndian(8)
            optional = bytes.littleEndian(16)
        }

        func store(to bytes: UnsafeMutableRawPointer) {
            bytes.storeLittleEndian(toRead, at: 0)
            bytes.storeLittleEndian(toWrite, at: 8)
            bytes.storeLittleEndian(optional, at: 16)
        }

        /// The bits of a word, for a message.
        static func describe(_ bits: UInt64) -> String {
            let numbers = (0..<64).filter { bits & (1 << UInt64($0)) != 0 }.map(String.init)
            return (numbers.count == 1 ? "feature " : "features ")
                + numbers.joined(separator: ", ")
        }
    }

    static func == (left: Meta, right: Meta) -> Bool {
        left.transaction == right.transaction && left.environmentID == right.environmentID
            && left.pageCount == right.pageCount && left.main == right.main
            && left.catalog == right.catalog && left.free == right.free
            && left.availablePages == right.availablePages
            && left.pendingPages == right.pendingPages && left.digest == right.digest
            && left.features == right.features && left.keyIdentifier == right.keyIdentifier
    }

    /// Pages that can be taken without waiting for anybody.
    var takablePages: UInt64 { availablePages + UInt64(freeListAvailable) }

    /// Pages that belong to no tree.
    var freePages: UInt64 { takablePages + pendingPages + UInt64(freeListPending) }

    /// What the checksums of this environment's pages are seeded with.
    var checksumSeed: UInt64 { Checksum.seed(of: environmentID) }

    /// Where the second copy is in a meta page.
    static func copyOffset(_ copy: Int, pageSize: Int) -> Int { copy * pageSize / 2 }

    /// Where `pageCount` is in a record.
    static let pageCountOffset = Field.pageCount

    /// Where the free list is behind its record: in sectors of its own.
    static let freeListOffset = 512

    private enum Field {
        static let checksum = 0
        static let magic = 8
        static let version = 16
        static let pageSize = 20
        static let environmentID = 24
        static let transaction = 40
        static let pageCount = 48
        static let availablePages = 56
        static let pendingPages = 64
        static let allocationCursor = 72
        static let wallClock = 80
        static let youngPages = 88
        static let logEnd = 96
        static let logChecksum = 104
        static let logSegment = 112
        static let loggedTransaction = 120
        static let main = 128
        static let catalog = 192
        static let free = 256
        static let page = 320
        static let pinnedTotal = 328
        static let freeListChecksum = 336
        static let freeListAvailable = 344
        static let freeListPending = 348
        static let mainDigest = 352
        static let digest = 368
        static let features = 384
        static let keyIdentifier = 408
        static let end = 424
        // Up to 511: zero
    }

    /// Bytes of a record before those that are always zero.
    static let usedSize = Field.end

    /// Why a record in a meta page cannot be used.
    enum Problem: Error {
        case notZeroDB
        case version(UInt32)
        /// Features without which it cannot be read.
        case features(UInt64)
        /// Encrypted.
        case encrypted
        case damaged(String)
    }

    /// Of no transaction. Not by default values: `init(trusted:)` would store them first.
    init() {
        pageSize = 0
        environmentID = (0, 0)
        transaction = 0
        pageCount = 0
        availablePages = 0
        pendingPages = 0
        freeListAvailable = 0
        freeListPending = 0
        freeListChecksum = 0
        allocationCursor = 0
        wallClock = 0
        youngPages = 0
        pinnedTotal = 0
        logEnd = 0
        logChecksum = 0
        logSegment = 0
        loggedTransaction = 0
        main = TreeRecord()
        catalog = TreeRecord()
        free = TreeRecord()
        digest = ContentDigest()
        features = Features()
        keyIdentifier = (0, 0)
    }

    /// Reads a record that this process or another one has just checked or written.
    @inline(__always)
    init(trusted bytes: UnsafeRawPointer) {
        pageSize = bytes.littleEndian(Field.pageSize)
        environmentID = (
            bytes.littleEndian(Field.environmentID), bytes.littleEndian(Field.environmentID + 8)
        )
        transaction = bytes.littleEndian(Field.transaction)
        pageCount = bytes.littleEndian(Field.pageCount)
        availablePages = bytes.littleEndian(Field.availablePages)
        pendingPages = bytes.littleEndian(Field.pendingPages)
        allocationCursor = bytes.littleEndian(Field.allocationCursor)
        wallClock = bytes.littleEndian(Field.wallClock)
        youngPages = bytes.littleEndian(Field.youngPages)
        pinnedTotal = bytes.littleEndian(Field.pinnedTotal)
        freeListChecksum = bytes.littleEndian(Field.freeListChecksum)
        freeListAvailable = bytes.littleEndian(Field.freeListAvailable)
        freeListPending = bytes.littleEndian(Field.freeListPending)
        logEnd = bytes.littleEndian(Field.logEnd)
        logChecksum = bytes.littleEndian(Field.logChecksum)
        logSegment = bytes.littleEndian(Field.logSegment)
        loggedTransaction = bytes.littleEndian(Field.loggedTransaction)
        main = TreeRecord(placeAt: bytes + Field.main)
        main.digest = ContentDigest(at: bytes + Field.mainDigest)
        catalog = TreeRecord(placeAt: bytes + Field.catalog)
        free = TreeRecord(placeAt: bytes + Field.free)
        digest = ContentDigest(at: bytes + Field.digest)
        features = Features(at: bytes + Field.features)
        keyIdentifier = (
            bytes.littleEndian(Field.keyIdentifier), bytes.littleEndian(Field.keyIdentifier + 8)
        )
    }

    /// Whether the main database of a record has flags and widths of 0 and a depth that a tree can have:
    /// one comparison, and almost always true.
    @inline(__always)
    static func isMainShallowAndPlain(_ bytes: UnsafeRawPointer) -> Bool {
        bytes.littleEndian(Field.main + TreeRecord.shapeOffset, as: UInt64.self)
            <= UInt64(Format.depthMax)
    }

    /// Whether a record is one of this library's, sound or not.
    ///
    /// - Parameter bytes: 16 of them.
    static func hasMagic(_ bytes: UnsafeRawPointer) -> Bool {
        bytes.littleEndian(Field.magic) == Format.magic
    }

    /// Reads a record from disk.
    ///
    /// - Parameter page: the meta page it is in.
    init(at bytes: UnsafeRawPointer, page: UInt64?) throws(Problem) {
        guard Self.hasMagic(bytes) else { throw .notZeroDB }
        let stored: UInt64 = bytes.littleEndian(Field.checksum)
        // The record sums itself, seeded by its own identity: nothing else is known yet.
        let computed = Checksum.compute(
            UnsafeRawBufferPointer(start: bytes + 8, count: Self.size - 8), seed: Format.magic)
        guard stored == computed else {
            throw .damaged(
                "checksum 0x\(String(computed, radix: 16)), expected 0x\(String(stored, radix: 16))"
            )
        }
        let version: UInt32 = bytes.littleEndian(Field.version)
        guard version == Format.version else { throw .version(version) }
        // Whatever else such a feature means for the record.
        let unknown = Features(at: bytes + Field.features).toRead & ~Features.known.toRead
        guard unknown == 0 else { throw .features(unknown) }
        guard bytes.littleEndian(Field.keyIdentifier, as: UInt64.self) == 0,
            bytes.littleEndian(Field.keyIdentifier + 8, as: UInt64.self) == 0
        else { throw .encrypted }
        if let page, bytes.littleEndian(Field.page) != page {
            throw .damaged(
                "it is the record of meta page \(bytes.littleEndian(Field.page, as: UInt64.self))")
        }
        self.init(trusted: bytes)
        guard Format.isValidPageSize(Int(pageSize)) else {
            throw .damaged("a page size of \(pageSize)")
        }
        guard isPlausible else { throw .damaged("counts that cannot be") }
    }

    /// Whether the numbers go together: all arithmetic with them stays in bounds then.
    var isPlausible: Bool {
        pageCount >= Format.metaPageCount && pageCount < PageReference.numberLimit
            && availablePages <= pageCount && pendingPages <= pageCount
            && youngPages <= pendingPages && UInt64(freeListAvailable) <= pageCount
            && UInt64(freeListPending) <= pageCount && logEnd < Format.idLimit
            && logSegment <= logEnd && transaction < Format.idLimit
            && loggedTransaction <= transaction && main.isPlausible && catalog.isPlausible
            && catalog.flags.isEmpty && free.isPlausible && free.flags.isEmpty
    }

    /// Writes the record with its checksum.
    ///
    /// - Parameter page: the meta page it goes to.
    func store(to bytes: UnsafeMutableRawPointer, page: UInt64 = 0) {
        memset(bytes, 0, Self.size)
        bytes.storeLittleEndian(Format.magic, at: Field.magic)
        bytes.storeLittleEndian(Format.version, at: Field.version)
        bytes.storeLittleEndian(pageSize, at: Field.pageSize)
        bytes.storeLittleEndian(environmentID.0, at: Field.environmentID)
        bytes.storeLittleEndian(environmentID.1, at: Field.environmentID + 8)
        bytes.storeLittleEndian(transaction, at: Field.transaction)
        bytes.storeLittleEndian(pageCount, at: Field.pageCount)
        bytes.storeLittleEndian(availablePages, at: Field.availablePages)
        bytes.storeLittleEndian(pendingPages, at: Field.pendingPages)
        bytes.storeLittleEndian(allocationCursor, at: Field.allocationCursor)
        bytes.storeLittleEndian(wallClock, at: Field.wallClock)
        bytes.storeLittleEndian(youngPages, at: Field.youngPages)
        bytes.storeLittleEndian(pinnedTotal, at: Field.pinnedTotal)
        bytes.storeLittleEndian(freeListChecksum, at: Field.freeListChecksum)
        bytes.storeLittleEndian(freeListAvailable, at: Field.freeListAvailable)
        bytes.storeLittleEndian(freeListPending, at: Field.freeListPending)
        bytes.storeLittleEndian(logEnd, at: Field.logEnd)
        bytes.storeLittleEndian(logChecksum, at: Field.logChecksum)
        bytes.storeLittleEndian(logSegment, at: Field.logSegment)
        bytes.storeLittleEndian(loggedTransaction, at: Field.loggedTransaction)
        main.storePlace(to: bytes + Field.main)
        main.digest.store(to: bytes + Field.mainDigest)
        catalog.storePlace(to: bytes + Field.catalog)
        free.storePlace(to: bytes + Field.free)
        digest.store(to: bytes + Field.digest)
        features.store(to: bytes + Field.features)
        bytes.storeLittleEndian(keyIdentifier.0, at: Field.keyIdentifier)
        bytes.storeLittleEndian(keyIdentifier.1, at: Field.keyIdentifier + 8)
        bytes.storeLittleEndian(page, at: Field.page)
        let checksum = Checksum.compute(
            UnsafeRawBufferPointer(start: bytes + 8, count: Self.size - 8), seed: Format.magic)
        bytes.storeLittleEndian(checksum, at: Field.checksum)
    }

    /// Fills a whole meta page: both copies of record and freeList, zeros between.
    func fill(page: UnsafeMutableRawPointer, number: UInt64, freeList: FreeList) {
        let pageSize = Int(pageSize)
        memset(page, 0, pageSize)
        var record = self
        for copy in 0..<2 {
            let start = page + Self.copyOffset(copy, pageSize: pageSize)
            freeList.store(to: start + Self.freeListOffset)
            record.freeListChecksum = Self.checksum(ofFreeList: start + Self.freeListOffset)
            record.store(to: start, page: number)
        }
    }

    /// Of a free list as it is on disk.
    static func checksum(ofFreeList bytes: UnsafeRawPointer) -> UInt64 {
        Checksum.compute(
            UnsafeRawBufferPointer(start: bytes, count: FreeList.size), seed: Format.magic)
    }
}
