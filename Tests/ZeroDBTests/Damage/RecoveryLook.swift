import CZeroDBPlatform
import Testing

@testable import Simulator
@testable import ZeroDB

/// A look at a damaged environment in recovery mode, in all the ways that cursors move.
struct RecoveryLook {
    typealias Entry = EntryPaths.Entry

    private(set) var entries: [Entry] = []
    private(set) var events: [Event] = []
    private(set) var transaction: UInt64 = 0

    private final class Heard: @unchecked Sendable {
        var events: [Event] = []
    }

    init(
        _ path: String, _ fileSystem: any FileSystem, _ options: EnvironmentOptions,
        root: UInt64 = 0
    ) throws {
        var options = options
        options.recovery = true
        options.recoveryRoot = root
        let heard = Heard()
        options.onEvent = { heard.events.append($0) }
        let environment = try Environment(path: path, options: options, fileSystem: fileSystem)
        let read = try environment.beginRead()
        transaction = read.id
        entries = try Self.scan(read, .main, [])
        for database in try read.databases() {
            let handle = try read.database(database.nameBytes)
            entries += try Self.scan(read, handle, database.nameBytes)
        }
        _ = consume read
        try environment.close()
        events = heard.events
    }

    /// The entries of a database that can be read, found in several ways that must agree.
    private static func scan(
        _ read: borrowing ReadTransaction, _ handle: Database, _ name: [UInt8]
    ) throws -> [Entry] {
        let cursor = ModelCursor(read.access.claim, 0, handle)
        func entry(_ found: CursorState.Entry) -> Entry {
            Entry(database: name, key: Array(found.key), value: Array(found.value))
        }
        var found: [Entry] = []
        while let next = try cursor.state.move(.next) { found.append(entry(next)) }
        // At the end, the cursor stays where it is.
        if let last = found.last {
            let stays = try cursor.state.move(.current).map(entry)
            #expect(stays == last)
        }
        var backwards: [Entry] = []
        var move = CursorState.Move.last
        while let next = try cursor.state.move(move) {
            backwards.append(entry(next))
            move = .previous
        }
        #expect(backwards.reversed() == found)
        try many(read, handle, name, found)
        let record = try read.access.operations.record(handle.handle)
        if record.flags.contains(.duplicates) { try byKeys(read, handle, name, found) }
        for (index, wanted) in found.enumerated() where index % 7 == 0 {
            let sought = try wanted.key.withBytes { key throws(DatabaseError) in
                try cursor.state.seek(key, exact: false)
            }
            let first = found.first { $0.key == wanted.key }
            #expect(sought.map(entry) == first)
        }
        return found
    }

    private static func many(
        _ read: borrowing ReadTransaction, _ handle: Database, _ name: [UInt8], _ found: [Entry]
    ) throws {
        let cursor = ModelCursor(read.access.claim, 0, handle)
        var all: [Entry] = []
        let room = UnsafeMutablePointer<zp_bytes>.allocate(capacity: 14)
        defer { room.deallocate() }
        while true {
            let count = try cursor.state.readMany(
                forward: true, keys: room, values: room + 7, capacity: 7)
            guard count > 0 else { break }
            for index in 0..<count {
                let key = UnsafeRawBufferPointer(start: room[index].data, count: room[index].size)
                let value = UnsafeRawBufferPointer(
                    start: room[7 + index].data, count: room[7 + index].size)
                all.append(Entry(database: name, key: Array(key), value: Array(value)))
            }
        }
        #expect(all == found)
    }

    /// From key to key, and from value to value.
    private static func byKeys(
        _ read: borrowing ReadTransaction, _ handle: Database, _ name: [UInt8], _ found: [Entry]
    ) throws {
        let cursor = ModelCursor(read.access.claim, 0, handle)
        var all: [Entry] = []
        while let first = try cursor.state.move(.nextKey) {
            all.append(Entry(database: name, key: Array(first.key), value: Array(first.value)))
            while let next = try cursor.state.move(.nextValue) {
                all.append(Entry(database: name, key: Array(next.key), value: Array(next.value)))
            }
        }
        #expect(all == found)
        var backwards: [Entry] = []
        while let key = try cursor.state.move(.previousKey).map({ Array($0.key) }) {
            var entry = try cursor.state.move(.lastValue)
            while let value = entry {
                backwards.append(
                    Entry(database: name, key: Array(value.key), value: Array(value.value)))
                entry = try cursor.state.move(.previousValue)
            }
            #expect(backwards.last?.key == key)
        }
        if let last = found.last, all.count > 0 {
            // The key that the cursor stood on is not come to again.
            let rest = found.filter { $0.key != last.key }
            #expect(backwards.reversed() == rest)
        }
    }

    /// Compares with the undamaged entries.
    ///
    /// - Parameter damaged: pages; entries that these lead to may be missing, all others may not.
    func expect(_ paths: EntryPaths, damaged: Set<Int>, _ what: String) {
        let found = Set(entries)
        #expect(found.count == entries.count, "\(what): entries appear twice")
        let all = Set(paths.entries.map(\.entry))
        #expect(found.isSubset(of: all), "\(what): entries that never were")
        let missing = paths.entries.filter {
            $0.pages.isDisjoint(with: damaged) && !found.contains($0.entry)
        }
        #expect(missing.isEmpty, "\(what): \(missing.count) entries are missing that are unharmed")
        // In the order in which they were.
        #expect(paths.entries.map(\.entry).filter { found.contains($0) } == entries)
        guard found.count < all.count else { return }
        // A run is named by its first page.
        let pages = paths.entries.filter { !found.contains($0.entry) }.map(\.pages)
        #expect(
            events.contains { event in
                event.skipped.map { told in pages.contains { $0.contains(Int(told.page)) } }
                    ?? false
            },
            "\(what): nothing was told of what is passed over")
    }
}
