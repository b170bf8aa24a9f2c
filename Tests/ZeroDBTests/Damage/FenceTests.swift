import Testing

@testable import Simulator
@testable import ZeroDB

/// Pages that check, in a place that is not theirs: links that were exchanged, with checksums put right.
@Suite("Keys against the separators that lead to them")
struct FenceTests {
    private static let entries = 3000

    /// An environment in which two leaves have changed places.
    private func exchanged(
        _ mode: ChecksumMode, _ name: String? = nil, flags: DatabaseFlags = []
    ) throws -> (VerifyFixture, [[UInt8]]) {
        let fixture = try VerifyFixture { $0.checksumMode = mode }
        try fixture.fill(name, flags: flags, Self.entries)
        let record = try fixture.record(name)
        #expect(record.depth == 2)
        let root = fixture.page(record.root.number)
        let children = (root.child(3), root.child(7))
        let keys = [3, 7].map { child in
            let leaf = fixture.page(root.child(child).number)
            return Self.key(leaf, leaf.count / 2)
        }
        root.setChild(3, children.1)
        root.setChild(7, children.0)
        fixture.reseal(root.number)
        return (fixture, keys)
    }

    private static func key(_ page: Page, _ index: Int) -> [UInt8] {
        withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 8) { buffer in
            guard let start = buffer.baseAddress else { return [] }
            return Array(buffer[..<page.copyKey(index, to: start)])
        }
    }

    private func isRefused(_ body: () throws -> Void) -> Bool {
        do {
            try body()
            return false
        } catch {
            let error = error as? DatabaseError
            return error?.code == .corrupted && error?.damage == .order
        }
    }

    private static func scan(
        _ reader: borrowing ReadTransaction, _ database: Database, isForward: Bool
    ) throws {
        var cursor = try reader.cursor(in: database)
        if isForward {
            while try cursor.next() != nil {}
        } else {
            while try cursor.previous() != nil {}
        }
    }

    @Test("Mode full refuses every way to such a page", arguments: [false, true])
    func refuses(isCounted: Bool) throws {
        let (fixture, keys) = try exchanged(
            .full, isCounted ? "counted" : nil, flags: isCounted ? .counted : [])
        let environment = fixture.environment
        let reader = try environment.beginRead()
        let database = isCounted ? try reader.database("counted") : .main
        for key in keys {
            #expect(isRefused { _ = try reader.get(key, in: database) })
            #expect(
                isRefused {
                    var cursor = try reader.cursor(in: database)
                    _ = try cursor.seek(atOrAfter: key)
                })
            #expect(isRefused { _ = try reader.count(KeyRange(from: key), in: database) })
            #expect(
                isRefused { try environment.write { try $0.put(key, "value", in: database) } })
            #expect(
                isRefused { _ = try environment.write { try $0.delete(key, in: database) } })
        }
        for isForward in [true, false] {
            #expect(isRefused { try Self.scan(reader, database, isForward: isForward) })
        }
        // All others are there.
        #expect(try reader.contains(VerifyFixture.key(0), in: database))
        #expect(try reader.contains(VerifyFixture.key(Self.entries - 1), in: database))
    }

    @Test("Verification finds it whatever the mode", arguments: [ChecksumMode.none, .fast, .full])
    func verifies(mode: ChecksumMode) throws {
        let (fixture, _) = try exchanged(mode)
        let (_, problems) = try fixture.verify()
        #expect(problems.map(\.kind) == [.order, .order])
    }

    @Test("A sound environment is read and written in mode full as in any other")
    func allowsWhatIsSound() throws {
        let fixture = try VerifyFixture { $0.checksumMode = .full }
        try fixture.fill(5000)
        try fixture.fillValues("values", flags: [.duplicates], [1], 5000)
        for number in stride(from: 0, to: 5000, by: 3) {
            try fixture.environment.write { try $0.delete(VerifyFixture.key(number)) }
        }
        #expect(try fixture.unreadable(nil, 5000).isEmpty)
        #expect(try fixture.verify().problems.isEmpty)
    }
}
