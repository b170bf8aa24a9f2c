@testable import ZeroDB

/// What the targets that change files do with an environment: read, verify, write, read again. Errors are
/// fine.
enum FuzzProgram {
    static let path = "env"
    private static let entriesMax = 400

    static func options() -> EnvironmentOptions {
        var options = EnvironmentOptions()
        options.maxSize = 4 << 20
        options.maxReaders = 4
        options.usesThread = false
        return options
    }

    static func read(_ environment: Environment) {
        guard let transaction = try? environment.beginRead() else { return }
        scan(transaction, .main)
        _ = try? transaction.count()
        _ = try? transaction.value(for: Array("key 7".utf8))
        for listed in (try? transaction.databases()) ?? [] {
            guard let database = try? transaction.database(listed.name) else { continue }
            scan(transaction, database)
        }
    }

    private static func scan(_ transaction: borrowing ReadTransaction, _ database: Database) {
        guard var cursor = try? transaction.cursor(in: database) else { return }
        do {
            for _ in 0..<entriesMax { guard try cursor.next() != nil else { break } }
            for _ in 0..<entriesMax { guard try cursor.previous() != nil else { break } }
        } catch {}
    }

    static func write(_ environment: Environment, _ input: inout FuzzInput) {
        for _ in 0..<4 {
            do {
                var transaction = try environment.beginWrite()
                for _ in 0..<(1 + input.below(4)) {
                    let number = input.byte()
                    var key = Array("key \(number % 64)".utf8)
                    if number >= 192 { key += [UInt8](repeating: number, count: 1900) }
                    switch input.below(8) {
                    case 0: try transaction.delete(key)
                    case 1: try transaction.put(key, [UInt8](repeating: 1, count: 9000))
                    case 2: try transaction.delete(KeyRange(from: key))
                    case 3: try transaction.clear()
                    case 4:
                        let database = try transaction.createDatabase("fuzz \(input.byte() % 4)")
                        try transaction.put(key, key, in: database)
                    case 5:
                        for listed in try transaction.databases() {
                            let database = try transaction.database(listed.name)
                            try transaction.clear(database)
                            try transaction.put(key, key, in: database)
                        }
                    default:
                        try transaction.put(key, [UInt8](repeating: 2, count: input.below(200)))
                    }
                }
                try transaction.commit()
            } catch {}
        }
    }

    static func use(_ environment: Environment, _ input: inout FuzzInput) {
        read(environment)
        _ = try? environment.verify()
        _ = try? environment.info()
        write(environment, &input)
        if input.byte() % 2 == 0 { try? environment.checkpoint() }
        read(environment)
        _ = try? environment.verify()
    }

    /// A small environment with a bit of everything, closed.
    static func make(_ fileSystem: MemoryFileSystem) throws {
        let environment = try Environment(path: path, options: options(), fileSystem: fileSystem)
        try environment.write { transaction in
            for number in 0..<120 {
                let key = Array("key \(number)".utf8)
                try transaction.put(key, [UInt8](repeating: UInt8(number), count: 60))
            }
            try transaction.put(Array("large".utf8), [UInt8](repeating: 3, count: 10_000))
            let names: [(String, DatabaseFlags)] = [
                ("plain", []), ("several", [.duplicates]),
                ("sized", [.duplicates, .fixedSizeDuplicates]),
                ("counted", [.counted, .duplicates]),
            ]
            for (name, flags) in names {
                let database = try transaction.createDatabase(name, flags: flags)
                for number in 0..<(flags.isEmpty ? 20 : 280) {
                    let key = [UInt8(flags.isEmpty ? number : number / 260)]
                    try transaction.put(key, Array("value \(1000 + number)".utf8), in: database)
                }
            }
        }
        for number in 0..<8 {
            try environment.write { transaction in
                for part in 0..<12 {
                    try transaction.put(
                        Array("key \(number * 12 + part)".utf8), [UInt8](repeating: 9, count: 300))
                }
                if number == 4 { try transaction.delete(Array("large".utf8)) }
            }
        }
        try environment.close()
    }
}
