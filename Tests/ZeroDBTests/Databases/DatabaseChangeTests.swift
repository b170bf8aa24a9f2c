import Testing

@testable import ZeroDB

@Suite("Databases as a whole")
struct DatabaseChangeTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func expectSound(_ environment: Environment) throws {
        var problems: [String] = []
        let report = try environment.verify { problems.append("\($0.page ?? 0): \($0.message)") }
        #expect(report.problems == 0 && problems.isEmpty, "\(problems)")
    }

    @Test("Flags are recorded, and compared at every opening")
    func recordsFlags() throws {
        do {
            let environment = try directory.open()
            var writer = try environment.beginWrite()
            let counted = try writer.createDatabase("counted", flags: .counted)
            let plain = try writer.createDatabase("plain")
            #expect(try writer.flags(of: counted) == .counted)
            #expect(try writer.flags(of: plain).isEmpty)
            try writer.commit()
            try environment.close()
        }
        let environment = try directory.open()
        let reader = try environment.beginRead()
        #expect(try reader.flags(of: try reader.database("counted")) == .counted)
        #expect(try reader.statistics(of: try reader.database("counted")).flags == .counted)
        _ = try reader.database("counted", flags: .counted)
        expectFailure(.incompatible) {
            _ = try reader.database("counted", flags: [.counted, .duplicates])
        }
        expectFailure(.incompatible) { _ = try reader.database("plain", flags: .counted) }
    }

    @Test("Opening a database with other flags names both the flags it has and those asked for")
    func namesFlags() throws {
        let environment = try directory.open()
        var writer = try environment.beginWrite()
        _ = try writer.createDatabase("d", flags: [.duplicates, .counted])
        do {
            _ = try writer.createDatabase("d", flags: [.integerKeys])
            Issue.record("nothing was thrown")
        } catch {
            #expect(error.message.contains("of duplicates, counts"), "\(error)")
            #expect(error.message.contains("of integer keys"), "\(error)")
        }
    }

    @Test("Messages have the names of the Swift interface")
    func speaksSwift() throws {
        let environment = try directory.open()
        let writer = try environment.beginWrite()
        do {
            _ = try writer.database("none")
            Issue.record("nothing was thrown")
        } catch {
            #expect(error.message.contains("open it with createDatabase to make it"), "\(error)")
        }
        do {
            _ = try writer.rank(of: "key")
            Issue.record("nothing was thrown")
        } catch {
            #expect(error.message.contains("was made without .counted:"), "\(error)")
        }
        do {
            var options = EnvironmentOptions()
            options.pageSize = 5000
            _ = try Environment(path: directory.path + "-other", options: options)
            Issue.record("nothing was thrown")
        } catch {
            #expect(error.message.hasPrefix("pageSize is 5000;"), "\(error)")
        }
    }

    @Test(
        "Flags that do not go together are refused",
        arguments: [
            [.reverseKeys, .integerKeys], [.fixedSizeDuplicates], [.reverseDuplicates],
            [.duplicates, .integerDuplicates],
            [.duplicates, .fixedSizeDuplicates, .integerDuplicates, .reverseDuplicates],
            DatabaseFlags(rawValue: 0x100),
        ] as [DatabaseFlags])
    func refusesFlags(flags: DatabaseFlags) throws {
        let environment = try directory.open()
        var writer = try environment.beginWrite()
        expectFailure(.incompatible) { _ = try writer.createDatabase("d", flags: flags) }
        expectFailure(.incompatible) { try writer.createMain(flags: flags) }
        expectFailure(.notFound) { _ = try writer.database("d") }
        try writer.put("k", "v")
        try writer.commit()
    }

    @Test("The main database accepts flags while it is plain and empty")
    func makesMain() throws {
        do {
            let environment = try directory.open()
            var writer = try environment.beginWrite()
            try writer.createMain(flags: .counted)
            #expect(try writer.flags() == .counted)
            try writer.createMain(flags: .counted)
            expectFailure(.incompatible) { try writer.createMain(flags: .duplicates) }
            try writer.commit()
            try environment.close()
        }
        let environment = try directory.open()
        let reader = try environment.beginRead()
        #expect(try reader.flags() == .counted)
    }

    @Test("A main database with entries stays as it is")
    func keepsMain() throws {
        let environment = try directory.open()
        var writer = try environment.beginWrite()
        try writer.put("k", "v")
        expectFailure(.incompatible) { try writer.createMain(flags: .counted) }
        try writer.delete("k")
        try writer.createMain(flags: .counted)
        #expect(try writer.flags() == .counted)
    }

    @Test("One transaction may drop, create and rename the same name again and again")
    func changesNamesInOneTransaction() throws {
        let environment = try directory.open()
        try environment.write { writer throws in
            let old = try writer.createDatabase("old")
            try writer.put("k", "1", in: old)
            _ = try writer.createDatabase("other", flags: .counted)
        }
        try environment.write { writer throws in
            let old = try writer.database("old")
            // Dropped, then made again.
            try writer.drop(old)
            expectFailure(.badDatabase) { _ = try writer.get("k", in: old) }
            expectFailure(.badDatabase) { try writer.drop(old) }
            #expect(try writer.createDatabase("old") == old)
            #expect(try writer.get("k", in: old) == nil)
            try writer.put("k", "2", in: old)
            // Renamed; its old name made anew, and the new one given back.
            let renamed = try writer.rename(old, to: "new")
            #expect(try writer.get("k", in: renamed) == Array("2".utf8))
            expectFailure(.badDatabase) { _ = try writer.get("k", in: old) }
            expectFailure(.keyExists) { _ = try writer.rename(renamed, to: "other") }
            expectFailure(.keyExists) { _ = try writer.rename(renamed, to: "new") }
            _ = try writer.createDatabase("old", flags: .counted)
            expectFailure(.keyExists) { _ = try writer.rename(renamed, to: "old") }
            // Renamed to a name dropped in the same transaction.
            try writer.drop(old)
            #expect(try writer.rename(renamed, to: "old") == old)
            #expect(try writer.get("k", in: old) == Array("2".utf8))
            // Cleared, then put to.
            try writer.clear(old)
            #expect(try writer.statistics(of: old).entries == 0)
            try writer.put("l", "3", in: old)
            // Renamed, then dropped.
            let other = try writer.rename(try writer.database("other"), to: "gone")
            try writer.drop(other)
            #expect(try writer.databases().map { $0.name } == ["old"])
        }
        let reader = try environment.beginRead()
        #expect(try reader.databases().map { $0.name } == ["old"])
        let old = try reader.database("old")
        #expect(try reader.get("l", in: old) == Array("3".utf8))
        #expect(try reader.statistics(of: old).entries == 1)
        try expectSound(environment)
    }

    @Test("Databases that an aborted transaction dropped, renamed or cleared are still there")
    func aborts() throws {
        let environment = try directory.open()
        try environment.write { writer throws in
            for name in ["a", "b", "c"] {
                let database = try writer.createDatabase(name)
                for key in 0..<1000 { try writer.put("\(key)", name, in: database) }
            }
        }
        do {
            var writer = try environment.beginWrite()
            try writer.drop(try writer.database("a"))
            _ = try writer.rename(try writer.database("b"), to: "z")
            try writer.clear(try writer.database("c"))
            #expect(try writer.databases().map { $0.name } == ["c", "z"])
            writer.abort()
        }
        let reader = try environment.beginRead()
        #expect(try reader.databases().map { $0.name } == ["a", "b", "c"])
        for listed in try reader.databases() { #expect(listed.statistics.entries == 1000) }
        try expectSound(environment)
    }

    @Test("The main database is not dropped or renamed, and can be cleared")
    func clearsMain() throws {
        let environment = try directory.open()
        try environment.write { writer throws in
            for key in 0..<5000 { try writer.put("\(key)", "value") }
        }
        try environment.write { writer throws in
            expectFailure(.incompatible) { try writer.drop(.main) }
            expectFailure(.incompatible) { _ = try writer.rename(.main, to: "main") }
            try writer.clear()
            #expect(try writer.statistics().entries == 0 && writer.statistics().leafPages == 0)
        }
        try expectSound(environment)
    }

    @Test("A cursor on a database that is dropped and created again reads the new one")
    func keepsCursors() throws {
        let environment = try directory.open()
        let writer = try environment.beginWrite()
        let operations = writer.access.operations
        let handle = try "d".withBytes { name throws(DatabaseError) in
            try operations.openDatabase(name, create: true)
        }
        func put(_ key: String) throws {
            _ = try key.withBytes { key throws(DatabaseError) in
                try operations.put(handle, key, key, mode: .overwrite)
            }
        }
        for key in ["a", "b", "c"] { try put(key) }
        var cursor = CursorState(transaction: writer.access.claim.state)
        defer { cursor.deallocate() }
        cursor.begin(
            writer.access.claim.state, handle: writer.access.claim.handle, database: handle)
        _ = try cursor.move(.first)
        try operations.drop(handle)
        expectFailure(.badDatabase) { _ = try cursor.move(.next) }
        _ = try "d".withBytes { name throws(DatabaseError) in
            try operations.openDatabase(name, create: true)
        }
        #expect(try cursor.move(.next) == nil)
        try put("b")
        let next = try cursor.move(.next)
        #expect(next.map { Array($0.key) } == Array("b".utf8))
    }
}
