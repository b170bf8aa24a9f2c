import Testing

@testable import ZeroDB

/// Cursors in write transactions, where the tree changes under them.
@Suite("Cursors")
struct CursorTests {
    private let environment: Environment

    init() throws { environment = try Environment.inMemory() }

    /// Runs a body with a write transaction that holds `keys`, each its own value, and a cursor.
    private func withCursor(
        _ keys: [String], _ body: (inout WriteTransaction, inout CursorState) throws -> Void
    ) throws {
        var transaction = try environment.beginWrite()
        for key in keys { try transaction.put(key, key) }
        var cursor = CursorState(transaction: transaction.access.claim.state)
        cursor.begin(
            transaction.access.claim.state, handle: transaction.access.claim.handle, database: 0)
        defer { cursor.deallocate() }
        try body(&transaction, &cursor)
        transaction.abort()
    }

    private func key(_ entry: CursorState.Entry?) -> String? {
        entry.map { String(decoding: $0.key, as: UTF8.self) }
    }

    private func seek(_ cursor: inout CursorState, _ key: String) throws -> String? {
        let found = try key.withBytes { key throws(DatabaseError) in
            try cursor.seek(key, exact: false)
        }
        return self.key(found)
    }

    @Test("A cursor whose entry is deleted stands between its neighbours")
    func standsBetween() throws {
        try withCursor(["a", "b", "c", "d"]) { transaction, cursor throws in
            #expect(try seek(&cursor, "b") == "b")
            try transaction.delete("b")
            #expect(throws: DatabaseError.self) { try cursor.move(.current) }
            #expect(try key(cursor.move(.next)) == "c")
            #expect(try key(cursor.move(.previous)) == "a")
            try transaction.delete("a")
            #expect(try key(cursor.move(.previous)) == nil)
            #expect(try key(cursor.move(.next)) == "c")
        }
    }

    @Test("A cursor finds its entry again when the entry is put back")
    func findsEntryAgain() throws {
        try withCursor(["a", "b", "c"]) { transaction, cursor throws in
            #expect(try seek(&cursor, "b") == "b")
            try transaction.delete("b")
            try transaction.put("b", "again")
            let entry = try cursor.move(.current)
            #expect(entry.map { Array($0.value) } == Array("again".utf8))
        }
    }

    @Test("A cursor keeps its place in a tree that has become empty")
    func keepsPlaceInEmptyTree() throws {
        try withCursor(["m"]) { transaction, cursor throws in
            #expect(try seek(&cursor, "m") == "m")
            try transaction.delete("m")
            #expect(try key(cursor.move(.next)) == nil)
            #expect(try key(cursor.move(.previous)) == nil)
            try transaction.put("a", "")
            try transaction.put("z", "")
            #expect(try key(cursor.move(.next)) == "z")
            #expect(try seek(&cursor, "m") == "z")
            #expect(try key(cursor.move(.previous)) == "a")
        }
    }

    @Test("A cursor stays on its key while its leaf splits, merges and moves")
    func followsItsKey() throws {
        let keys = (1000..<2000).map { "key \($0)" }
        try withCursor(keys) { transaction, cursor throws in
            #expect(try seek(&cursor, "key 1500") == "key 1500")
            for number in 0..<3000 { try transaction.put("key 1499 \(number)", "more") }
            #expect(try key(cursor.move(.next)) == "key 1501")
            for number in 0..<3000 { try transaction.delete("key 1499 \(number)") }
            for number in 1000..<1495 { try transaction.delete("key \(number)") }
            for number in 1505..<2000 { try transaction.delete("key \(number)") }
            #expect(try key(cursor.move(.current)) == "key 1501")
            #expect(try key(cursor.move(.previous)) == "key 1500")
        }
    }

    @Test("A scan that deletes as it goes deletes everything")
    func deletesWhileScanning() throws {
        let keys = (0..<5000).map { "key \($0)" }
        try withCursor(keys) { transaction, cursor throws in
            var deleted = 0
            while try cursor.move(.next) != nil {
                try cursor.delete()
                deleted += 1
            }
            #expect(deleted == 5000)
            #expect(try transaction.statistics().depth == 0)
        }
    }

    @Test("A scan that replaces each value by a longer one sees each entry once")
    func replacesWhileScanning() throws {
        let keys = (0..<2000).map { "key \($0)" }
        try withCursor(keys) { transaction, cursor throws in
            let long = [UInt8](repeating: 1, count: 700)
            var seen: Set<String> = []
            while let entry = try cursor.move(.next) {
                #expect(seen.insert(String(decoding: entry.key, as: UTF8.self)).inserted)
                try long.withUnsafeBytes { try cursor.replaceCurrent($0) }
            }
            #expect(seen.count == 2000)
            #expect(try transaction.statistics().entries == 2000)
        }
    }

    @Test("A value of the transaction itself serves as key and value of a put")
    func putsOwnBytes() throws {
        try withCursor([]) { transaction, cursor throws in
            let claim = transaction.access.claim
            for number in 0..<300 {
                try transaction.put("key \(number)", "the value of \(number), as a key")
            }
            for number in 0..<300 {
                // Points into a page that the put is about to move.
                let value = try "key \(number)".withBytes { key throws(DatabaseError) in
                    try Operations(claim.state).get(0, key)
                }
                let bytes = try #require(value)
                _ = try cursor.put(bytes, bytes, mode: .overwrite)
                let expected = "the value of \(number), as a key"
                let entry = try #require(try cursor.move(.current))
                #expect(String(decoding: entry.key, as: UTF8.self) == expected)
                #expect(String(decoding: entry.value, as: UTF8.self) == expected)
            }
        }
    }

    @Test("A cursor stays where it was when a put through it is refused")
    func staysAfterRefusedPut() throws {
        try withCursor(["a", "b", "c"]) { _, cursor throws in
            #expect(try seek(&cursor, "b") == "b")
            let tooLong = [UInt8](repeating: 1, count: 5000)
            #expect(throws: DatabaseError.self) {
                try tooLong.withUnsafeBytes { _ = try cursor.put($0, $0, mode: .overwrite) }
            }
            #expect(try key(cursor.move(.current)) == "b")
            #expect(throws: DatabaseError.self) {
                try "a".withBytes { _ = try cursor.put($0, $0, mode: .append) }
            }
            #expect(try key(cursor.move(.next)) == "c", "a refused append moves nothing")
        }
    }
}
