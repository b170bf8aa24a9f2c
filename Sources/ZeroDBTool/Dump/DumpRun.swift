import ZeroDB

/// One dump, of one snapshot.
struct DumpRun<Format: DumpFormat> {
    let dump: DumpCommand
    let format: Format

    /// - Throws: `corrupted` and others, after what was read before is written.
    func run(_ environment: Environment) throws {
        if let file = dump.file, let problem = OutputPlace.problem(file, dump.environment) {
            throw TransferError.refused(problem)
        }
        let info = try environment.info()
        var output = try ByteOutput(path: dump.file)
        do {
            try environment.read { transaction in
                for name in try names(transaction) {
                    try write(name, of: transaction, info, to: &output)
                }
            }
        } catch {
            // It lacks the end by which a load knows that it is whole.
            try output.flush()
            throw error
        }
        try output.flush()
    }

    /// The databases to dump, the main one first; nil stands for that. A load that follows LMDB's takes
    /// one without a name for another part of the one before.
    private func names(_ transaction: borrowing ReadTransaction) throws -> [[UInt8]?] {
        if let name = dump.database { return [name.isEmpty ? nil : Array(name.utf8)] }
        guard dump.all else { return [nil] }
        let named = try transaction.databases().map { Optional($0.nameBytes) }
        let main = try transaction.statistics()
        // LMDB's main database has entries for the named ones, and is not dumped beside them.
        let hasMain = named.isEmpty || main.entries > 0 || !main.flags.isEmpty
        return (hasMain ? [nil] : []) + named
    }

    private func write(
        _ name: [UInt8]?, of transaction: borrowing ReadTransaction, _ info: EnvironmentInfo,
        to output: inout ByteOutput
    ) throws {
        let database = try name.map { name throws(DatabaseError) in
            try transaction.database(name)
        }
        let range = KeyRange(from: dump.from?.bytes, to: dump.to?.bytes)
        let described = DumpedDatabase(
            name: name, statistics: try transaction.statistics(of: database ?? .main),
            fileSize: info.fileSize, maxReaders: info.maxReaders, isWhole: range == .all)
        var entries = try transaction.entries(range, in: database ?? .main)
        try format.writeHead(described, to: &output)
        var count: UInt64 = 0
        while let entry = try entries.next() {
            try entry.key.withUnsafeBytes { key in
                try entry.value.withUnsafeBytes { value in
                    try format.writeEntry(key, value, to: &output)
                }
            }
            count += 1
        }
        guard !described.isWhole || count == described.statistics.entries else {
            throw TransferError.input(
                "\(count) entries were found where the database counts "
                    + "\(described.statistics.entries); run zerodb-check")
        }
        try format.writeEnd(count, to: &output)
    }
}
