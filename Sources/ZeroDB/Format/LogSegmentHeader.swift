import Glibc

/// What a segment of the log begins with.
///
/// ```
/// 0     checksum u64, magic u64, version u32, zero u32, environment id 16
/// 40    base u64: the log position of the first byte after this header
/// 48    capacity u64: bytes after this header
/// 56    zeros
/// 4096  records
/// ```
struct LogSegmentHeader {
    /// Bytes in front of the records.
    static let size = 4096
    /// Bytes of them that say something.
    static let used = 64
    /// No segment is larger, whatever record it was made for.
    static let capacityLimit: UInt64 = 1 << 40
    static let baseMax: UInt64 = 1 << 62
    private static let magic: UInt64 = 0x6765_736c_6264_7a89

    private enum Field {
        static let checksum = 0
        static let magic = 8
        static let version = 16
        static let environmentID = 24
        static let base = 40
        static let capacity = 48
    }

    var environmentID: (UInt64, UInt64)
    var base: UInt64
    var capacity: UInt64

    /// Why a header cannot be used.
    enum Problem: Error {
        case damaged
        case version(UInt32)
    }

    init(environmentID: (UInt64, UInt64), base: UInt64, capacity: UInt64) {
        self.environmentID = environmentID
        self.base = base
        self.capacity = capacity
    }

    /// Reads a header.
    ///
    /// - Parameter bytes: `used` of them.
    init(at bytes: UnsafeRawPointer) throws(Problem) {
        guard bytes.littleEndian(Field.checksum) == Self.checksum(bytes),
            bytes.littleEndian(Field.magic) == Self.magic
        else { throw .damaged }
        let version: UInt32 = bytes.littleEndian(Field.version)
        guard version == Format.version else { throw .version(version) }
        environmentID = (
            bytes.littleEndian(Field.environmentID), bytes.littleEndian(Field.environmentID + 8)
        )
        base = bytes.littleEndian(Field.base)
        capacity = bytes.littleEndian(Field.capacity)
    }

    /// Whether a segment can have this place and size.
    var isPlausible: Bool {
        capacity >= UInt64(LogRecord.headerSize) && capacity <= Self.capacityLimit
            && base <= Self.baseMax
    }

    /// Writes the header, with zeros up to `size`.
    func store(to bytes: UnsafeMutableRawPointer) {
        memset(bytes, 0, Self.size)
        bytes.storeLittleEndian(Self.magic, at: Field.magic)
        bytes.storeLittleEndian(Format.version, at: Field.version)
        bytes.storeLittleEndian(environmentID.0, at: Field.environmentID)
        bytes.storeLittleEndian(environmentID.1, at: Field.environmentID + 8)
        bytes.storeLittleEndian(base, at: Field.base)
        bytes.storeLittleEndian(capacity, at: Field.capacity)
        bytes.storeLittleEndian(Self.checksum(bytes), at: Field.checksum)
    }

    private static func checksum(_ bytes: UnsafeRawPointer) -> UInt64 {
        Checksum.compute(
            UnsafeRawBufferPointer(start: bytes + 8, count: used - 8), seed: magic)
    }
}
