import CZeroDBPlatform
import Glibc

/// A record being written: room for its header, then operations.
struct LogBuffer {
    private(set) var bytes: UnsafeMutableRawPointer
    private(set) var count = LogRecord.headerSize
    private var capacity = capacityMin
    /// Records are not kept beyond this; the transaction becomes a checkpoint instead. A
    /// multiple of 8, as their lengths are.
    private(set) var limit = 0
    /// Whether the operations have become too many.
    private(set) var isOverfull = false
    /// Whether the transaction is logged at all.
    private(set) var isRecording = false
    private var namedDatabases: Set<Int> = []

    private static let capacityMin = 4096
    /// Bytes that are kept between transactions in any case, and at most.
    private static let keptBytesMin = 1 << 20
    private static let keptBytesMax = 8 << 20
    /// Bytes that large transactions have used, the less the longer ago.
    private var keptBytes = keptBytesMin
    /// Bytes that an operation has at most besides those of its keys, values and names.
    private static let surroundingsMax = 48

    init() { bytes = .allocate(byteCount: capacity, alignment: 8) }

    func deallocate() {
        if capacity == Self.capacityMin { bytes.deallocate() } else { zp_give_back(bytes) }
    }

    /// Ready for the next transaction.
    ///
    /// - Parameter limit: bytes a record may have; 0 to record nothing.
    mutating func begin(limit: Int) {
        let wanted = max(count, keptBytes - keptBytes / 8)
        keptBytes = min(max(wanted, Self.keptBytesMin), Self.keptBytesMax)
        // Its capacity is doubled as it grows.
        if capacity > 2 * keptBytes {
            deallocate()
            capacity = Self.capacityMin
            bytes = .allocate(byteCount: capacity, alignment: 8)
        }
        count = LogRecord.headerSize
        self.limit = limit & ~7
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

    /// Makes room for an operation.
    ///
    /// - Parameter content: bytes of its keys, values and names.
    /// - Returns: false if it is not to be recorded. Otherwise `complete` is to follow.
    private mutating func reserve(_ content: Int) -> Bool {
        guard isRecording, !isOverfull else { return false }
        guard content <= limit, count <= limit - content else {
            isOverfull = true
            return false
        }
        let more = content + Self.surroundingsMax
        if count + more > capacity {
            let larger = max(capacity * 2, count + more + 16)
            // Without memory for its record the transaction becomes a checkpoint.
            guard let new = malloc(larger) else {
                isOverfull = true
                return false
            }
            new.copyMemory(from: bytes, byteCount: count)
            deallocate()
            bytes = new
            capacity = larger
        }
        return true
    }

    /// Ends an operation, which may have come to more than there is room for.
    private mutating func complete() { if count > limit { isOverfull = true } }

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
        guard reserve(key.count + value.count) else { return }
        append(LogOperation.put)
        append(number: database)
        append(key)
        append(value)
        complete()
    }

    mutating func delete(_ database: Int, _ key: KeyBytes) {
        guard reserve(key.count) else { return }
        append(LogOperation.delete)
        append(number: database)
        append(key)
        complete()
    }

    mutating func deletePair(_ database: Int, _ key: KeyBytes, _ value: UnsafeRawBufferPointer) {
        guard reserve(key.count + value.count) else { return }
        append(LogOperation.deletePair)
        append(number: database)
        append(key)
        append(value)
        complete()
    }

    /// Says which database a number stands for, once a record.
    mutating func name(_ database: Int, _ name: KeyBytes) {
        guard database > 0, isRecording, namedDatabases.insert(database).inserted,
            reserve(name.count)
        else { return }
        append(LogOperation.name)
        append(number: database)
        append(name)
        complete()
    }

    mutating func create(_ database: Int, _ flags: DatabaseFlags) {
        guard reserve(0) else { return }
        append(LogOperation.create)
        append(number: database)
        append(number: Int(flags.rawValue))
        complete()
    }

    mutating func clear(_ database: Int) {
        guard reserve(0) else { return }
        append(LogOperation.clear)
        append(number: database)
        complete()
    }

    mutating func drop(_ database: Int) {
        guard reserve(0) else { return }
        append(LogOperation.drop)
        append(number: database)
        complete()
    }

    mutating func rename(_ database: Int, to name: KeyBytes) {
        guard reserve(name.count) else { return }
        append(LogOperation.rename)
        append(number: database)
        append(name)
        complete()
    }

    mutating func deleteRange(_ database: Int, from: KeyBytes?, to: KeyBytes?) {
        guard reserve((from?.count ?? 0) + (to?.count ?? 0)) else { return }
        append(LogOperation.deleteRange)
        append(number: database)
        append(
            number: (from == nil ? 0 : LogOperation.hasFrom)
                | (to == nil ? 0 : LogOperation.hasTo))
        if let from { append(from) }
        if let to { append(to) }
        complete()
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
