import Testing

@testable import Simulator
@testable import ZeroDB

/// An environment in memory that is verified, and damaged under it.
final class VerifyFixture {
    let files = MemoryFileSystem()
    let environment: Environment

    init(
        pageSize: Int = 4096, _ change: (inout EnvironmentOptions) -> Void = { _ in }
    ) throws {
        environment = try Environment.inMemory(files) {
            $0.pageSize = pageSize
            $0.maxTransactionPages = 0
            // Damage under what has been read already is to be noticed.
            $0.checksumMode = .full
            change(&$0)
        }
    }

    static func key(_ number: Int) -> [UInt8] {
        let digits = "\(number)"
        return Array(
            ("key " + String(repeating: "0", count: 8 - digits.count) + digits).utf8)
    }

    /// Puts entries with such keys and a value of some bytes.
    func fill(
        _ name: String?, flags: DatabaseFlags = [], _ entries: Int, valueSize: Int = 100,
        _ key: (Int) -> [UInt8] = VerifyFixture.key
    ) throws {
        try environment.write { transaction in
            let database = try name.map { name throws(DatabaseError) in
                try transaction.createDatabase(name, flags: flags)
            }
            for number in 0..<entries {
                try transaction.put(
                    key(number), [UInt8](repeating: UInt8(number & 0xff), count: valueSize),
                    in: database ?? .main)
            }
        }
    }

    /// The same in the main database.
    func fill(_ entries: Int, valueSize: Int = 100) throws {
        try fill(nil, entries, valueSize: valueSize)
    }

    /// Puts values of one key.
    func fillValues(_ name: String, flags: DatabaseFlags, _ key: [UInt8], _ values: Int) throws {
        try environment.write { transaction in
            let database = try transaction.createDatabase(name, flags: flags)
            for number in 0..<values {
                try transaction.put(key, Self.key(number) + Self.key(number), in: database)
            }
        }
    }

    func verify(
        _ change: (inout VerifyOptions) -> Void = { _ in }
    ) throws -> (report: VerifyReport, problems: [VerifyProblem]) {
        var options = VerifyOptions()
        change(&options)
        var problems: [VerifyProblem] = []
        let report = try environment.verify(options) { problems.append($0) }
        #expect(report.problems == UInt64(problems.count))
        return (report, problems)
    }

    // MARK: Pages

    var data: MemoryContents { files.contents("env/data.zdb") ?? MemoryContents() }

    func page(_ number: UInt64) -> Page {
        let size = environment.store.pageSize
        return Page(data.base + Int(number) * size, size: size)
    }

    func meta() throws -> Meta { try environment.store.visibleMeta() }

    func record(_ name: String?) throws -> TreeRecord {
        guard let name else { return try meta().main }
        let transaction = try environment.beginRead()
        let database = try transaction.database(name)
        let state = transaction.access.claim.state
        return state.pointee.trees[Int(database.handle)].record
    }

    /// Where a page of a tree is, with the reference to it.
    struct Place {
        var reference: PageReference
        var number: UInt64 { reference.number }
    }

    /// A leaf below the root of a tree: the one that the children lead to.
    func leaf(of record: TreeRecord, _ children: Int...) -> Place {
        var reference = record.root
        var level = Int(record.depth) - 1
        var children = children[...]
        while level > 0 {
            let page = page(reference.number)
            reference = page.child(min(children.popFirst() ?? 0, page.count - 1))
            level -= 1
        }
        return Place(reference: reference)
    }

    /// Flips a bit in the middle of a page.
    func flip(_ number: UInt64, at offset: Int = 2000) {
        let place = page(number).base + offset
        place.storeBytes(of: place.load(as: UInt8.self) ^ 0x10, as: UInt8.self)
    }

    /// Puts the checksum of a changed page right.
    func reseal(_ number: UInt64) {
        let page = page(number)
        page.base.storeLittleEndian(
            Checksum.ofPage(page.base, length: page.size, seed: environment.store.source.seed),
            at: Format.Header.checksum)
    }

    /// The keys that cannot be had any more, of those that were put.
    func unreadable(
        _ name: String?, _ entries: Int, _ key: (Int) -> [UInt8] = VerifyFixture.key
    ) throws -> [[UInt8]] {
        let transaction = try environment.beginRead()
        let database = try name.map { name throws(DatabaseError) in
            try transaction.database(name)
        }
        var keys: [[UInt8]] = []
        for number in 0..<entries {
            do throws(DatabaseError) {
                _ = try transaction.get(key(number), in: database ?? .main)
            } catch {
                keys.append(key(number))
            }
        }
        return keys
    }
}
