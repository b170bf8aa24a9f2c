import Glibc

/// How far an archive goes: the file `index.zdba` in the archive, and `archive.zdb` in the environment.
///
/// ```
/// 0    checksum u64   XXH3-64 of bytes 8..<256, with the magic number as the seed
/// 8    magic u64, version u32, zero u32
/// 24   environment id 16, archive id 16
/// 56   history u64, first u64, last u64, checksum of the last file u64
/// 88   the newest full or incremental file: number u64, checksum u64, transaction u64
/// 112  the newest full file: number u64
/// 120  transaction u64, wall clock u64, digest 16
/// 152  where the next file of the log is to begin: a place in it, 24 bytes
/// 176  the transaction before that u64
/// 184  bytes of the log that are kept for the archive u64; 0 if it is not archived
/// 192  all that was committed before this time is archived: wall clock u64
/// 200  XXH3-64 of the command that is given the files u64; 0 if they go to a directory
/// 208  in an environment, device and inode of `data.zdb` u64 each; in an archive zeros
/// 224  zeros
/// ```
struct ArchiveState: Equatable {
    static let size = 256
    static let version: UInt32 = 1
    /// In an archive.
    static let indexName = "index.zdba"
    /// In an environment.
    static let markName = "archive.zdb"
    private static let magic: UInt64 = 0x7864_6e69_6264_7a89  // "\x89zdbindx"

    var environmentID: (UInt64, UInt64) = (0, 0)
    /// Of the archive: random.
    var archiveID: (UInt64, UInt64) = (0, 0)
    /// Files of different histories are not known to be of one.
    var history: UInt64 = 0
    /// The numbers of the oldest and of the newest file; both 0 in an archive without any.
    var first: UInt64 = 0
    var last: UInt64 = 0
    /// Of the newest file.
    var checksum: UInt64 = 0
    /// What the next incremental file says what has changed since.
    var pages = ArchivedPages()
    /// The number of the newest full file.
    var full: UInt64 = 0
    /// The newest transaction that is archived.
    var transaction: UInt64 = 0
    var wallClock: UInt64 = 0
    var digest = ContentDigest()
    /// Where the log is to be archived from. A copy of the pages may be newer.
    var log = LogPlace()
    /// The transaction before that.
    var logTransaction: UInt64 = 0
    /// Bytes of the log that an environment keeps at most until they are archived; 0 if its log is not
    /// archived, only its pages are.
    var keptMax: UInt64 = 0
    /// All that was committed before this time is archived; 0 if that is not known.
    var seen: UInt64 = 0
    /// Which program is given the files; 0 if they go to a directory.
    var command: UInt64 = 0
    /// Of the data file that goes on from the archive.
    var device: UInt64 = 0
    var inode: UInt64 = 0

    init() {}

    /// Why a state cannot be used.
    enum Problem: Error {
        case damaged
        case version(UInt32)
    }

    /// - Parameter bytes: `size` of them.
    init(at bytes: UnsafeRawPointer) throws(Problem) {
        guard bytes.littleEndian(0) == Self.checksum(bytes), bytes.littleEndian(8) == Self.magic
        else { throw .damaged }
        let version: UInt32 = bytes.littleEndian(16)
        guard version == Self.version else { throw .version(version) }
        environmentID = (bytes.littleEndian(24), bytes.littleEndian(32))
        archiveID = (bytes.littleEndian(40), bytes.littleEndian(48))
        history = bytes.littleEndian(56)
        first = bytes.littleEndian(64)
        last = bytes.littleEndian(72)
        checksum = bytes.littleEndian(80)
        pages = ArchivedPages(
            number: bytes.littleEndian(88), checksum: bytes.littleEndian(96),
            transaction: bytes.littleEndian(104))
        full = bytes.littleEndian(112)
        transaction = bytes.littleEndian(120)
        wallClock = bytes.littleEndian(128)
        digest = ContentDigest(at: bytes + 136)
        log = LogPlace(at: bytes + 152)
        logTransaction = bytes.littleEndian(176)
        keptMax = bytes.littleEndian(184)
        seen = bytes.littleEndian(192)
        command = bytes.littleEndian(200)
        device = bytes.littleEndian(208)
        inode = bytes.littleEndian(216)
        guard first <= last, last < Format.idLimit, transaction < Format.idLimit,
            log.position < Format.idLimit, logTransaction <= transaction
        else { throw .damaged }
    }

    /// - Parameter bytes: room for `size` of them.
    func store(to bytes: UnsafeMutableRawPointer) {
        memset(bytes, 0, Self.size)
        bytes.storeLittleEndian(Self.magic, at: 8)
        bytes.storeLittleEndian(Self.version, at: 16)
        bytes.storeLittleEndian(environmentID.0, at: 24)
        bytes.storeLittleEndian(environmentID.1, at: 32)
        bytes.storeLittleEndian(archiveID.0, at: 40)
        bytes.storeLittleEndian(archiveID.1, at: 48)
        bytes.storeLittleEndian(history, at: 56)
        bytes.storeLittleEndian(first, at: 64)
        bytes.storeLittleEndian(last, at: 72)
        bytes.storeLittleEndian(checksum, at: 80)
        bytes.storeLittleEndian(pages.number, at: 88)
        bytes.storeLittleEndian(pages.checksum, at: 96)
        bytes.storeLittleEndian(pages.transaction, at: 104)
        bytes.storeLittleEndian(full, at: 112)
        bytes.storeLittleEndian(transaction, at: 120)
        bytes.storeLittleEndian(wallClock, at: 128)
        digest.store(to: bytes + 136)
        log.store(to: bytes + 152)
        bytes.storeLittleEndian(logTransaction, at: 176)
        bytes.storeLittleEndian(keptMax, at: 184)
        bytes.storeLittleEndian(seen, at: 192)
        bytes.storeLittleEndian(command, at: 200)
        bytes.storeLittleEndian(device, at: 208)
        bytes.storeLittleEndian(inode, at: 216)
        bytes.storeLittleEndian(Self.checksum(bytes), at: 0)
    }

    private static func checksum(_ bytes: UnsafeRawPointer) -> UInt64 {
        Checksum.compute(UnsafeRawBufferPointer(start: bytes + 8, count: size - 8), seed: magic)
    }

    static func == (left: ArchiveState, right: ArchiveState) -> Bool {
        left.bytes == right.bytes
    }

    /// Adds the file behind the last.
    ///
    /// - Parameter checksum: the file's.
    mutating func add(_ header: ArchiveFileHeader, checksum: UInt64) {
        if last == 0 { first = header.number }
        last = header.number
        self.checksum = checksum
        let isNewHistory = history != header.history
        history = header.history
        if header.kind != .log {
            pages = ArchivedPages(
                number: header.number, checksum: checksum, transaction: header.to)
        }
        if header.kind == .full { full = header.number }
        if header.to >= transaction || isNewHistory {
            transaction = header.to
            wallClock = header.wallClock
            digest = header.digest
        }
        log = header.logEnd
        logTransaction = header.logTransaction
    }

    /// As they are in a file.
    var bytes: [UInt8] {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.size, alignment: 8)
        defer { buffer.deallocate() }
        if let start = buffer.baseAddress { store(to: start) }
        return Array(buffer)
    }
}

/// The newest file of an archive that holds pages; number 0 if there is none.
struct ArchivedPages: Equatable {
    var number: UInt64 = 0
    var checksum: UInt64 = 0
    var transaction: UInt64 = 0
}

/// A place in the log, 24 bytes: where a record is to follow, and which one is in front of it.
struct LogPlace: Equatable {
    var position: UInt64 = 0
    /// The checksum of the record before.
    var previous: UInt64 = 0
    /// The base of the segment.
    var segment: UInt64 = 0

    init() {}

    init(position: UInt64, previous: UInt64, segment: UInt64) {
        self.position = position
        self.previous = previous
        self.segment = segment
    }

    /// Where the log goes on behind a state.
    init(after meta: Meta) {
        self.init(
            position: meta.logEnd, previous: meta.logChecksum, segment: meta.logSegment)
    }

    init(at bytes: UnsafeRawPointer) {
        self.init(
            position: bytes.littleEndian(0), previous: bytes.littleEndian(8),
            segment: bytes.littleEndian(16))
    }

    func store(to bytes: UnsafeMutableRawPointer) {
        bytes.storeLittleEndian(position, at: 0)
        bytes.storeLittleEndian(previous, at: 8)
        bytes.storeLittleEndian(segment, at: 16)
    }
}
