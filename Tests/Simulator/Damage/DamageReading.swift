@testable import ZeroDB

/// What reading all of an environment found, compared with what it should hold.
struct DamageReading {
    private(set) var errors: [DatabaseError] = []
    /// What was wrong without an error.
    private(set) var wrong: [String] = []
    /// The snapshot that was read.
    private(set) var transaction: UInt64?

    var hasFoundSomething: Bool { !errors.isEmpty || !wrong.isEmpty }

    /// Enough to know that something is wrong.
    private static let wrongMax = 4

    /// - Parameters:
    ///   - model: what the state of a transaction holds; nil if it must not be shown.
    ///   - former: keys that were in a database once.
    init(
        _ environment: Environment, former: [String: [[UInt8]]], _ random: inout SeededGenerator,
        model: (UInt64) -> EnvironmentModel?
    ) {
        do throws(DatabaseError) {
            let reader = try environment.beginRead()
            transaction = reader.id
            guard let model = model(reader.id) else {
                wrong.append("the state of transaction \(reader.id) is shown")
                return
            }
            readNames(reader, model)
            for (name, entries) in model.databases.sorted(by: { $0.key < $1.key }) {
                guard wrong.count < Self.wrongMax else { return }
                guard let database = open(reader, name) else { continue }
                let place = name.isEmpty ? "the main database" : "database \"\(name)\""
                readStatistics(reader, database, place, entries)
                getAll(reader, database, place, entries, former[name] ?? [])
                scan(reader, database, place, entries, forward: true)
                scan(reader, database, place, entries, forward: false)
                if entries.type.isCounted { readRanks(reader, database, place, entries, &random) }
                if entries.type.hasDuplicates {
                    seekPairs(reader, database, place, entries, &random)
                }
            }
        } catch {
            errors.append(error)
        }
    }

    // MARK: Databases

    private mutating func readNames(
        _ reader: borrowing ReadTransaction, _ model: EnvironmentModel
    ) {
        do throws(DatabaseError) {
            let found = try reader.databases().map(\.name)
            let expected = model.databases.keys.filter { !$0.isEmpty }.sorted()
            if found != expected { wrong.append("there are the databases \(found)") }
        } catch {
            errors.append(error)
        }
    }

    private mutating func open(
        _ reader: borrowing ReadTransaction, _ name: String
    ) -> Database? {
        if name.isEmpty { return .main }
        do throws(DatabaseError) {
            return try reader.database(name)
        } catch {
            if error.code == .notFound {
                wrong.append("there is no database \"\(name)\"")
            } else {
                errors.append(error)
            }
            return nil
        }
    }

    private mutating func readStatistics(
        _ reader: borrowing ReadTransaction, _ database: Database, _ place: String,
        _ entries: ReferenceModel
    ) {
        do throws(DatabaseError) {
            let found = try reader.statistics(of: database)
            if found.flags != entries.type.flags || found.entries != UInt64(entries.count)
                || found.keys != UInt64(entries.keyCount) || found.digest.number != entries.digest
            {
                wrong.append(
                    "\(place) has \(found.entries) entries, \(found.keys) keys, the flags "
                        + "\(found.flags.rawValue) and the digest \(found.digest)")
            }
        } catch {
            errors.append(error)
        }
    }

    // MARK: Entries

    private mutating func getAll(
        _ reader: borrowing ReadTransaction, _ database: Database, _ place: String,
        _ entries: ReferenceModel, _ former: [[UInt8]]
    ) {
        var previous: [UInt8]?
        for expected in entries where expected.key != previous {
            previous = expected.key
            guard wrong.count < Self.wrongMax else { return }
            do throws(DatabaseError) {
                guard let value = try reader.value(for: expected.key, in: database) else {
                    wrong.append("in \(place), \(show(expected.key)) is missing")
                    continue
                }
                if !value.withUnsafeBytes({ expected.value.matches($0) }) {
                    wrong.append("in \(place), \(show(expected.key)) has another value")
                }
            } catch {
                errors.append(error)
            }
        }
        for key in former where !entries.contains(key) {
            do throws(DatabaseError) {
                if try reader.value(for: key, in: database) != nil {
                    wrong.append("in \(place), \(show(key)) is there, which was deleted")
                }
            } catch {
                errors.append(error)
            }
        }
    }

    private mutating func scan(
        _ reader: borrowing ReadTransaction, _ database: Database, _ place: String,
        _ entries: ReferenceModel, forward: Bool
    ) {
        do throws(DatabaseError) {
            var cursor = try reader.cursor(in: database)
            var index = forward ? entries.startIndex : entries.endIndex
            // Each step is compared, so a scan has no more steps than there are entries.
            while let entry = try Self.step(&cursor, forward: forward) {
                let next = forward ? entries.entry(at: index) : entries.entry(before: index)
                guard let expected = next else {
                    wrong.append("a scan of \(place) finds more than there is")
                    return
                }
                guard Self.isEqual(entry, expected) else {
                    wrong.append(
                        "a scan of \(place) comes to another entry than \(show(expected.key))")
                    return
                }
                index = forward ? entries.index(after: index) : entries.index(before: index)
            }
            if index != (forward ? entries.endIndex : entries.startIndex) {
                wrong.append("a scan of \(place) finds less than there is")
            }
        } catch {
            errors.append(error)
        }
    }

    @_lifetime(&cursor)
    private static func step(
        _ cursor: inout Cursor, forward: Bool
    ) throws(DatabaseError) -> Cursor.Entry? {
        if forward { return try cursor.next() }
        return try cursor.previous()
    }

    private static func isEqual(
        _ entry: borrowing Cursor.Entry, _ expected: ReferenceModel.Entry
    ) -> Bool {
        let isKey = entry.key.withUnsafeBytes { key in
            expected.key.withUnsafeBytes { keyOrder(key, $0) } == 0
        }
        return isKey && entry.value.withUnsafeBytes { expected.value.matches($0) }
    }

    private mutating func readRanks(
        _ reader: borrowing ReadTransaction, _ database: Database, _ place: String,
        _ entries: ReferenceModel, _ random: inout SeededGenerator
    ) {
        for _ in 0..<12 {
            guard let entry = entries.pick(&random) else { return }
            do throws(DatabaseError) {
                let rank = try reader.rank(of: entry.key, in: database)
                if rank != UInt64(entries.rank(entry.key)) {
                    wrong.append("in \(place), \(show(entry.key)) has the rank \(rank)")
                }
                let other = random.below(entries.count)
                var cursor = try reader.cursor(in: database)
                if let found = try cursor.seek(toRank: UInt64(other)),
                    Self.isEqual(found, entries[rank: other])
                {
                    continue
                }
                wrong.append("in \(place), another entry has the rank \(other)")
            } catch {
                errors.append(error)
            }
        }
    }

    private mutating func seekPairs(
        _ reader: borrowing ReadTransaction, _ database: Database, _ place: String,
        _ entries: ReferenceModel, _ random: inout SeededGenerator
    ) {
        for _ in 0..<12 {
            guard let entry = entries.pick(&random) else { return }
            do throws(DatabaseError) {
                var cursor = try reader.cursor(in: database)
                guard try cursor.seek(to: entry.key, value: entry.value.bytes) == nil else {
                    continue
                }
                wrong.append("in \(place), a value of \(show(entry.key)) is missing")
            } catch {
                errors.append(error)
            }
        }
    }
}
