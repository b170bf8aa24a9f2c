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
/// 64  operations
/// ```
///
/// `flushed` tells damage from a torn tail: a record that does not check although a later one
/// says that it was flushed has been damaged since; one that nobody saw flushed may just not have
/// reached the disk before the power went.
struct LogRecord {
    static let headerSize = 64
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
        let checksum = Checksum.compute(
            UnsafeRawBufferPointer(start: bytes + 8, count: Int(length) - 8), seed: seed)
        bytes.storeLittleEndian(checksum, at: 0)
        return checksum
    }

    /// Reads and checks the record that begins a buffer.
    ///
    /// - Returns: nil if there is none that belongs at this position.
    init?(_ bytes: UnsafeRawBufferPointer, position: UInt64, seed: UInt64) {
        guard let start = bytes.baseAddress, bytes.count >= Self.headerSize,
            start.littleEndian(8) == Self.magic,
            let kind = Kind(rawValue: start.littleEndian(12)),
            start.littleEndian(24) == position
        else { return nil }
        let length: UInt64 = start.littleEndian(16)
        guard length >= UInt64(Self.headerSize), length % 8 == 0, length <= UInt64(bytes.count)
        else { return nil }
        let checksum: UInt64 = start.littleEndian(0)
        let computed = Checksum.compute(
            UnsafeRawBufferPointer(start: start + 8, count: Int(length) - 8), seed: seed)
        guard computed == checksum else { return nil }
        self.init(
            kind: kind, length: length, position: position, previous: start.littleEndian(32),
            transaction: start.littleEndian(40), wallClock: start.littleEndian(48),
            flushed: start.littleEndian(56), checksum: checksum)
    }

    init(
        kind: Kind, length: UInt64, position: UInt64, previous: UInt64, transaction: UInt64,
        wallClock: UInt64, flushed: UInt64, checksum: UInt64 = 0
    ) {
        self.kind = kind
        self.length = length
        self.position = position
        self.previous = previous
        self.transaction = transaction
        self.wallClock = wallClock
        self.flushed = flushed
        self.checksum = checksum
    }
}

/// What a transaction did, as its record tells it. Numbers are LEB128; databases are named once a
/// record and numbered from then on, 0 being the main database.
enum LogOperation {
    /// database, key, value
    static let put: UInt8 = 1
    /// database, key
    static let delete: UInt8 = 2
    /// number, name: which database a number stands for
    static let name: UInt8 = 3
    /// database, flags: make it
    static let create: UInt8 = 4
    /// database: delete its entries
    static let clear: UInt8 = 5
    /// database: delete it
    static let drop: UInt8 = 6
    /// database, name: give it another name
    static let rename: UInt8 = 7
    /// database, key, value: delete the pair
    static let deletePair: UInt8 = 9
    /// database, which ends there are, those keys: delete from the first to before the second
    static let deleteRange: UInt8 = 8

    static let hasFrom = 1
    static let hasTo = 2
}

/// A record being written: room for its header, then operations.
struct LogBuffer {
    private(set) var bytes: UnsafeMutableRawPointer
    private(set) var count = LogRecord.headerSize
    private var capacity = 4096
    /// Records are not kept beyond this; the transaction becomes a checkpoint instead.
    private var limit = 0
    /// Whether the operations have become too many.
    private(set) var isOverfull = false
    /// Whether the transaction is logged at all.
    private(set) var isRecording = false
    private var namedDatabases: Set<Int> = []

    /// Kept between transactions up to this size.
    private static let keptBytes = 1 << 20

    init() { bytes = .allocate(byteCount: capacity, alignment: 8) }

    func deallocate() { bytes.deallocate() }

    /// Ready for the next transaction.
    ///
    /// - Parameter limit: bytes a record may have; 0 to record nothing.
    mutating func begin(limit: Int) {
        if capacity > Self.keptBytes {
            bytes.deallocate()
            capacity = 4096
            bytes = .allocate(byteCount: capacity, alignment: 8)
        }
        count = LogRecord.headerSize
        self.limit = limit
        isRecording = limit > 0
        isOverfull = false
        namedDatabases.removeAll(keepingCapacity: namedDatabases.count < 64)
    }

    /// A place that a record can be cut off at.
    struct Mark {
        fileprivate var count: Int
        fileprivate var isOverfull: Bool
        fileprivate var namedDatabases: Set<Int>
    }

    var mark: Mark {
        Mark(count: count, isOverfull: isOverfull, namedDatabases: namedDatabases)
    }

    /// Forgets all operations since a mark was set.
    mutating func cut(at mark: Mark) {
        count = mark.count
        isOverfull = mark.isOverfull
        namedDatabases = mark.namedDatabases
    }

    /// Whether there is anything to replay.
    var isEmpty: Bool { count == LogRecord.headerSize }

    private mutating func reserve(_ more: Int) -> Bool {
        guard isRecording, !isOverfull else { return false }
        guard more <= limit, count <= limit - more else {
            isOverfull = true
            return false
        }
        if count + more > capacity {
            let larger = max(capacity * 2, count + more + 16)
            let new = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 8)
            new.copyMemory(from: bytes, byteCount: count)
            bytes.deallocate()
            bytes = new
            capacity = larger
        }
        return true
    }

    private mutating func append(_ byte: UInt8) {
        bytes.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count += 1
    }

    private mutating func append(number: Int) {
        var rest = UInt64(number)
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(rest))
    }

    private mutating func append(_ run: UnsafeRawBufferPointer) {
        append(number: run.count)
        if let start = run.baseAddress {
            (bytes + count).copyMemory(from: start, byteCount: run.count)
        }
        count += run.count
    }

    mutating func put(_ database: Int, _ key: KeyBytes, _ value: UnsafeRawBufferPointer) {
        guard reserve(32 + key.count + value.count) else { return }
        append(LogOperation.put)
        append(number: database)
        append(key)
        append(value)
    }

    mutating func delete(_ database: Int, _ key: KeyBytes) {
        guard reserve(32 + key.count) else { return }
        append(LogOperation.delete)
        append(number: database)
        append(key)
    }

    mutating func deletePair(_ database: Int, _ key: KeyBytes, _ value: UnsafeRawBufferPointer) {
        guard reserve(32 + key.count + value.count) else { return }
        append(LogOperation.deletePair)
        append(number: database)
        append(key)
        append(value)
    }

    /// Says which database a number stands for, once a record.
    mutating func name(_ database: Int, _ name: KeyBytes) {
        guard database > 0, isRecording, namedDatabases.insert(database).inserted,
            reserve(32 + name.count)
        else { return }
        append(LogOperation.name)
        append(number: database)
        append(name)
    }

    mutating func create(_ database: Int, _ flags: DatabaseFlags) {
        guard reserve(32) else { return }
        append(LogOperation.create)
        append(number: database)
        append(number: Int(flags.rawValue))
    }

    mutating func clear(_ database: Int) {
        guard reserve(32) else { return }
        append(LogOperation.clear)
        append(number: database)
    }

    mutating func drop(_ database: Int) {
        guard reserve(32) else { return }
        append(LogOperation.drop)
        append(number: database)
    }

    mutating func rename(_ database: Int, to name: KeyBytes) {
        guard reserve(32 + name.count) else { return }
        append(LogOperation.rename)
        append(number: database)
        append(name)
    }

    mutating func deleteRange(_ database: Int, from: KeyBytes?, to: KeyBytes?) {
        guard reserve(48 + (from?.count ?? 0) + (to?.count ?? 0)) else { return }
        append(LogOperation.deleteRange)
        append(number: database)
        append(
            number: (from == nil ? 0 : LogOperation.hasFrom)
                | (to == nil ? 0 : LogOperation.hasTo))
        if let from { append(from) }
        if let to { append(to) }
    }

    /// Puts bytes in the place of others that are in the record already.
    mutating func overwrite(at offset: Int, with run: UnsafeRawBufferPointer) {
        guard let start = run.baseAddress, offset >= LogRecord.headerSize, offset <= count,
            run.count <= count - offset
        else { return }
        (bytes + offset).copyMemory(from: start, byteCount: run.count)
    }

    /// A place in the record to go back to.
    struct OperationMark {
        fileprivate var count = LogRecord.headerSize
        fileprivate var isOverfull = false
    }

    var operationMark: OperationMark {
        OperationMark(count: count, isOverfull: isOverfull)
    }

    /// Takes back operations that turned out to change nothing.
    mutating func cut(to mark: OperationMark) {
        guard isRecording else { return }
        count = mark.count
        isOverfull = mark.isOverfull
    }

    /// Pads the record to a multiple of 8 bytes.
    mutating func pad() {
        while count % 8 != 0 { append(0) }
    }
}

/// Reads the operations of a record.
struct LogOperationReader {
    private let bytes: UnsafeRawBufferPointer
    private var position: Int

    enum Operation {
        case put(database: Int, key: KeyBytes, value: UnsafeRawBufferPointer)
        case delete(database: Int, key: KeyBytes)
        case name(database: Int, name: KeyBytes)
        case create(database: Int, flags: DatabaseFlags)
        case clear(database: Int)
        case drop(database: Int)
        case rename(database: Int, name: KeyBytes)
        case deletePair(database: Int, key: KeyBytes, value: UnsafeRawBufferPointer)
        case deleteRange(database: Int, from: KeyBytes?, to: KeyBytes?)
    }

    /// - Parameter record: a whole record, header included.
    init(_ record: UnsafeRawBufferPointer) {
        bytes = record
        position = LogRecord.headerSize
    }

    struct Malformed: Error {}

    /// - Returns: nil at the end.
    mutating func next() throws(Malformed) -> Operation? {
        guard position < bytes.count else { return nil }
        let code = bytes[position]
        position += 1
        switch code {
        case 0:
            position = bytes.count  // padding
            return nil
        case LogOperation.put:
            return .put(database: try number(), key: try run(), value: try run())
        case LogOperation.delete:
            return .delete(database: try number(), key: try run())
        case LogOperation.name:
            return .name(database: try number(), name: try run())
        case LogOperation.create:
            let database = try number()
            guard let flags = UInt16(exactly: try number()) else { throw Malformed() }
            return .create(database: database, flags: DatabaseFlags(rawValue: flags))
        case LogOperation.clear: return .clear(database: try number())
        case LogOperation.drop: return .drop(database: try number())
        case LogOperation.rename:
            return .rename(database: try number(), name: try run())
        case LogOperation.deletePair:
            return .deletePair(database: try number(), key: try run(), value: try run())
        case LogOperation.deleteRange:
            let database = try number()
            let ends = try number()
            guard ends & ~(LogOperation.hasFrom | LogOperation.hasTo) == 0 else {
                throw Malformed()
            }
            let from = ends & LogOperation.hasFrom != 0 ? try run() : nil
            let to = ends & LogOperation.hasTo != 0 ? try run() : nil
            return .deleteRange(database: database, from: from, to: to)
        default: throw Malformed()
        }
    }

    private mutating func number() throws(Malformed) -> Int {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            guard position < bytes.count, shift < 63 else { throw Malformed() }
            let byte = bytes[position]
            position += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 { break }
            shift += 7
        }
        return Int(truncatingIfNeeded: value)
    }

    private mutating func run() throws(Malformed) -> UnsafeRawBufferPointer {
        let count = try number()
        guard count >= 0, count <= bytes.count - position else { throw Malformed() }
        let run = UnsafeRawBufferPointer(rebasing: bytes[position..<(position + count)])
        position += count
        return run
    }
}
