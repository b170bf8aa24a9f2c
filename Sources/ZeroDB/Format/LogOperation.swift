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
