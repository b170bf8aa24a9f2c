import Testing

@testable import Simulator
@testable import ZeroDB

/// A small environment in memory with every kind of page, to be damaged and repaired many times.
final class RepairFixture {
    /// A pair of a database.
    struct Pair: Hashable, Comparable {
        var key: [UInt8]
        var value: [UInt8]

        static func < (left: Pair, right: Pair) -> Bool {
            left.key == right.key
                ? left.value.lexicographicallyPrecedes(right.value)
                : left.key.lexicographicallyPrecedes(right.key)
        }
    }

    typealias Contents = [[UInt8]: Set<Pair>]

    static let path = "env"
    static let types: [(name: String, flags: DatabaseFlags)] = [
        ("", []), ("counted", [.counted]), ("backward", [.reverseKeys]),
        ("many", [.duplicates, .counted]),
        ("integers", [.duplicates, .fixedSizeDuplicates, .integerDuplicates, .integerKeys]),
        ("twin", []), ("other twin", []), ("empty", []),
    ]

    let pageSize: Int
    let files: MemoryFileSystem
    private(set) var contents: Contents = [:]
    /// The data file as it is, and as it was after each commit.
    private(set) var image: [UInt8] = []
    private(set) var images: [[UInt8]] = []

    /// - Parameter commits: how many change it after it was made.
    init(pageSize: Int = 4096, commits: Int = 4, seed: UInt64 = 1) throws {
        self.pageSize = pageSize
        let files = MemoryFileSystem()
        self.files = files
        let environment = try open(files)
        var random = SeededGenerator(seed: seed)
        try fill(environment, &random)
        try environment.checkpoint()
        images.append(files.contents("env/data.zdb")?.bytes ?? [])
        for commit in 0..<commits {
            try change(environment, &random, commit, isLast: commit == commits - 1)
            try environment.checkpoint()
            images.append(files.contents("env/data.zdb")?.bytes ?? [])
        }
        try environment.close()
        contents = try Self.read(try open(files))
        image = files.contents("env/data.zdb")?.bytes ?? []
        removeLog()
    }

    func removeLog() {
        for name in (try? files.list("env/log")) ?? [] { try? files.remove("env/log/\(name)") }
    }

    private func open(_ files: any FileSystem) throws -> Environment {
        try Self.open(files, pageSize: pageSize)
    }

    static func open(_ files: any FileSystem, pageSize: Int = 4096) throws -> Environment {
        var options = EnvironmentOptions()
        options.pageSize = pageSize
        options.maxSize = 1 << 28
        options.maxReaders = 4
        options.usesThread = false
        options.checksumMode = .full
        return try Environment(path: path, options: options, fileSystem: files)
    }

    // MARK: Contents

    private func handle(
        _ name: String, _ flags: DatabaseFlags, _ transaction: inout WriteTransaction
    ) throws -> Database {
        name.isEmpty ? .main : try transaction.createDatabase(name, flags: flags)
    }

    private func fill(_ environment: Environment, _ random: inout SeededGenerator) throws {
        var transaction = try environment.beginWrite()
        for (name, flags) in Self.types where name != "empty" {
            let database = try handle(name, flags, &transaction)
            if flags.contains(.duplicates) {
                try fillDuplicates(&transaction, database, flags, &random)
                continue
            }
            let isTwin = name.contains("twin")
            for number in 0..<(isTwin ? 150 : 700) {
                let key = isTwin ? "twin \(number)" : "\(name) key \(number * 7919 % 10_000)"
                let size = random.chance(97) ? random.below(90) : random.below(4 * pageSize)
                try transaction.put(
                    key, isTwin ? Array(repeating: 7, count: 60) : random.bytes(size), in: database)
            }
        }
        // When it is deleted, its pages go to the free tree.
        try transaction.put("large", random.bytes(20 * pageSize), in: .main)
        _ = try transaction.createDatabase("empty")
        try transaction.commit()
    }

    private func fillDuplicates(
        _ transaction: inout WriteTransaction, _ database: Database, _ flags: DatabaseFlags,
        _ random: inout SeededGenerator
    ) throws {
        for key in 1...40 {
            let isInteger = flags.contains(.integerKeys)
            let name =
                isInteger ? [UInt8(key), 0, 0, 0] : Array("key \(key)".utf8)
            let count = key % 10 == 0 ? (isInteger ? 2000 : 700) : key % 3 == 0 ? 5 : 1
            for _ in 0..<count {
                try transaction.put(
                    name, random.bytes(isInteger ? 8 : 5 + random.below(60)), in: database)
            }
        }
    }

    private func change(
        _ environment: Environment, _ random: inout SeededGenerator, _ commit: Int, isLast: Bool
    ) throws {
        var transaction = try environment.beginWrite()
        if isLast { try transaction.delete("large") }
        for (name, flags) in Self.types where !name.contains("twin") && name != "empty" {
            let database = try handle(name, flags, &transaction)
            guard !flags.contains(.duplicates) else {
                if flags.contains(.integerKeys) { continue }
                try transaction.put("key 10", "a value of commit \(commit)", in: database)
                continue
            }
            for _ in 0..<30 {
                let key = "\(name) key \(random.below(10_000))"
                try transaction.put(key, random.bytes(random.below(90)), in: database)
                let other = "\(name) key \(random.below(700) * 7919 % 10_000)"
                try transaction.delete(other, in: database)
            }
        }
        try transaction.commit()
    }

    /// All pairs of an environment, which is closed.
    static func read(_ environment: Environment) throws -> Contents {
        var contents: Contents = [:]
        do {
            let transaction = try environment.beginRead()
            contents[[]] = try read(transaction, .main)
            for listed in try transaction.databases() {
                contents[listed.nameBytes] = try read(
                    transaction, try transaction.database(listed.nameBytes))
            }
        }
        try environment.close()
        return contents
    }

    private static func read(
        _ transaction: borrowing ReadTransaction, _ database: Database
    ) throws -> Set<Pair> {
        var pairs: Set<Pair> = []
        var cursor = try transaction.cursor(in: database)
        while let entry = try cursor.next() {
            pairs.insert(
                Pair(
                    key: entry.key.withUnsafeBytes { Array($0) },
                    value: entry.value.withUnsafeBytes { Array($0) }))
        }
        return pairs
    }

    // MARK: Damage

    var pageCount: Int { image.count / pageSize }

    /// Some of the pages behind the meta pages: all of them in a long run.
    var somePages: [Int] {
        let step = TestSettings.operations == nil ? 5 : 1
        let first = 2 + Int(TestSettings.seed % UInt64(step))
        return Array(stride(from: first, to: pageCount, by: step))
    }

    /// The bytes of a page.
    func range(_ page: Int) -> Range<Int> { page * pageSize..<(page + 1) * pageSize }

    /// The newest state.
    func meta() throws -> Meta {
        try Self.meta(in: image, pageSize: pageSize).meta
    }

    /// The newest state of a data file, and the meta page that it is in.
    static func meta(in bytes: [UInt8], pageSize: Int) throws -> (meta: Meta, page: Int) {
        try bytes.withUnsafeBytes { buffer in
            let start = try #require(buffer.baseAddress)
            let first = try Meta(at: start, page: 0)
            let second = try Meta(at: start + pageSize, page: 1)
            return first.transaction > second.transaction ? (first, 0) : (second, 1)
        }
    }

    /// The records of the databases by name.
    func records() throws -> [[UInt8]: TreeRecord] {
        let pages = try RepairPages(
            MemoryFile(name: "data.zdb", contents: MemoryContents(image)), pageSize: pageSize,
            seed: try meta().checksumSeed, next: 0, stamp: 0, source: nil)
        let meta = try meta()
        let walk = RepairWalk(pages, meta, limit: meta.pageCount)
        try walk.survey(
            RepairTree(id: 1, name: nil, content: .catalog, record: meta.catalog), digest: nil)
        var records: [[UInt8]: TreeRecord] = [[]: meta.main]
        for (name, record) in walk.databases { records[name] = record }
        return records
    }

    /// A page as the image has it.
    func withPage<Result>(_ number: UInt64, _ body: (Page) throws -> Result) rethrows -> Result {
        var bytes = Array(image[range(Int(number))])
        return try bytes.withUnsafeMutableBytes { buffer in
            guard let start = buffer.baseAddress else { fatalError("an empty page") }
            return try body(Page(start, size: pageSize))
        }
    }

    /// The children of a branch.
    func children(of number: UInt64) -> [PageReference] {
        withPage(number) { page in (0..<page.count).map { page.child($0) } }
    }

    // MARK: Repair

    /// What a repair of a damaged image comes to.
    struct Outcome {
        var report: RepairReport
        var contents: Contents
        var image: [UInt8]
    }

    /// Repairs an image and checks all that a repair promises: `verify` is clean, nothing is there
    /// that was not, what is missing is listed, and a second repair changes nothing.
    @discardableResult
    func repair(
        _ damaged: [UInt8], _ what: String, _ options: RepairOptions = RepairOptions(),
        on files: MemoryFileSystem? = nil
    ) throws -> Outcome {
        let files = files ?? MemoryFileSystem()
        if !damaged.isEmpty { files.setContents("env/data.zdb", MemoryContents(damaged)) }
        var options = options
        options.keepsBackup = false
        let report: RepairReport
        do {
            report = try Environment.repair(
                path: PathBytes("env"), options: options, fileSystem: files)
        } catch {
            Issue.record("\(what): \(error)")
            throw error
        }
        let image = files.contents("env/data.zdb")?.bytes ?? []
        let again = try Environment.repair(
            path: PathBytes("env"), options: options, fileSystem: files)
        #expect(!again.changed && again.losses.isEmpty, "\(what): a second repair: \(again)")
        #expect(files.contents("env/data.zdb")?.bytes == image, "\(what): a second repair writes")
        let environment = try Self.open(files)
        let verified = try environment.verify { problem in
            Issue.record("\(what): \(problem)")
        }
        #expect(verified.problems == 0)
        let found = try Self.read(environment)
        compare(found, report, what)
        return Outcome(report: report, contents: found, image: image)
    }

    private func compare(_ found: Contents, _ report: RepairReport, _ what: String) {
        for (name, pairs) in found {
            let alien = pairs.subtracting(contents[name] ?? [])
            #expect(
                alien.isEmpty,
                "\(what): \(alien.count) entries that were not there: \(alien.first?.key ?? [])")
        }
        let isUnknown = report.losses.contains { $0.database == nil }
        for (name, pairs) in contents where !isUnknown {
            let missing = pairs.subtracting(found[name] ?? [])
            let losses = report.losses.filter { $0.database == name }
            let isReversed =
                Self.types.first { Array($0.name.utf8) == name }?.flags.reversesKeys ?? false
            for pair in missing
            where !losses.contains(where: { Self.covers($0, pair.key, isReversed) }) {
                Issue.record(
                    "\(what): \(pair.key) of \(name) is missing and not listed: \(report.losses)")
                return
            }
        }
    }

    private static func covers(_ loss: RepairLoss, _ key: [UInt8], _ isReversed: Bool) -> Bool {
        let order = { (key: [UInt8]) -> [UInt8] in isReversed ? key.reversed() : key }
        if let low = loss.low, order(key).lexicographicallyPrecedes(order(low)) { return false }
        if let high = loss.high, high != (loss.low ?? []) + [0] {
            return order(key).lexicographicallyPrecedes(order(high))
        }
        return loss.high == nil || loss.low == nil || loss.low == key
    }

    func countMissing(_ found: Contents) -> Int {
        contents.reduce(0) { $0 + $1.value.subtracting(found[$1.key] ?? []).count }
    }
}
