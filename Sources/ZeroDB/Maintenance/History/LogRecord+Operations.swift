/// What a record says that its transaction did.
struct RecordedOperations {
    private var reader: LogOperationReader
    /// Which databases the numbers of the record stand for.
    private var names: [Int: [UInt8]] = [:]

    /// - Parameter record: a whole record, header included.
    init(_ record: UnsafeRawBufferPointer) { reader = LogOperationReader(record) }

    /// An operation and the database that it is about, whose name is nil for the main one.
    typealias Named = (operation: LogOperationReader.Operation, database: [UInt8]?)

    /// The next operation; nil at the end.
    ///
    /// - Throws: if it makes no sense.
    mutating func next() throws(LogOperationReader.Malformed) -> Named? {
        while let operation = try reader.next() {
            let number: Int
            switch operation {
            case .name(let number, let name):
                names[number] = Array(name)
                continue
            case .put(let database, _, _), .delete(let database, _), .create(let database, _),
                .clear(let database), .drop(let database), .rename(let database, _),
                .deletePair(let database, _, _), .deleteRange(let database, _, _):
                number = database
            }
            if number == 0 { return (operation, nil) }
            guard let name = names[number] else { throw LogOperationReader.Malformed() }
            return (operation, name)
        }
        return nil
    }

    /// The next operation with copies of its keys and values; nil at the end.
    mutating func nextCopy() throws(LogOperationReader.Malformed) -> LoggedOperation? {
        guard let (operation, database) = try next() else { return nil }
        switch operation {
        case .put(_, let key, let value):
            return .put(database: database, key: Array(key), value: Array(value))
        case .delete(_, let key): return .delete(database: database, key: Array(key))
        case .deletePair(_, let key, let value):
            return .deleteValue(database: database, key: Array(key), value: Array(value))
        case .deleteRange(_, let from, let to):
            return .deleteRange(
                database: database, from: from.map { Array($0) }, to: to.map { Array($0) })
        case .create(_, let flags): return .create(database: database, flags: flags)
        case .clear: return .clear(database: database)
        case .drop: return .drop(database: database)
        case .rename(_, let name): return .rename(database: database, to: Array(name))
        // The call above passes names over.
        case .name: throw LogOperationReader.Malformed()
        }
    }

    static let problem = "the record checks, but its operations make no sense"
}

extension LoggedTransaction {
    /// Reads what a record says.
    init(
        _ record: LogRecord, _ content: UnsafeRawBufferPointer, durability: Durability
    ) {
        transaction = record.transaction
        wallClock = record.wallClock
        position = record.position
        bytes = record.length
        digest = record.digest
        self.durability = durability
        databases = []
        var places: [[UInt8]?: Int] = [:]
        var operations = RecordedOperations(content)
        do throws(LogOperationReader.Malformed) {
            while let (operation, name) = try operations.next() {
                let place = places[name] ?? databases.count
                if place == databases.count {
                    places[name] = place
                    databases.append(LoggedDatabase(name: name))
                }
                databases[place].count(operation)
            }
        } catch {
            problem = RecordedOperations.problem
        }
    }
}

extension LoggedDatabase {
    fileprivate mutating func count(_ operation: LogOperationReader.Operation) {
        switch operation {
        case .put: puts += 1
        case .delete, .deletePair: deletes += 1
        case .deleteRange: rangeDeletes += 1
        case .clear: clears += 1
        case .create, .drop, .rename: changes += 1
        case .name: break
        }
    }
}
