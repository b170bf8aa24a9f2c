import Testing

@testable import Simulator
@testable import ZeroDB

@Suite("Nested transactions")
struct NestingTests {
    private struct TakenBack: Error {}

    private let files = MemoryFileSystem()
    private let environment: Environment

    init() throws { environment = try Environment.inMemory(files) }

    /// The error that a body ends with.
    private func failure(_ body: () throws -> Void) throws -> DatabaseError {
        do {
            try body()
        } catch let error as DatabaseError {
            return error
        }
        throw TestFailure(description: "no error")
    }

    private struct TestFailure: Error, CustomStringConvertible {
        var description: String
    }

    /// Runs a body in a nested transaction and takes it back.
    private func tryOut(
        _ transaction: inout WriteTransaction, _ body: (inout WriteTransaction) throws -> Void
    ) throws {
        do {
            try transaction.nested { nested throws in
                try body(&nested)
                throw TakenBack()
            }
        } catch is TakenBack {}
    }

    private func fill(
        _ transaction: inout WriteTransaction, _ range: Range<Int>, _ value: [UInt8] = [1]
    ) throws {
        for number in range { try transaction.put(KeyMaker.bigEndian(UInt64(number)), value) }
    }

    private static func writeState(
        of transaction: borrowing WriteTransaction
    ) throws -> UnsafeMutablePointer<WriteState> {
        let write = transaction.access.claim.state.pointee.write
        return try #require(write)
    }

    /// What a transaction has in memory and would free.
    private struct Footprint: Equatable {
        var dirtyPages: UInt64
        var singleFrames: Int
        var freed: Int
        var logBytes: Int
        var isDirty: Bool
        var main: UInt64

        init(_ transaction: borrowing WriteTransaction) throws {
            let state = transaction.access.claim.state
            let write = try NestingTests.writeState(of: transaction)
            dirtyPages = write.pointee.workspace.pointee.frames.pointee.dirtyPages
            singleFrames = write.pointee.workspace.pointee.frames.pointee.singleFrames
            freed = write.pointee.workspace.pointee.freed.count
            logBytes = write.pointee.log.count
            isDirty = write.pointee.workspace.pointee.isDirty
            main = state.pointee.trees[0].root.raw
        }
    }

    // MARK: Seeing, giving, taking back

    @Test("A nested transaction sees its parents' changes and adds to them")
    func addsToItsParent() throws {
        try environment.write { outer throws in
            let id = outer.id
            try outer.put("outer", "1")
            try outer.nested { middle throws in
                #expect(try middle.get("outer") == Array("1".utf8))
                try middle.put("middle", "2")
                try middle.nested { inner throws in
                    #expect(try inner.contains("outer") && inner.contains("middle"))
                    #expect(inner.id == id)
                    try inner.delete("outer")
                    try inner.put("inner", "3")
                }
                #expect(try middle.get("outer") == nil)
            }
            #expect(try outer.statistics().entries == 2)
        }
        try environment.read { reader throws in
            #expect(try reader.get("outer") == nil)
            #expect(try reader.get("middle") == Array("2".utf8))
            #expect(try reader.get("inner") == Array("3".utf8))
        }
        #expect(try environment.verify().problems == 0)
    }

    @Test("An aborted nested transaction leaves nothing, whatever its children committed to it")
    func leavesNothing() throws {
        try environment.write { try fill(&$0, 0..<20_000, [UInt8](repeating: 7, count: 20)) }
        var transaction = try environment.beginWrite()
        try fill(&transaction, 5000..<6000, [2])
        try transaction.put("large", [UInt8](repeating: 5, count: 50_000))
        let before = try Footprint(transaction)
        try tryOut(&transaction) { nested throws in
            try fill(&nested, 4000..<8000, [UInt8](repeating: 3, count: 300))
            try nested.put("large", [UInt8](repeating: 6, count: 90_000))
            _ = try nested.createDatabase("made")
            try nested.nested { inner throws in
                for number in 0..<20_000 { try inner.delete(KeyMaker.bigEndian(UInt64(number))) }
                try inner.delete("large")
            }
            #expect(try nested.statistics().entries == 0)
        }
        #expect(try Footprint(transaction) == before)
        #expect(try transaction.get("large") == [UInt8](repeating: 5, count: 50_000))
        #expect(try failure { _ = try transaction.database("made") }.code == .notFound)
        try transaction.commit()
        #expect(try environment.verify().problems == 0)
        try environment.read { reader throws in
            #expect(try reader.statistics().entries == 20_001)
            #expect(try reader.get(KeyMaker.bigEndian(4999))?.count == 20)
            #expect(try reader.get(KeyMaker.bigEndian(5999)) == [2])
        }
    }

    @Test("An outermost transaction whose changes were all aborted makes no new state")
    func commitsNothing() throws {
        try environment.write { try $0.put("key", "value") }
        let before = try environment.info().lastTransaction
        try environment.write { transaction throws in
            try tryOut(&transaction) { try $0.put("other", "value") }
        }
        #expect(try environment.info().lastTransaction == before)
    }

    @Test("A database created in an aborted nested transaction is gone; its handle stays")
    func forgetsDatabases() throws {
        var transaction = try environment.beginWrite()
        var handle = Database.main
        try tryOut(&transaction) { nested throws in
            // Enough of them for the parent's records to have no room for.
            for number in 0..<100 {
                handle = try nested.createDatabase("database \(number)")
                try nested.put("key", "value", in: handle)
            }
        }
        #expect(try failure { _ = try transaction.get("key", in: handle) }.code == .badDatabase)
        try transaction.nested { nested throws in
            #expect(try nested.createDatabase("database 99") == handle)
        }
        #expect(try transaction.statistics(of: handle).entries == 0)
        try transaction.put("key", "again", in: handle)
        try transaction.commit()
        try environment.read { reader throws in
            #expect(try reader.get("key", in: handle) == Array("again".utf8))
        }
        #expect(try environment.verify().databases == 1)
    }

    // MARK: Errors

    @Test(
        "A nested transaction that reaches the page limit can only be aborted; its parent goes on")
    func breaksAlone() throws {
        let environment = try Environment.inMemory {
            $0.maxTransactionPages = 60
        }
        var transaction = try environment.beginWrite()
        try fill(&transaction, 0..<500)
        let before = try Footprint(transaction)
        let value = [UInt8](repeating: 1, count: 500)
        let refused = try failure {
            try transaction.nested { try fill(&$0, 0..<10_000, value) }
        }
        #expect(refused.code == .transactionFull)
        let swallowed = try failure {
            try transaction.nested { nested throws in
                do { try fill(&nested, 0..<10_000, value) } catch is DatabaseError {}
                #expect(try failure { _ = try nested.get([0]) }.code == .badTransaction)
                #expect(try failure { try nested.nested { _ in } }.code == .badTransaction)
            }
        }
        #expect(swallowed.code == .badTransaction)
        #expect(swallowed.message.contains("maxTransactionPages"))
        #expect(try Footprint(transaction) == before)
        try fill(&transaction, 500..<600)
        try transaction.commit()
        try environment.read { reader throws in #expect(try reader.statistics().entries == 600) }
        #expect(try environment.verify().problems == 0)
    }

    @Test("A page that nested transactions change again counts once")
    func countsPagesOnce() throws {
        let environment = try Environment.inMemory {
            $0.maxTransactionPages = 60
        }
        try environment.write { transaction throws in
            try fill(&transaction, 0..<10_000)
            let pages = try Footprint(transaction).dirtyPages
            #expect(pages > 25)
            for round in 2..<5 {
                try transaction.nested { middle throws in
                    try fill(&middle, 0..<10_000, [UInt8(round)])
                    try middle.nested { try fill(&$0, 0..<10_000, [9]) }
                    #expect(try Footprint(middle).dirtyPages == pages)
                }
                #expect(try Footprint(transaction).dirtyPages == pages)
            }
        }
    }

    @Test("Transactions are nested 64 deep and no deeper")
    func boundsDepth() throws {
        func descend(_ transaction: inout WriteTransaction, _ depth: Int) throws {
            try transaction.put("depth \(depth)", "value")
            guard depth < Limits.nestingMax else {
                let error = try failure { try transaction.nested { _ in } }
                #expect(error.code == .full && error.message.contains("64"))
                try transaction.put("deepest", "value")
                return
            }
            try transaction.nested { try descend(&$0, depth + 1) }
        }
        try environment.write { try descend(&$0, 0) }
        try environment.read { reader throws in #expect(try reader.statistics().entries == 66) }
    }

    // MARK: Cursors

    @Test("A cursor of the parent is where it was after a nested transaction aborts")
    func keepsCursors() throws {
        var transaction = try environment.beginWrite()
        try fill(&transaction, 0..<3000)
        let claim = transaction.access.claim
        var cursor = CursorState(transaction: claim.state)
        defer { cursor.deallocate() }
        cursor.begin(claim.state, handle: claim.handle, database: 0)
        let key = KeyMaker.bigEndian(1500)
        _ = try key.withBytes { key throws(DatabaseError) in try cursor.seek(key, exact: true) }
        let page = cursor.path[1].page
        try tryOut(&transaction) { nested throws in
            try fill(&nested, 0..<3000, [2, 2])
            for number in 1000..<2000 { try nested.delete(KeyMaker.bigEndian(UInt64(number))) }
            // The parent's cursor is of no use meanwhile.
            #expect(try failure { _ = try cursor.move(.next) }.code == .badTransaction)
        }
        let next = try #require(try cursor.move(.next))
        #expect(Array(next.key) == KeyMaker.bigEndian(1501) && Array(next.value) == [1])
        // On the way it had: nothing had to be searched again.
        #expect(cursor.path[1].page == page)
        try transaction.nested { nested throws in
            for number in 1000..<2000 { try nested.delete(KeyMaker.bigEndian(UInt64(number))) }
        }
        #expect(Array(try #require(try cursor.move(.next)).key) == KeyMaker.bigEndian(2000))
        #expect(Array(try #require(try cursor.move(.previous)).key) == KeyMaker.bigEndian(999))
    }

    // MARK: Cost

    @Test("A series of nested transactions does not need more and more frames")
    func reusesFrames() throws {
        var transaction = try environment.beginWrite()
        try fill(&transaction, 0..<3000)
        let write = try Self.writeState(of: transaction)
        let frames = write.pointee.workspace.pointee.frames.pointee.count
        for round in 0..<2000 {
            let number = round % 3000
            try transaction.nested { nested throws in
                try fill(&nested, number..<number + 1, [2])
                try nested.put("large", [UInt8](repeating: 1, count: 9000))
                try tryOut(&nested) { try fill(&$0, number..<number + 500, [3, 3]) }
            }
        }
        #expect(write.pointee.workspace.pointee.frames.pointee.count < frames + 100)
        try transaction.commit()
        #expect(try environment.verify().problems == 0)
    }

    // MARK: Log

    @Test("The log has one record, of what was not aborted")
    func logsWhatIsKept() throws {
        try environment.write { transaction throws in
            try tryOut(&transaction) { nested throws in
                // Named in the record and numbered, then cut off again.
                let database = try nested.createDatabase("second")
                try nested.put("key", "lost", in: database)
            }
            try transaction.nested { nested throws in
                let database = try nested.createDatabase("second")
                try nested.put("key", "kept", in: database)
                // More than a record may have: taken back, it is no reason for a checkpoint.
                try tryOut(&nested) { inner throws in
                    for number in 0..<10 {
                        try inner.put("\(number)", [UInt8](repeating: 1, count: 1 << 20))
                    }
                }
                try nested.put("main", "kept")
            }
        }
        let replayed = try Environment.inMemory(files.copy())
        #expect(replayed.recoveryReport.records == 1)
        try replayed.read { reader throws in
            #expect(try reader.get("main") == Array("kept".utf8))
            #expect(try reader.statistics().entries == 1)
            let database = try reader.database("second")
            #expect(try reader.get("key", in: database) == Array("kept".utf8))
            #expect(try reader.statistics(of: database).entries == 1)
        }
        #expect(try replayed.verify().problems == 0)
    }
}
