/// What the log has behind the state that was copied.
extension Salvage {
    /// Applies the records of the log to the copy: they name keys and values, not pages.
    func applyLog(after meta: Meta) throws(DatabaseError) {
        guard source.store.isFirst else { return }
        let wanted = options.root == 0 ? UInt64.max : options.root
        var last: LogRecord?
        do throws(DatabaseError) {
            var reader = try LogReader(after: meta, in: source.store.logDirectory)
            while (last?.transaction ?? meta.transaction) < wanted,
                let (record, bytes) = try reader.next()
            {
                var applied = LogToCopy(writer)
                try applied.apply(bytes)
                report.logOperationsLost += applied.lost
                report.logRecords += 1
                report.lastTransaction = record.transaction
                last = record
            }
            if last?.transaction != wanted, let proof = try reader.findProofOfDamage() {
                report.logProblem = "the log is damaged at position \(reader.position): \(proof)"
            }
        } catch {
            guard [.corrupted, .versionMismatch].contains(error.code) else { throw error }
            report.logProblem = error.message
        }
        if wanted != .max, report.lastTransaction != wanted, report.logProblem == nil {
            report.logProblem = "it does not lead to transaction \(wanted)"
        }
        guard let last else { return }
        report.isComplete = report.isComplete && report.logOperationsLost == 0
        // Whatever was lost before: a transaction may have put it anew.
        if try writer.digest == last.digest { report.isComplete = true }
    }
}

/// Applies one record of a log.
private struct LogToCopy {
    private let writer: SalvageWriter
    private var databases: [Int: Int] = [0: 0]
    private var names: [Int: [UInt8]] = [:]
    /// Operations whose database is not there, or that do not fit what is.
    private(set) var lost: UInt64 = 0

    init(_ writer: SalvageWriter) { self.writer = writer }

    mutating func apply(_ record: UnsafeRawBufferPointer) throws(DatabaseError) {
        var reader = LogOperationReader(record)
        while true {
            let operation: LogOperationReader.Operation?
            do throws(LogOperationReader.Malformed) {
                operation = try reader.next()
            } catch {
                lost += 1
                return
            }
            guard let operation else { return }
            do throws(DatabaseError) {
                try apply(operation)
            } catch {
                let isHarmless: [DatabaseError.Code] = [
                    .badArgument, .badValueSize, .badDatabase, .incompatible, .notFound, .keyExists,
                ]
                guard isHarmless.contains(error.code) else { throw error }
                lost += 1
            }
        }
    }

    private mutating func apply(
        _ operation: LogOperationReader.Operation
    ) throws(DatabaseError) {
        switch operation {
        case .name(let number, let name):
            names[number] = Array(name)
            databases[number] = nil
        case .create(let number, let flags):
            databases[number] = try writer.makeDatabase(
                number == 0 ? nil : try name(number), flags)
        case .put(let number, let key, let value):
            let handle = try handle(number)
            try writer.change(size: key.count + value.count) { operations throws(DatabaseError) in
                _ = try operations.put(handle, key, value, mode: .overwrite)
            }
        case .delete(let number, let key):
            let handle = try handle(number)
            try writer.change(size: key.count) { operations throws(DatabaseError) in
                _ = try operations.delete(handle, key)
            }
        case .deletePair(let number, let key, let value):
            let handle = try handle(number)
            try writer.change(size: key.count) { operations throws(DatabaseError) in
                _ = try operations.delete(handle, key, value: value)
            }
        case .clear(let number):
            let handle = try handle(number)
            try writer.change(size: 0) { operations throws(DatabaseError) in
                _ = try operations.clear(handle)
            }
        case .drop(let number):
            let handle = try handle(number)
            try writer.change(size: 0) { operations throws(DatabaseError) in
                try operations.drop(handle)
            }
        case .rename(let number, let name):
            let handle = try handle(number)
            try writer.change(size: 0) { operations throws(DatabaseError) in
                _ = try operations.rename(handle, to: name)
            }
        case .deleteRange(let number, let from, let to):
            let handle = try handle(number)
            try writer.change(size: 0) { operations throws(DatabaseError) in
                _ = try operations.deleteRange(handle, from: from, to: to)
            }
        }
    }

    private func name(_ number: Int) throws(DatabaseError) -> [UInt8] {
        guard let name = names[number] else {
            throw DatabaseError(.badDatabase, "the record names no database \(number)")
        }
        return name
    }

    private mutating func handle(_ number: Int) throws(DatabaseError) -> Int {
        if let known = databases[number] { return known }
        let name = try name(number)
        let handle = try writer.change(size: 0) { operations throws(DatabaseError) in
            try name.withBytes { name throws(DatabaseError) in
                try operations.openDatabase(name, create: false)
            }
        }
        databases[number] = handle
        return handle
    }
}
