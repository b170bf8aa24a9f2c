// As a program sees the library: without @testable.
import Testing
import ZeroDB

@Suite("The Swift interface")
struct SwiftAPITests {
    private let directory: TemporaryDirectory
    private let environment: Environment

    init() throws {
        directory = try TemporaryDirectory()
        environment = try directory.open()
    }

    @Test("Strings, arrays, slices and buffers serve as keys and values")
    func takesManyKindsOfBytes() throws {
        try environment.write { transaction throws in
            try transaction.put("string", "value")
            try transaction.put([1, 2, 3], [4, 5, 6])
            try transaction.put([0, 9, 9, 0][1...2], "slice".utf8)
            try transaction.put("a string"[...].utf8, ContiguousArray<UInt8>([7]))
            try transaction.put("ünï", "ço∂é")
            try withUnsafeBytes(of: UInt64(5).bigEndian) { try transaction.put($0, $0) }
        }
        try environment.read { reader throws in
            #expect(try reader.get("string") == Array("value".utf8))
            #expect(try reader.get([1, 2, 3]) == [4, 5, 6])
            #expect(try reader.get([9, 9]) == Array("slice".utf8))
            #expect(try reader.get("a string") == [7])
            #expect(try reader.get("ünï").map { String(decoding: $0, as: UTF8.self) } == "ço∂é")
            #expect(try reader.get([0, 0, 0, 0, 0, 0, 0, 5])?.count == 8)
            #expect(try reader.contains("string") && !reader.contains("no such key"))
        }
    }

    @Test("A value is read in place through a span")
    func readsSpans() throws {
        try environment.write { transaction throws in
            try transaction.put("numbers", [1, 0, 0, 0, 2, 0, 0, 0])
            try transaction.put("empty", [])
        }
        try environment.read { reader throws in
            let span = try #require(try reader.value(for: "numbers")?.byteCount)
            #expect(span == 8)
            guard let value = try reader.value(for: "numbers") else { return }
            let sum = value.withUnsafeBytes { bytes in
                bytes.loadUnaligned(as: UInt32.self)
                    + bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
            }
            #expect(sum == 3)
            guard let empty = try reader.value(for: "empty") else {
                Issue.record("an empty value is not there")
                return
            }
            let isEmpty = empty.isEmpty
            #expect(isEmpty)
            let isThere = try reader.value(for: "nothing") != nil
            #expect(!isThere)
        }
    }

    @Test("A cursor walks a database in both directions")
    func walks() throws {
        try environment.write { transaction throws in
            for letter in ["c", "a", "e", "b", "d"] { try transaction.put(letter, letter + letter) }
        }
        let reader = try environment.beginRead()
        var cursor = try reader.cursor()
        var forward = ""
        while let entry = try cursor.next() {
            forward += text(entry.key) + "=" + text(entry.value) + " "
        }
        #expect(forward == "a=aa b=bb c=cc d=dd e=ee ")
        var backward = ""
        var other = try reader.cursor()
        while let entry = try other.previous() { backward += text(entry.key) }
        #expect(backward == "edcba")
        if let entry = try cursor.seek(atOrAfter: "bx") { #expect(text(entry.key) == "c") }
        if let entry = try cursor.seek(to: "d") { #expect(text(entry.value) == "dd") }
        if let entry = try cursor.current() { #expect(text(entry.key) == "d") }
        if let entry = try cursor.first() { #expect(text(entry.key) == "a") }
        if let entry = try cursor.last() { #expect(text(entry.key) == "e") }
        let afterLast = try cursor.seek(atOrAfter: "z") != nil
        let missing = try cursor.seek(to: "cc") != nil
        #expect(!afterLast && !missing)
    }

    private func text(_ span: RawSpan) -> String {
        span.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    }

    @Test("A write transaction that goes out of scope without a commit changes nothing")
    func abortsByScope() throws {
        do {
            var transaction = try environment.beginWrite()
            try transaction.put("key", "value")
            #expect(try transaction.get("key") == Array("value".utf8))
        }
        #expect(try environment.read { try !$0.contains("key") })
        // And the next writer can begin.
        var transaction = try environment.beginWrite()
        try transaction.put("key", "other")
        try transaction.commit()
        #expect(try environment.read { try $0.get("key") } == Array("other".utf8))
    }

    @Test("A write body that throws changes nothing, and its error is passed on")
    func abortsByError() throws {
        struct Refusal: Error {}
        #expect(throws: Refusal.self) {
            try environment.write { transaction throws in
                try transaction.put("key", "value")
                throw Refusal()
            }
        }
        #expect(try environment.read { try !$0.contains("key") })
        try environment.write { try $0.put("key", "value") }
    }

    @Test("A read transaction keeps its snapshot while others commit")
    func keepsSnapshot() throws {
        try environment.write { try $0.put("key", "old") }
        let reader = try environment.beginRead()
        try environment.write { try $0.put("key", "new") }
        #expect(try reader.get("key") == Array("old".utf8))
        let newer = try environment.beginRead()
        #expect(try newer.get("key") == Array("new".utf8))
        #expect(newer.id > reader.id)
        let readers = try environment.info().readers
        #expect(readers == 2)
    }

    @Test("Errors are typed and say what happened")
    func tellsErrors() throws {
        do throws(DatabaseError) {
            let reader = try environment.beginRead()
            _ = try reader.database("missing")
            Issue.record("a database that is not there was opened")
        } catch {
            #expect(error.code == .notFound)
            #expect(error.message.contains("missing"))
            #expect("\(error)" == error.message)
            #expect(error.resultCode == -2 && error.systemError == 0 && error.page == nil)
        }
        do throws(DatabaseError) {
            _ = try Environment(path: "/nowhere/at/all")
            Issue.record("an environment was made in a directory that is not there")
        } catch {
            #expect(error.code == .system && error.systemError == 2)
            #expect(error.resultCode == 2)
            #expect(error.message.contains("/nowhere/at/all"))
        }
    }

    @Test("Inserting does not change an existing key")
    func inserts() throws {
        try environment.write { transaction throws in
            #expect(try transaction.insert("key", "first"))
            #expect(try !transaction.insert("key", "second"))
            #expect(try transaction.get("key") == Array("first".utf8))
            let wasThere = try transaction.delete("key")
            let isThere = try transaction.delete("key")
            #expect(wasThere && !isThere)
        }
    }

    @Test("A nested transaction commits if its body returns and aborts if it throws")
    func nests() throws {
        struct Regret: Error {}
        try environment.write { transaction throws in
            try transaction.put("key", "outer")
            let length = try transaction.nested { nested throws in
                try nested.put("key", "nested")
                #expect(throws: Regret.self) {
                    try nested.nested { inner throws in
                        try inner.put("key", "inner")
                        try inner.put("other", "inner")
                        throw Regret()
                    }
                }
                return try nested.get("key")?.count
            }
            #expect(length == 6)
        }
        try environment.read { reader throws in
            #expect(try reader.get("key") == Array("nested".utf8))
            #expect(try reader.statistics().entries == 1)
        }
    }

    @Test("Counts are kept")
    func counts() throws {
        try environment.write { transaction throws in
            let handle = try transaction.createDatabase("numbers")
            for number in 0..<1000 { try transaction.put("\(number)", "\(number)", in: handle) }
            try transaction.put("large", [UInt8](repeating: 1, count: 100_000))
            let statistics = try transaction.statistics(of: handle)
            #expect(statistics.entries == 1000 && statistics.pageSize == 4096)
            #expect(statistics.depth == 2 && statistics.branchPages == 1)
            #expect(try transaction.statistics().overflowPages == 25)
        }
        let info = try environment.info()
        #expect(info.databases == 1 && info.pageSize == 4096 && info.formatVersion == 1)
        #expect(info.maxKeySize == 1984 && info.fileSize >= info.pageCount * 4096)
        let report = try environment.verify()
        #expect(report.entries == 1001 && report.databases == 1 && report.problems == 0)
    }

    private func count(_ key: String) throws(DatabaseError) -> Int {
        try environment.read { reader throws(DatabaseError) in
            try reader.get(key)?.count ?? 0
        }
    }

    private func store(_ key: String, _ values: [String]) throws(DatabaseError) -> Int {
        try environment.write { transaction throws(DatabaseError) in
            for value in values { try transaction.put(key, value) }
            return values.count
        }
    }

    @Test("Bodies that throw the library's errors only make calls that do")
    func passesTypedErrorsOn() throws {
        do throws(DatabaseError) {
            #expect(try store("key", ["a", "bc"]) == 2)
            #expect(try count("key") == 2)
            _ = try store("", ["a"])
            Issue.record("an empty key was taken")
        } catch {
            // No cast is needed.
            #expect(error.code == .badValueSize)
        }
        #expect(try count("key") == 2)
        let errors = try environment.metrics().filter { $0.name == "zerodb_errors_total" }
            .reduce(0) { $0 + $1.value }
        #expect(errors == 1)
    }

    @Test("An environment describes itself")
    func describesItself() throws {
        let directory = try TemporaryDirectory()
        let environment = try directory.open()
        #expect("\(environment)" == "Environment(\(directory.path))")
        try environment.close()
        #expect("\(environment)" == "Environment(\(directory.path), closed)")
        var options = EnvironmentOptions()
        options.isReadOnly = true
        let reader = try Environment(path: directory.path, options: options)
        #expect("\(reader)" == "Environment(\(directory.path), for reading only)")
        try reader.close()
    }

    @Test("A transaction keeps its environment in memory")
    func keepsEnvironment() throws {
        let directory = try TemporaryDirectory()
        func reader() throws -> ReadTransaction {
            let environment = try Environment(path: directory.path)
            try environment.write { try $0.put("key", "value") }
            return try environment.beginRead()
        }
        let kept = try reader()
        #expect(try kept.get("key") == Array("value".utf8))
    }
}
