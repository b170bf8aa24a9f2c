import CZeroDB

@testable import ZeroDB

/// Databases: opening, changing, listing.
extension CallProgram {
    private static let types: [UInt32] = [
        0, 0x04, 0x14, 0x34, 0x02, 0x08, 0x80, 0x84, 0x46, 0x1c, 0xb4, 0x0c, 0x82, 0x88, 0x94, 0x54,
        0x10,
        0x0a, 0x64, 0x01, 0x8000_0000, 0xfe,
    ]

    /// Some databases of different types to begin with.
    func makeDatabases() {
        beginIfNone(isWrite: true)
        guard let transaction = transactions.last, transaction.isWrite else { return }
        let first = Int(input.byte())
        for index in 0..<4 {
            let kind = Self.types[(first + index * 3) % 17]
            let flags = DatabaseFlags(rawValue: UInt16(kind))
            guard flags.inconsistency == nil else { continue }
            let name = "d\(index)"
            var database: UInt32 = 0
            call("zdb_db_open of \(name)", or: limits(transaction.environment)) {
                zdb_db_open(transaction.handle, name, kind | UInt32(ZDB_CREATE), &database)
            }
            check(
                database == transaction.environment.number(of: name), "\(name) has another handle")
            transaction.databases[name] = ReferenceModel(DatabaseType(flags))
        }
    }

    private func pickName() -> String {
        let choice = input.byte()
        switch choice {
        case 254: return ""
        case 255: return String(repeating: "n", count: 512)
        case 253: return String(repeating: "n", count: 511)
        case 200...252: return "name \(choice)" + String(repeating: "m", count: Int(choice))
        default: return "d\(choice % 7)"
        }
    }

    private func nameErrors(_ name: String) -> Set<Int32> {
        (1...511).contains(name.utf8.count) ? [] : [ZDB_BAD_ARGUMENT]
    }

    func openDatabase() {
        let (handle, transaction) = pickTransaction()
        let isMain = input.byte() % 8 == 0
        let name = isMain ? "" : pickName()
        let choice = Int(input.byte())
        let kind = choice < 128 ? Self.types[choice % 8] : Self.types[choice % Self.types.count]
        let creates = input.byte() % 4 != 0
        let isUnknown = kind & ~0xfe != 0
        let flags = DatabaseFlags(rawValue: UInt16(truncatingIfNeeded: kind & 0xfe))
        var errors: Set<Int32> = []
        if isUnknown { errors.insert(ZDB_BAD_ARGUMENT) }
        if flags.inconsistency != nil { errors.insert(ZDB_INCOMPATIBLE) }
        if !isMain { errors.formUnion(nameErrors(name)) }
        if let refusal = transaction?.refusal { errors.insert(refusal) }
        if transaction == nil { errors.insert(ZDB_BAD_HANDLE) }
        let isNamed = errors.isEmpty
        var isMade = false
        if let transaction {
            if let known = transaction.databases[name] {
                let isChanged = !flags.isEmpty && flags != known.type.flags
                let mayChange = isMain && creates && known.type.flags.isEmpty && known.isEmpty
                if isChanged, mayChange {
                    isMade = true
                    if !transaction.isWrite { errors.insert(ZDB_READ_ONLY) }
                } else if isChanged {
                    errors.insert(ZDB_INCOMPATIBLE)
                }
            } else if !creates {
                errors.insert(ZDB_NOT_FOUND)
            } else {
                isMade = true
                if !transaction.isWrite { errors.insert(ZDB_READ_ONLY) }
            }
        }
        var database: UInt32 = 12345
        let word = kind | (creates ? UInt32(ZDB_CREATE) : 0)
        let code = call("zdb_db_open of \(name) with 0x\(String(word, radix: 16))", errors) {
            isMain
                ? zdb_db_open(handle, nil, word, &database)
                : zdb_db_open(handle, name, word, &database)
        }
        // A name gets its handle whether there is such a database or not.
        if isNamed, let transaction {
            let number = transaction.environment.number(of: name)
            check(code != ZDB_OK || database == number, "\(name) has the handle \(database)")
        }
        guard code == ZDB_OK, isMade, let transaction else { return }
        transaction.databases[name] = ReferenceModel(DatabaseType(flags))
    }

    func changeDatabase() {
        var target = pickTarget()
        target.write()
        let choice = input.byte()
        if choice % 4 > 1, target.name == "" { target.errors.insert(ZDB_INCOMPATIBLE) }
        switch choice % 4 {
        case 0, 1:
            let code = call("zdb_db_clear", target.errors, or: limits(target)) {
                zdb_db_clear(target.handle, target.database)
            }
            note(code, of: target.transaction)
            if code == ZDB_OK, let model = target.model { target.store(ReferenceModel(model.type)) }
        case 2:
            let code = call("zdb_db_drop", target.errors, or: limits(target)) {
                zdb_db_drop(target.handle, target.database)
            }
            note(code, of: target.transaction)
            if code == ZDB_OK { forget(target) }
        default: rename(target)
        }
    }

    private func rename(_ target: Target) {
        var errors = target.errors
        let name = pickName()
        errors.formUnion(nameErrors(name))
        let isNamed = errors.isEmpty
        if target.transaction?.databases[name] != nil { errors.insert(ZDB_KEYEXIST) }
        var renamed: UInt32 = 12345
        let code = call("zdb_db_rename to \(name)", errors, or: limits(target)) {
            zdb_db_rename(target.handle, target.database, name, &renamed)
        }
        if isNamed, let transaction = target.transaction {
            let number = transaction.environment.number(of: name)
            check(code != ZDB_OK || renamed == number, "\(name) has the handle \(renamed)")
        }
        guard code == ZDB_OK, let model = target.model else { return }
        forget(target)
        target.transaction?.databases[name] = model
    }

    private func forget(_ target: Target) {
        guard let name = target.name, let transaction = target.transaction else { return }
        transaction.databases[name] = nil
        transaction.disturbed.insert(name)
        for cursor in cursors where cursor.transaction === transaction && cursor.name == name {
            cursor.place = .unknown
        }
    }

    func limits(_ target: Target) -> Set<Int32> {
        target.transaction.map { limits($0.environment) } ?? []
    }

    func askDatabase() {
        let target = pickTarget()
        switch input.below(4) {
        case 0:
            var flags: UInt32 = 0
            let code = call("zdb_db_flags", target.errors) {
                zdb_db_flags(target.handle, target.database, &flags)
            }
            check(
                code != ZDB_OK || flags == UInt32(target.model?.type.flags.rawValue ?? 0),
                "zdb_db_flags says 0x\(String(flags, radix: 16))")
        case 1:
            call("zdb_stat of NULL", target.errors.union([ZDB_BAD_ARGUMENT])) {
                zdb_stat(target.handle, target.database, nil)
            }
        case 2: listDatabases()
        default:
            var stat = zdb_db_stat()
            stat.struct_size = MemoryLayout<zdb_db_stat>.size
            let code = call("zdb_stat", target.errors) {
                zdb_stat(target.handle, target.database, &stat)
            }
            guard code == ZDB_OK, let model = target.model else { return }
            check(
                stat.entries == model.count && stat.keys == model.keyCount
                    && (stat.depth == 0) == model.isEmpty
                    && ContentDigest(low: stat.digest.low, high: stat.digest.high).number
                        == model.digest,
                "zdb_stat says \(stat.entries) entries, \(stat.keys) keys; there are \(model.count) "
                    + "and \(model.keyCount)")
        }
    }

    private final class Listed {
        var names: [String] = []
        var entries: [UInt64] = []
    }

    private func listDatabases() {
        let (handle, transaction) = pickTransaction()
        let listed = Listed()
        let errors: Set<Int32> =
            transaction.map { $0.refusal.map { [$0] } ?? [] } ?? [ZDB_BAD_HANDLE]
        let code = call("zdb_db_list", errors) {
            zdb_db_list(
                handle,
                { context, name, stat in
                    guard let context, let name, let stat else { return 1 }
                    let listed = Unmanaged<Listed>.fromOpaque(context).takeUnretainedValue()
                    listed.names.append(String(cString: name))
                    listed.entries.append(stat.pointee.entries)
                    return 0
                }, Unmanaged.passUnretained(listed).toOpaque())
        }
        guard code == ZDB_OK, let transaction else { return }
        let expected = transaction.databases.filter { !$0.key.isEmpty }.sorted {
            $0.key.utf8.lexicographicallyPrecedes($1.key.utf8)
        }
        check(
            listed.names == expected.map(\.key)
                && listed.entries == expected.map { UInt64($0.value.count) },
            "zdb_db_list lists \(listed.names) with \(listed.entries) entries")
    }
}
