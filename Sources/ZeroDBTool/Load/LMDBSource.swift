import LMDBFile
import ZeroDB

/// The file of an environment of LMDB.
struct LMDBSource: LoadSource, ~Copyable {
    private let file: LMDBFile
    private var current: LMDBEntries?
    /// Databases whose names have been read, and that have not been loaded; the next one last.
    private var waiting: [LMDBDatabase] = []
    private var hasBegun = false
    private var entry: UInt64 = 0
    private var notes: [String] = []

    var key: [UInt8] { current.map { Array($0.key) } ?? [] }
    var value: [UInt8] { current.map { Array($0.value) } ?? [] }

    /// - Parameters:
    ///   - path: a directory with `data.mdb`, or a file.
    ///   - allowsAnyOrder: whether keys may be in an order of the program's own.
    init(path: String, allowsAnyOrder: Bool) throws {
        do throws(LMDBError) {
            file = try LMDBFile(path: path, allowsAnyOrder: allowsAnyOrder)
        } catch {
            throw Self.failure(error, path)
        }
    }

    var place: String { "entry \(entry) of \(file.path)" }

    var position: LoadPosition? { nil }

    mutating func takeNotes() -> [String] {
        defer { notes = [] }
        return notes
    }

    mutating func nextDatabase() throws -> LoadedDatabase? {
        let database: LMDBDatabase
        if hasBegun {
            guard let next = waiting.popLast() else {
                try failing { () throws(LMDBError) in try file.checkUnchanged() }
                return nil
            }
            database = next
        } else {
            database = file.mainDatabase
        }
        hasBegun = true
        entry = 0
        current = try failing { () throws(LMDBError) in try LMDBEntries(file, database) }
        let flags = DatabaseFlags(rawValue: database.flags)
        return LoadedDatabase(name: database.name, flags: flags.asLMDBMeans.rawValue)
    }

    mutating func nextEntry() throws -> Bool {
        guard var entries = current else { return false }
        current = nil
        let isEntry = try failing { () throws(LMDBError) in try entries.next() }
        notes += entries.takeNotes().map { "\(file.path): \($0)" }
        if isEntry {
            entry += 1
        } else if !entries.named.isEmpty {
            waiting = entries.named.reversed()
        }
        current = entries
        return isEntry
    }

    private func failing<Result>(_ body: () throws(LMDBError) -> Result) throws -> Result {
        do throws(LMDBError) {
            return try body()
        } catch {
            throw Self.failure(error, file.path)
        }
    }

    private static func failure(_ error: LMDBError, _ path: String) -> TransferError {
        let message = error.message.contains(path) ? error.message : "\(path): \(error.message)"
        switch error.kind {
        case .damaged, .changed: return .input(message)
        case .notLMDB, .unsupported, .system: return .refused(message)
        }
    }
}
