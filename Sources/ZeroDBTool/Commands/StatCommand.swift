import ArgumentParser
import ZeroDB

/// `zerodb stat`: what is in an environment, and who uses it.
struct StatCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stat",
        abstract: "Print statistics of an environment.",
        discussion: """
            Programs may read and write the environment meanwhile. Changes nothing.

            The exit status is 0, 1 if damage was in the way, and 2 if the environment could not be \
            opened.
            """)

    @OptionGroup var arguments: EnvironmentArguments

    @Option(help: ArgumentHelp("Only this database.", valueName: "name"))
    var database: String?

    @Flag(help: "List the readers too.")
    var readers = false

    private struct DatabaseResult: Encodable {
        var name: String?
        var flags: [String]
        var depth: Int
        var entries: UInt64
        var keys: UInt64
        var branchPages: UInt64
        var leafPages: UInt64
        var overflowPages: UInt64
        var digest: String

        init(_ name: String?, _ statistics: DatabaseStatistics) {
            self.name = name
            flags = statistics.flags.names
            depth = statistics.depth
            entries = statistics.entries
            keys = statistics.keys
            branchPages = statistics.branchPages
            leafPages = statistics.leafPages
            overflowPages = statistics.overflowPages
            digest = "\(statistics.digest)"
        }
    }

    private struct ReaderResult: Encodable {
        var process: UInt32
        var thread: UInt64
        var snapshot: UInt64?
        var seconds: Double
    }

    private struct Result: Encodable {
        var environment: String
        var environmentID: String
        var formatVersion: UInt32
        var pageSize: Int
        var fileSize: UInt64
        var maxSize: UInt64
        var pages: UInt64
        var freePages: UInt64
        var pinnedPages: UInt64
        var transaction: UInt64
        var checkpoint: UInt64
        var logBytes: UInt64
        var maxReaders: Int
        var oldestReader: UInt64?
        var maxKeySize: Int
        var digest: String
        var databases: [DatabaseResult]
        var readers: [ReaderResult]
    }

    func run() throws {
        let result: Result
        do throws(DatabaseError) {
            result = try gather()
        } catch {
            throw arguments.fail(error, "stat")
        }
        if arguments.json {
            try JSON.write(result)
        } else {
            write(result)
        }
    }

    private func gather() throws(DatabaseError) -> Result {
        let environment = try arguments.open()
        let listed = try environment.readers()
        let info = try environment.info()
        let databases = try databases(of: environment)
        let id = [info.environmentID.0, info.environmentID.1].map { word in
            let digits = String(word.byteSwapped, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }
        let result = Result(
            environment: arguments.environment, environmentID: id.joined(),
            formatVersion: info.formatVersion, pageSize: info.pageSize, fileSize: info.fileSize,
            maxSize: info.maxSize, pages: info.pageCount, freePages: info.freePages,
            pinnedPages: info.pinnedPages, transaction: info.lastTransaction,
            checkpoint: info.checkpointTransaction, logBytes: info.logBytes,
            maxReaders: info.maxReaders, oldestReader: listed.compactMap(\.snapshot).min(),
            maxKeySize: info.maxKeySize, digest: "\(info.digest)", databases: databases,
            readers: listed.map {
                ReaderResult(
                    process: $0.processID, thread: $0.thread, snapshot: $0.snapshot,
                    seconds: Double($0.openNanoseconds) / 1e9)
            })
        try environment.close()
        return result
    }

    private func databases(of environment: Environment) throws(DatabaseError) -> [DatabaseResult] {
        let transaction = try environment.beginRead()
        if let database {
            let handle = try transaction.database(database)
            return [DatabaseResult(database, try transaction.statistics(of: handle))]
        }
        let main = DatabaseResult(nil, try transaction.statistics())
        return [main]
            + (try transaction.databases()).map {
                DatabaseResult(Output.name($0.nameBytes), $0.statistics)
            }
    }

    private func write(_ result: Result) {
        let page = UInt64(result.pageSize)
        Output.write(result.environment)
        Output.write(table: [
            ("environment id", result.environmentID),
            ("format", "version \(result.formatVersion), pages of \(result.pageSize) bytes"),
            ("file", "\(Output.bytes(result.fileSize)) of at most \(Output.bytes(result.maxSize))"),
            ("pages", "\(result.pages) (\(Output.bytes(result.pages * page)))"),
            ("free pages", "\(result.freePages) (\(Output.bytes(result.freePages * page)))"),
            ("waiting for a checkpoint", "\(result.pinnedPages)"),
            ("newest transaction", "\(result.transaction)"),
            ("checkpoint", "transaction \(result.checkpoint)"),
            ("log to replay", Output.bytes(result.logBytes)),
            ("largest key", "\(result.maxKeySize) bytes"),
            ("digest", result.digest),
            (
                "readers",
                "\(result.readers.count) of at most \(result.maxReaders)"
                    + (result.oldestReader.map { ", the oldest at transaction \($0)" } ?? "")
            ),
        ])
        if readers { writeReaders(result.readers) }
        for database in result.databases { write(database) }
    }

    private func write(_ database: DatabaseResult) {
        Output.write(database.name.map { "database \($0)" } ?? "main database")
        var rows = [
            ("entries", "\(database.entries)"), ("depth", "\(database.depth)"),
            (
                "pages",
                "\(database.branchPages) branch, \(database.leafPages) leaf, "
                    + "\(database.overflowPages) overflow"
            ),
        ]
        rows.append(("digest", database.digest))
        if database.keys != database.entries { rows.insert(("keys", "\(database.keys)"), at: 1) }
        if !database.flags.isEmpty {
            rows.insert(("flags", database.flags.joined(separator: ", ")), at: 0)
        }
        Output.write(table: rows)
    }

    private func writeReaders(_ readers: [ReaderResult]) {
        for reader in readers {
            let snapshot = reader.snapshot.map { "transaction \($0)" } ?? "no snapshot"
            Output.write(
                "  process \(reader.process), thread \(reader.thread): \(snapshot), open for "
                    + "\(Int(reader.seconds)) s")
        }
    }
}

extension DatabaseFlags {
    /// The names of those that are set.
    fileprivate var names: [String] {
        let known: [(DatabaseFlags, String)] = [
            (.reverseKeys, "reverse keys"), (.duplicates, "duplicates"),
            (.integerKeys, "integer keys"), (.fixedSizeDuplicates, "duplicates of one size"),
            (.integerDuplicates, "integer duplicates"), (.reverseDuplicates, "reverse duplicates"),
            (.counted, "counted"),
        ]
        return known.filter { contains($0.0) }.map(\.1)
    }
}
