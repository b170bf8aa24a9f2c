import Testing

@testable import Simulator
@testable import ZeroDB

/// What is too large, too much, or out of order is refused, and nothing else suffers for it.
@Suite("Limits")
struct LimitTests {
    private func code(_ body: () throws -> Void) throws -> DatabaseError.Code? {
        do {
            try body()
            return nil
        } catch let error as DatabaseError {
            return error.code
        }
    }

    // MARK: Pages of a transaction

    @Test("A transaction that dirties too many pages is refused and can only be aborted")
    func refusesTooManyDirtyPages() throws {
        let environment = try Environment.inMemory { $0.maxTransactionPages = 50 }
        try environment.write { try $0.put("before", "1") }
        var transaction = try environment.beginWrite()
        var failure: DatabaseError?
        for number in 0..<10_000 where failure == nil {
            do throws(DatabaseError) {
                try transaction.put("key \(number)", [UInt8](repeating: 1, count: 500))
            } catch {
                failure = error
            }
        }
        let error = try #require(failure)
        #expect(error.code == .transactionFull)
        #expect(error.message.contains("50") && error.message.contains("maxTransactionPages"))
        for _ in 0..<2 {
            #expect(try code { _ = try transaction.get("before") } == .badTransaction)
            #expect(try code { try transaction.put("x", "y") } == .badTransaction)
            #expect(try code { try transaction.delete("before") } == .badTransaction)
        }
        do throws(DatabaseError) {
            try transaction.commit()
            Issue.record("a transaction that had failed was committed")
        } catch {
            #expect(error.code == .badTransaction)
        }
        try environment.write { try $0.put("after", "2") }
        try environment.read { reader throws in
            #expect(try reader.statistics().entries == 2)
            #expect(try reader.get("before") == Array("1".utf8))
        }
        #expect(try environment.verify().problems == 0)
    }

    @Test("Pages of large values do not count towards the limit on pages")
    func doesNotCountPagesOfLargeValues() throws {
        let environment = try Environment.inMemory { $0.maxTransactionPages = 20 }
        try environment.write { transaction throws in
            for key in ["first", "second", "third"] {
                try transaction.put(key, [UInt8](repeating: 1, count: 30 * 4096))
            }
            try transaction.delete("second")
        }
        #expect(try environment.verify().problems == 0)
    }

    @Test("Beyond the limit on memory a transaction goes on")
    func goesOnBeyondItsMemory() throws {
        let environment = try Environment.inMemory {
            $0.maxTransactionPages = 0
            $0.maxTransactionMemory = 1 << 20
        }
        var expected: [String: [UInt8]] = [:]
        var random = SeededGenerator(seed: TestSettings.seed)
        func fill(_ transaction: inout WriteTransaction, _ keys: Int, tag: UInt8) throws {
            for number in 0..<keys {
                let size = number % 20 == 0 ? Int.random(in: 5_000..<300_000, using: &random) : 300
                let byte = tag &+ UInt8(truncatingIfNeeded: number)
                let value = [UInt8](repeating: byte, count: size)
                try transaction.put("key \(number * 7919 % 10_007)", value)
                expected["key \(number * 7919 % 10_007)"] = value
            }
        }
        for tag in 0..<3 as Range<UInt8> {
            try environment.write { transaction throws in
                try fill(&transaction, 4000, tag: tag)
                for number in stride(from: 0, to: 4000, by: 9) {
                    try transaction.delete("key \(number * 7919 % 10_007)")
                    expected["key \(number * 7919 % 10_007)"] = nil
                }
                let kept = expected
                struct Undone: Error {}
                do {
                    try transaction.nested { nested throws in
                        try fill(&nested, 2000, tag: tag &+ 100)
                        throw Undone()
                    }
                } catch is Undone {}
                expected = kept
            }
            try environment.read { reader throws in
                #expect(try reader.statistics().entries == UInt64(expected.count))
                for (key, value) in expected { #expect(try reader.get(key) == value) }
            }
            #expect(try environment.verify().problems == 0)
        }
    }

    @Test("Without a limit a transaction may dirty any number of pages")
    func allowsUnboundedTransactions() throws {
        let environment = try Environment.inMemory { $0.maxTransactionPages = 0 }
        try environment.write { transaction throws in
            for number in 0..<12_000 {
                try transaction.put("key \(number)", [UInt8](repeating: 1, count: 4000))
            }
        }
        #expect(try environment.read { try $0.statistics().entries } == 12_000)
    }

    // MARK: Size of the environment

    @Test("A full environment can be read, verified and emptied")
    func staysUsableWhenFull() throws {
        let fileSystem = MemoryFileSystem()
        let environment = try Environment.inMemory(fileSystem) {
            $0.maxSize = 4 << 20
            $0.logSize = 1 << 20
        }
        let keys = try fill(environment)
        #expect(keys > 500)
        #expect(try environment.info().fileSize <= 4 << 20)
        try check(environment, keys: keys)
        // A small change either finds room or says that there is none; it harms nothing.
        for number in 0..<20 {
            let refused = try code { try environment.write { try $0.put("small", "\(number)") } }
            #expect(refused == nil || refused == .full)
        }
        #expect(try environment.verify().problems == 0)
        try environment.close()

        let again = try Environment.inMemory(fileSystem) {
            $0.maxSize = 4 << 20
            $0.logSize = 1 << 20
        }
        try check(again, keys: keys)
        var deleted = 0
        var attempts = 0
        while deleted < keys, attempts < 2 * keys {
            attempts += 1
            let refused = try code {
                try again.write { transaction throws in
                    for number in deleted..<min(deleted + 5, keys) {
                        try transaction.delete(Self.key(number))
                    }
                }
            }
            if refused == nil { deleted = min(deleted + 5, keys) }
        }
        #expect(deleted == keys, "only \(deleted) of \(keys) keys could be deleted")
        #expect(try again.verify().problems == 0)
        // And the space is there again.
        try again.checkpoint()
        let refilled = try fill(again)
        #expect(refilled > keys / 2, "\(refilled) keys found room after \(keys)")
        #expect(try again.verify().problems == 0)
    }

    private static func key(_ number: Int) -> String { "key \(number + 100_000)" }

    private func fill(_ environment: Environment) throws -> Int {
        var number = 0
        while true {
            let refused = try code {
                try environment.write { transaction throws in
                    for index in number..<(number + 10) {
                        try transaction.put(Self.key(index), [UInt8](repeating: 7, count: 1000))
                    }
                }
            }
            if let refused {
                #expect(refused == .full)
                return number
            }
            number += 10
        }
    }

    private func check(_ environment: Environment, keys: Int) throws {
        let report = try environment.verify()
        #expect(report.problems == 0)
        try environment.read { reader throws in
            for number in 0..<keys {
                let value = try reader.get(Self.key(number))
                #expect(value?.count == 1000)
            }
            #expect(try reader.get(Self.key(keys)) == nil)
        }
    }

    @Test("A full environment has room again when it is opened with a larger max_size")
    func growsWithLargerMaxSize() throws {
        let fileSystem = MemoryFileSystem()
        let small = try Environment.inMemory(fileSystem) { $0.maxSize = 2 << 20 }
        let keys = try fill(small)
        try small.close()
        let large = try Environment.inMemory(fileSystem) { $0.maxSize = 8 << 20 }
        try check(large, keys: keys)
        try large.write { transaction throws in
            for number in 0..<keys {
                try transaction.put("more \(number)", [UInt8](repeating: 1, count: 500))
            }
        }
        #expect(try large.verify().problems == 0)
    }

    @Test("A max_size smaller than the data bounds growth and nothing else")
    func keepsDataBeyondMaxSize() throws {
        let fileSystem = MemoryFileSystem()
        let large = try Environment.inMemory(fileSystem) { $0.maxSize = 8 << 20 }
        try large.write { transaction throws in
            for number in 0..<3000 {
                try transaction.put(Self.key(number), [UInt8](repeating: 7, count: 1000))
            }
        }
        try large.close()
        let small = try Environment.inMemory(fileSystem) { $0.maxSize = 1 << 20 }
        try check(small, keys: 3000)
        let refused = try code {
            try small.write { transaction throws in
                for number in 0..<3000 {
                    try transaction.put("more \(number)", [UInt8](repeating: 1, count: 1000))
                }
            }
        }
        #expect(refused == .full)
        try check(small, keys: 3000)
    }

    // MARK: Keys and values

    @Test("Keys have from one byte to half a page less 64", arguments: allPageSizes)
    func limitsKeys(pageSize: Int) throws {
        let environment = try Environment.inMemory { $0.pageSize = pageSize }
        let limit = pageSize / 2 - 64
        #expect(environment.maxKeySize == limit)
        try environment.write { transaction throws in
            let longest = [UInt8](repeating: 0xff, count: limit)
            try transaction.put(longest, "longest")
            try transaction.put([0], "shortest")
            #expect(try transaction.get(longest) == Array("longest".utf8))
            for key in [[], longest + [0]] {
                #expect(try code { try transaction.put(key, "") } == .badValueSize)
                #expect(try code { _ = try transaction.get(key) } == .badValueSize)
                #expect(try code { try transaction.delete(key) } == .badValueSize)
            }
            // Refused arguments leave the transaction usable.
            try transaction.put("more", "")
        }
        #expect(try environment.read { try $0.statistics().entries } == 3)
    }

    @Test(
        "Values of every size around the edges of leaves and pages come back",
        arguments: allPageSizes)
    func storesValuesAroundEdges(pageSize: Int) throws {
        let environment = try Environment.inMemory {
            $0.pageSize = pageSize
            $0.maxTransactionPages = 0
        }
        let inlineMax = Format.inlineEntrySizeMax(pageSize: pageSize)
        var sizes = Array(0...40) + Array((inlineMax - 60)...(inlineMax + 10))
        for pages in 1...3 {
            let edge = pages * pageSize - Page.headerSize
            sizes += Array((edge - 3)...(edge + 3))
        }
        try environment.write { transaction throws in
            for size in sizes {
                let recipe = ValueRecipe(seed: UInt32(size), count: size)
                try transaction.put("size \(size)", recipe.bytes)
                // Replaced in the same transaction by one of another size, and back.
                try transaction.put("size \(size)", "short")
                try transaction.put("size \(size)", recipe.bytes)
            }
        }
        try environment.read { reader throws in
            for size in sizes {
                let recipe = ValueRecipe(seed: UInt32(size), count: size)
                let isRight = try reader.value(for: "size \(size)")?
                    .withUnsafeBytes { recipe.matches($0) }
                #expect(isRight == true, "a value of \(size) bytes")
            }
        }
        #expect(try environment.verify().problems == 0)
    }

    @Test("A value of a hundred megabytes is one contiguous span")
    func storesHugeValue() throws {
        let environment = try Environment.inMemory { $0.maxTransactionPages = 0 }
        let recipe = ValueRecipe(seed: 1, count: 100 << 20)
        try environment.write { try $0.put("huge", recipe.bytes) }
        try environment.read { reader throws in
            let isRight = try reader.value(for: "huge")?.withUnsafeBytes { recipe.matches($0) }
            #expect(isRight == true)
        }
        #expect(try environment.verify().problems == 0)
    }

    @Test("Names of databases have from 1 to 511 bytes")
    func limitsNames() throws {
        let environment = try Environment.inMemory()
        let longest = String(repeating: "n", count: 511)
        try environment.write { transaction throws in
            let handle = try transaction.createDatabase(longest)
            try transaction.put("key", "value", in: handle)
            #expect(try code { _ = try transaction.createDatabase("") } == .badArgument)
            #expect(try code { _ = try transaction.createDatabase(longest + "n") } == .badArgument)
        }
        try environment.read { reader throws in
            let handle = try reader.database(longest)
            #expect(try reader.get("key", in: handle) == Array("value".utf8))
        }
    }

    // MARK: Order and depth

    @Test("Appending takes keys in order only")
    func appendsInOrder() throws {
        let environment = try Environment.inMemory()
        try environment.write { transaction throws in
            try transaction.append("b", "1")
            for key in ["b", "a", "", "aaaaaa"] where !key.isEmpty {
                #expect(try code { try transaction.append(key, "2") } == .notSorted)
            }
            try transaction.append("ba", "3")
            try transaction.append("c", "4")
            try transaction.delete("c")
            try transaction.append("bb", "5")
            #expect(try transaction.statistics().entries == 3)
        }
        #expect(try environment.verify().problems == 0)
    }

    @Test("Trees with the longest keys grow deep and shrink to nothing")
    func growsDeep() throws {
        let environment = try Environment.inMemory { $0.maxTransactionPages = 0 }
        var random = SeededGenerator(seed: TestSettings.seed)
        // Groups of keys that differ in their last bytes only: separators as long as keys. The
        // groups share nothing: branches have no prefix and few children.
        let middle = [UInt8](repeating: 0x6d, count: environment.maxKeySize - 16)
        func key(_ number: UInt64) -> [UInt8] {
            let group = KeyMaker.bigEndian(number / 6 &* 0x9e37_79b9_7f4a_7c15)
            return group + middle + KeyMaker.bigEndian(number)
        }
        var numbers = Array(0..<6000 as Range<UInt64>)
        numbers.shuffle(using: &random)
        try environment.write { transaction throws in
            for number in numbers { try transaction.put(key(number), "") }
        }
        let depth = try environment.read { try $0.statistics().depth }
        #expect(depth >= 6 && depth <= Format.depthMax, "a depth of \(depth)")
        #expect(try environment.verify().problems == 0)
        numbers.shuffle(using: &random)
        try environment.write { transaction throws in
            for number in numbers { try transaction.delete(key(number)) }
            #expect(try transaction.statistics().depth == 0)
        }
        #expect(try environment.verify().problems == 0)
    }

    // MARK: Options

    @Test("Options out of their range are refused before anything is made")
    func validatesOptions() throws {
        let changes: [(inout EnvironmentOptions) -> Void] = [
            { $0.pageSize = 1000 }, { $0.pageSize = 2048 }, { $0.pageSize = 131072 },
            { $0.pageSize = 0 }, { $0.maxSize = 1000 }, { $0.maxReaders = 0 },
            { $0.maxReaders = 100_000 }, { $0.fileMode = 0o777 }, { $0.fileMode = 0 },
            { $0.logSize = 5 },
        ]
        for change in changes {
            let fileSystem = MemoryFileSystem()
            #expect(try code { _ = try Environment.inMemory(fileSystem, change) } == .badArgument)
            #expect(fileSystem.contents("env/data.zdb") == nil)
        }
    }

    @Test("The page size is the one the environment was created with")
    func keepsPageSize() throws {
        let fileSystem = MemoryFileSystem()
        try Environment.inMemory(fileSystem) { $0.pageSize = 16384 }.close()
        let again = try Environment.inMemory(fileSystem) { $0.pageSize = 4096 }
        #expect(try again.info().pageSize == 16384)
        #expect(again.maxKeySize == 16384 / 2 - 64)
    }
}
