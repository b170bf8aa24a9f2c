import CZeroDBPlatform
import Glibc

/// One transaction in the redo log.
///
/// ```
/// 0   checksum u64   XXH3-64 of bytes 8..<length, seeded by the environment
/// 8   magic u32, kind u32
/// 16  length u64     bytes, this header included; a multiple of 8
/// 24  position u64   of this record in the log: an old record in recycled space has another
/// 32  previous u64   the checksum of the record before: a chain
/// 40  transaction u64
/// 48  wall clock u64 nanoseconds since 1970
/// 56  flushed u64    the log was known to be on disk up to here when this was written
/// 64  digest 16      of the environment after the transaction
/// 80  operations
/// ```
///
/// `flushed` tells damage from a torn tail: a record that does not check although a later one
/// says that it was flushed has been damaged since; one that was never seen flushed may just not have
/// reached the disk before the power went.
struct LogRecord {
    static let headerSize = 80
    static let magic: UInt32 = 0x676f_6c7a  // "zlog"

    enum Kind: UInt32 {
        case transaction = 1
        /// The rest of the segment is unused; the log goes on in the next.
        case endOfSegment = 2
    }

    var kind: Kind
    var length: UInt64
    var position: UInt64
    var previous: UInt64
    var transaction: UInt64
    var wallClock: UInt64
    var flushed: UInt64
    /// Of the environment after the transaction; in a mark, without meaning.
    var digest: ContentDigest
    var checksum: UInt64 = 0

    var end: UInt64 { position + length }

    /// Completes a record's header, in front of its operations.
    ///
    /// - Returns: its checksum, which the next record repeats.
    func store(to bytes: UnsafeMutableRawPointer, seed: UInt64) -> UInt64 {
        bytes.storeLittleEndian(Self.magic, at: 8)
        bytes.storeLittleEndian(kind.rawValue, at: 12)
        bytes.storeLittleEndian(length, at: 16)
        bytes.storeLittleEndian(position, at: 24)
        bytes.storeLittleEndian(previous, at: 32)
        bytes.storeLittleEndian(transaction, at: 40)
        bytes.storeLittleEndian(wallClock, at: 48)
        bytes.storeLittleEndian(flushed, at: 56)
        digest.store(to: bytes + 64)
        let checksum = Checksum.compute(
            UnsafeRawBufferPointer(start: bytes + 8, count: Int(length) - 8), seed: seed)
        bytes.storeLittleEndian(checksum, at: 0)
        return checksum
    }

    /// The length of the record that begins a buffer, if its header can be one that belongs at this
    /// position. Its checksum is left to be checked.
    static func length(at bytes: UnsafeRawBufferPointer, position: UInt64) -> UInt64? {
        guard let start = bytes.baseAddress, bytes.count >= headerSize,
            start.littleEndian(8) == magic, Kind(rawValue: start.littleEndian(12)) != nil,
            start.littleEndian(24) == position
        else { return nil }
        let length: UInt64 = start.littleEndian(16)
        guard length >= UInt64(headerSize), length % 8 == 0, length <= UInt64(bytes.count)
        else { return nil }
        return length
    }

    /// Reads and checks the record that begins a buffer.
    ///
    /// - Returns: nil if there is none that belongs at this position.
    init?(_ bytes: UnsafeRawBufferPointer, position: UInt64, seed: UInt64) {
        guard let start = bytes.baseAddress,
            let length = Self.length(at: bytes, position: position),
            let kind = Kind(rawValue: start.littleEndian(12))
        else { return nil }
        let checksum: UInt64 = start.littleEndian(0)
        let computed = Checksum.compute(
            UnsafeRawBufferPointer(start: start + 8, count: Int(length) - 8), seed: seed)
        guard computed == checksum else { return nil }
        self.init(
            kind: kind, length: length, position: position, previous: start.littleEndian(32),
            transaction: start.littleEndian(40), wallClock: start.littleEndian(48),
            flushed: start.littleEndian(56), digest: ContentDigest(at: start + 64),
            checksum: checksum)
    }

    init(
        kind: Kind, length: UInt64, position: UInt64, previous: UInt64, transaction: UInt64,
        wallClock: UInt64, flushed: UInt64, digest: ContentDigest, checksum: UInt64 = 0
    ) {
        self.kind = kind
        self.length = length
        self.position = position
        self.previous = previous
        self.transaction = transaction
        self.wallClock = wallClock
        self.flushed = flushed
        self.digest = digest
        self.checksum = checksum
    }
}
