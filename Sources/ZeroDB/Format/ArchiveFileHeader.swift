import Glibc

/// What a file of an archive begins with: the content of its first block.
///
/// ```
/// 0    version u32, kind u32, page size u32, zero u32
/// 16   environment id 16, archive id 16
/// 48   number u64, checksum of the file before u64, history u64
/// 72   from u64, to u64: transactions; wall clocks of both u64
/// 104  digest 16 after the last
/// 120  number and checksum of the file that an incremental one goes on from, u64 each
/// 136  where the records in the file begin: a place in the log, 24 bytes
/// 160  where the log goes on that is to be archived next, 24 bytes; the transaction before it u64
/// 192  zeros
/// ```
struct ArchiveFileHeader {
    static let size = 256
    static let version: UInt32 = 1

    enum Kind: UInt32, CaseIterable {
        /// All pages of a snapshot.
        case full = 1
        /// The pages of a snapshot that were written after another one.
        case incremental = 2
        /// Records of the log.
        case log = 3

        init?(name: Substring) {
            switch name {
            case "full": self = .full
            case "incr": self = .incremental
            case "log": self = .log
            default: return nil
            }
        }

        var name: String {
            switch self {
            case .full: "full"
            case .incremental: "incr"
            case .log: "log"
            }
        }
    }

    var kind: Kind
    var pageSize: UInt32 = 0
    var environmentID: (UInt64, UInt64) = (0, 0)
    var archiveID: (UInt64, UInt64) = (0, 0)
    /// Files are numbered from 1 on, without gaps.
    var number: UInt64 = 0
    /// Of the file with the number before; 0 if there has been none.
    var previousFile: UInt64 = 0
    var history: UInt64 = 0
    /// What the file goes on from: a transaction that is not in it; 0 for a full one.
    var from: UInt64 = 0
    /// The newest transaction in it.
    var to: UInt64 = 0
    /// When the oldest and the newest transaction in it were committed, nanoseconds since 1970.
    var wallClockFirst: UInt64 = 0
    var wallClock: UInt64 = 0
    /// Of the environment after the newest.
    var digest = ContentDigest()
    /// The file that has the pages that this incremental one has not.
    var parent = ArchivedPages()
    /// Where the first record of a file of the log is.
    var log = LogPlace()
    /// Where the next file of the log is to begin.
    var logEnd = LogPlace()
    /// The transaction in front of that.
    var logTransaction: UInt64 = 0

    /// Why a header cannot be used.
    enum Problem: Error {
        case damaged
        case version(UInt32)
    }

    init(_ kind: Kind) { self.kind = kind }

    /// - Parameter bytes: `size` of them, which a checksum has covered.
    init(at bytes: UnsafeRawPointer) throws(Problem) {
        let version: UInt32 = bytes.littleEndian(0)
        guard version == Self.version else { throw .version(version) }
        guard let kind = Kind(rawValue: bytes.littleEndian(4)) else { throw .damaged }
        self.kind = kind
        pageSize = bytes.littleEndian(8)
        environmentID = (bytes.littleEndian(16), bytes.littleEndian(24))
        archiveID = (bytes.littleEndian(32), bytes.littleEndian(40))
        number = bytes.littleEndian(48)
        previousFile = bytes.littleEndian(56)
        history = bytes.littleEndian(64)
        from = bytes.littleEndian(72)
        to = bytes.littleEndian(80)
        wallClockFirst = bytes.littleEndian(88)
        wallClock = bytes.littleEndian(96)
        digest = ContentDigest(at: bytes + 104)
        parent = ArchivedPages(
            number: bytes.littleEndian(120), checksum: bytes.littleEndian(128), transaction: from)
        log = LogPlace(at: bytes + 136)
        logEnd = LogPlace(at: bytes + 160)
        logTransaction = bytes.littleEndian(184)
        guard from <= to, to < Format.idLimit, number > 0, number < Format.idLimit,
            log.position < Format.idLimit, log.segment < Format.idLimit,
            logEnd.position < Format.idLimit, logEnd.segment < Format.idLimit,
            logTransaction <= to,
            kind == .log || Format.isValidPageSize(Int(pageSize))
        else { throw .damaged }
    }

    /// Whether both are of copies of one environment's pages, in one archive.
    func isSameCopy(as other: Self) -> Bool {
        kind == other.kind && pageSize == other.pageSize && archiveID == other.archiveID
            && environmentID == other.environmentID
    }

    /// - Parameter bytes: room for `size` of them.
    func store(to bytes: UnsafeMutableRawPointer) {
        memset(bytes, 0, Self.size)
        bytes.storeLittleEndian(Self.version, at: 0)
        bytes.storeLittleEndian(kind.rawValue, at: 4)
        bytes.storeLittleEndian(pageSize, at: 8)
        bytes.storeLittleEndian(environmentID.0, at: 16)
        bytes.storeLittleEndian(environmentID.1, at: 24)
        bytes.storeLittleEndian(archiveID.0, at: 32)
        bytes.storeLittleEndian(archiveID.1, at: 40)
        bytes.storeLittleEndian(number, at: 48)
        bytes.storeLittleEndian(previousFile, at: 56)
        bytes.storeLittleEndian(history, at: 64)
        bytes.storeLittleEndian(from, at: 72)
        bytes.storeLittleEndian(to, at: 80)
        bytes.storeLittleEndian(wallClockFirst, at: 88)
        bytes.storeLittleEndian(wallClock, at: 96)
        digest.store(to: bytes + 104)
        bytes.storeLittleEndian(parent.number, at: 120)
        bytes.storeLittleEndian(parent.checksum, at: 128)
        log.store(to: bytes + 136)
        logEnd.store(to: bytes + 160)
        bytes.storeLittleEndian(logTransaction, at: 184)
    }

    /// The name of its file.
    var name: ArchiveFileName {
        ArchiveFileName(number: number, kind: kind, from: from, to: to)
    }
}

/// The name of a file of an archive: `0000000012-log-0000000000000100-0000000000000163.zdba`. It says what
/// the header says, so that a listing tells what there is.
struct ArchiveFileName: Equatable, CustomStringConvertible {
    static let suffix = ".zdba"

    var number: UInt64
    var kind: ArchiveFileHeader.Kind
    var from: UInt64
    var to: UInt64

    init(number: UInt64, kind: ArchiveFileHeader.Kind, from: UInt64, to: UInt64) {
        self.number = number
        self.kind = kind
        self.from = from
        self.to = to
    }

    init?(_ text: String) {
        guard text.hasSuffix(Self.suffix) else { return nil }
        let parts = text.dropLast(Self.suffix.count).split(
            separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 4, let number = UInt64(parts[0]),
            let kind = ArchiveFileHeader.Kind(name: parts[1]),
            let from = UInt64(parts[2]), let to = UInt64(parts[3])
        else { return nil }
        self.init(number: number, kind: kind, from: from, to: to)
        guard description == text else { return nil }
    }

    var description: String {
        "\(Self.padded(number, 10))-\(kind.name)-\(Self.padded(from, 16))-\(Self.padded(to, 16))"
            + Self.suffix
    }

    private static func padded(_ number: UInt64, _ digits: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
}

/// What a file of an archive consists of, one behind the other.
///
/// ```
/// 0   checksum u64  XXH3-64 of bytes 8 to the block's end; the seed is the checksum of the block before
/// 8   magic u32, kind u32
/// 16  length u64    bytes of the content
/// 24  place u64     of pages, the number of the first; of records, the position of the first
/// 32  content
/// ```
enum ArchiveBlock {
    static let headerSize = 32
    static let magic: UInt32 = 0x6b6c_627a  // "zblk"
    /// No block has more content: the largest record is smaller.
    static let contentMax = 1 << 31
    /// The seed of a file's first block.
    static let seed: UInt64 = 0x6863_7261_6264_7a89  // "\x89zdbarch"

    enum Kind: UInt32 {
        /// What the file is. The first.
        case header = 1
        /// Whole pages.
        case pages = 2
        /// Both meta pages of a snapshot, and so how many pages it has.
        case meta = 3
        /// Base and capacity of a segment, u64 each, then whole records of it.
        case records = 4
        /// Nothing follows. Its content is how many blocks are in front of it, and their bytes, u64 each.
        case end = 5
    }
}
