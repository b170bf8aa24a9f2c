import CZeroDB

@testable import ZeroDB

/// Databases and what is in them, without cursors.
extension CallProgram {
    // MARK: Databases

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
                    && (stat.depth == 0) == model.isEmpty,
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

    // MARK: Puts

    private static let putFlags: [UInt32] = [
        0, 0x10, 0x10000, 0x20000, 0x20, 0x40000, 0x10010, 0x20010, 0x60000, 0x30000, 0x30, 0x80,
        0x40,
        0x8000_0000, 0x40010, 0x80000,
    ]

    func pickPutFlags() -> UInt32 {
        let choice = input.byte()
        return choice < 120 ? 0 : Self.putFlags[Int(choice) % Self.putFlags.count]
    }

    func put() {
        var target = pickTarget()
        target.write()
        let key = pickKey(target.model, max: target.keyMax)
        let value = pickValue(target.model, max: target.keyMax)
        let flags = pickPutFlags()
        var put = CallPut(key, value, flags, target.model, keyMax: target.keyMax)
        // These are of cursors.
        if flags & UInt32(ZDB_CURRENT | ZDB_MULTIPLE) != 0 { put.errors.insert(ZDB_BAD_ARGUMENT) }
        let code = make(
            &put, "zdb_put with 0x\(String(flags, radix: 16))", target,
            isRefused: !target.errors.isEmpty
        ) { zdb_put(target.handle, target.database, $0, $1, flags) }
        if code == ZDB_OK, let model = put.model { target.store(model) }
    }

    /// Makes a put by either call, and compares what comes of it.
    func make(
        _ put: inout CallPut, _ name: String, _ target: Target, isRefused: Bool,
        _ body: (UnsafeMutablePointer<zdb_val>?, UnsafeMutablePointer<zdb_val>?) -> Int32
    ) -> Int32 {
        var errors = target.errors.union(put.errors)
        if errors.isEmpty { errors = put.outcome }
        let flags = put.flags
        let bytes = put.value.bytes
        var found: [UInt8] = []
        let code = put.key.with { key in
            put.value.with { value in
                call(name, errors, or: limits(target)) {
                    let code = body(key, value)
                    guard let value else { return code }
                    if code == ZDB_OK, flags & UInt32(ZDB_RESERVE) != 0 {
                        // Filled before the next call, as the program must.
                        check(
                            value.pointee.size == bytes.count, "space of another size is reserved")
                        let space = UnsafeMutableRawPointer(mutating: value.pointee.data)
                        bytes.withUnsafeBytes {
                            if $0.count > 0 {
                                space?.copyMemory(
                                    from: $0.baseAddress.unsafelyUnwrapped, byteCount: $0.count)
                            }
                        }
                    }
                    if code == ZDB_KEYEXIST {
                        found = Array(
                            UnsafeRawBufferPointer(
                                start: value.pointee.data, count: value.pointee.size))
                    }
                    return code
                }
            }
        }
        note(code, of: target.transaction)
        if code == ZDB_KEYEXIST { check(found == put.existing, "\(name) returned another value") }
        if code == ZDB_OK { put.apply() }
        return code
    }

    /// Many keys, one after the other or spread, so that trees grow and split.
    func putMany() {
        let target = pickTarget()
        guard target.errors.isEmpty, let transaction = target.transaction, transaction.isWrite,
            var model = target.model
        else { return }
        let count = 8 << input.below(5)
        let start = UInt16(truncatingIfNeeded: input.word())
        let step = UInt16(1 + input.below(40))
        for index in 0..<UInt16(count) {
            let key = key(start &+ index &* step, model)
            let value = value((start &+ index &* 3) % 241, model, max: target.keyMax)
            let argument = CallBytes(value)
            let errors = model.errors(ofKey: CallBytes(key), max: target.keyMax)
                .union(model.errors(ofValue: argument, max: target.keyMax))
            let code = CallBytes(key).with { key in
                argument.with { value in
                    call("zdb_put, one of many", errors, or: limits(target)) {
                        zdb_put(target.handle, target.database, key, value, 0)
                    }
                }
            }
            note(code, of: transaction)
            guard code == ZDB_OK else { break }
            model.put(key, .bytes(value))
        }
        target.store(model)
    }

    func delete() {
        var target = pickTarget()
        target.write()
        let hasDuplicates = target.model?.type.hasDuplicates == true
        let key = pickKey(target.model, max: target.keyMax)
        let isOfValue = input.byte() % 2 == 0
        let value =
            isOfValue ? pickValue(target.model, max: target.keyMax) : CallBytes([], fault: .missing)
        guard var model = target.model else {
            target.errors.formUnion(key.unknownErrors)
            if value.fault != .missing { target.errors.formUnion(value.errors) }
            call("zdb_del", target.errors) {
                key.with { key in value.with { zdb_del(target.handle, target.database, key, $0) } }
            }
            return
        }
        var errors = target.errors.union(model.errors(ofKey: key, max: target.keyMax))
        let isPair = hasDuplicates && value.fault != .missing
        if isPair { errors.formUnion(model.errors(ofValue: value, max: target.keyMax)) }
        var isDeleted = false
        if errors.isEmpty {
            isDeleted =
                isPair
                ? model.delete(key.bytes, .bytes(value.bytes)) : model.delete(key.bytes)
            if !isDeleted { errors = [ZDB_NOT_FOUND] }
        }
        let code = call("zdb_del", errors, or: limits(target)) {
            key.with { key in value.with { zdb_del(target.handle, target.database, key, $0) } }
        }
        note(code, of: target.transaction)
        if code == ZDB_OK { target.store(model) }
    }

    // MARK: Reads

    func get() {
        let target = pickTarget()
        let key = pickKey(target.model, max: target.keyMax)
        var errors = target.errors.union(
            target.model?.errors(ofKey: key, max: target.keyMax) ?? key.unknownErrors)
        let expected = errors.isEmpty ? target.model?.value(for: key.bytes) : nil
        if errors.isEmpty, expected == nil { errors = [ZDB_NOT_FOUND] }
        var value = zdb_val()
        let isAsked = input.byte() % 8 != 0
        let code = key.with { key in
            call("zdb_get", errors) {
                isAsked
                    ? zdb_get(target.handle, target.database, key, &value)
                    : zdb_get(target.handle, target.database, key, nil)
            }
        }
        guard code == ZDB_OK, isAsked, let expected else { return }
        check(value.equals(expected.bytes), "zdb_get returned another value")
        keep(value, target.transaction)
    }

    func getMany() {
        let target = pickTarget()
        let keys = (0..<input.below(40)).map { _ in pickKey(target.model, max: target.keyMax) }
        // What is no zdb_val at all cannot be in an array.
        let usable = keys.filter { $0.fault == nil }
        var errors = target.errors
        for key in usable {
            errors.formUnion(
                target.model?.errors(ofKey: key, max: target.keyMax) ?? key.unknownErrors)
        }
        let packed = usable.flatMap(\.bytes)
        var values = [zdb_val](repeating: zdb_val(), count: usable.count + 1)
        var found = 77
        let code = packed.withUnsafeBytes { bytes in
            var start = 0
            var array: [zdb_val] = []
            for key in usable {
                array.append(
                    zdb_val(data: bytes.baseAddress.map { $0 + start }, size: key.bytes.count))
                start += key.bytes.count
            }
            array.append(zdb_val())
            return call("zdb_get_many", errors) {
                zdb_get_many(target.handle, target.database, array, &values, usable.count, &found)
            }
        }
        guard code == ZDB_OK, let model = target.model else { return }
        var count = 0
        for (index, key) in usable.enumerated() {
            let expected = model.value(for: key.bytes)
            count += expected == nil ? 0 : 1
            check(
                (values[index].data != nil) == (expected != nil)
                    && values[index].equals(expected?.bytes ?? []),
                "zdb_get_many returned another value for key \(index)")
        }
        check(found == count, "zdb_get_many found \(found) of \(count)")
    }

    func compare() {
        let target = pickTarget()
        let isOfValues = input.byte() % 2 == 0
        let one =
            isOfValues
            ? pickValue(target.model, max: target.keyMax)
            : pickKey(target.model, max: target.keyMax)
        let other =
            isOfValues
            ? pickValue(target.model, max: target.keyMax)
            : pickKey(target.model, max: target.keyMax)
        var errors = target.errors.union(one.errors).union(other.errors)
        if target.model == nil { errors.insert(ZDB_BAD_VALSIZE) }
        if let model = target.model {
            for bytes in [one, other] {
                errors.formUnion(
                    isOfValues
                        ? model.errors(ofValue: bytes, max: target.keyMax)
                        : model.errors(ofKey: bytes, max: target.keyMax))
            }
            let flags = model.type.flags
            let isOfOneSize = flags.contains(isOfValues ? .fixedSizeDuplicates : .integerKeys)
            if isOfOneSize, one.bytes.count != other.bytes.count { errors.insert(ZDB_BAD_VALSIZE) }
            if isOfValues, !model.type.hasDuplicates { errors.insert(ZDB_INCOMPATIBLE) }
        }
        var order: Int32 = 5
        let code = one.with { one in
            other.with { other in
                call(isOfValues ? "zdb_dcmp" : "zdb_cmp", errors) {
                    isOfValues
                        ? zdb_dcmp(target.handle, target.database, one, other, &order)
                        : zdb_cmp(target.handle, target.database, one, other, &order)
                }
            }
        }
        guard code == ZDB_OK, let model = target.model else { return }
        let expected =
            isOfValues
            ? model.compareValues(.bytes(one.bytes), .bytes(other.bytes))
            : model.compareKeys(one.bytes, other.bytes)
        check(Int(order.signum()) == expected.signum(), "the order is \(order), not \(expected)")
    }

    // MARK: Ranges and ranks

    private func pickEnd(_ target: Target) -> CallBytes {
        input.byte() % 4 == 0
            ? CallBytes([], fault: .missing) : pickKey(target.model, max: target.keyMax)
    }

    /// The errors of a range's ends.
    private func rangeErrors(_ target: Target, _ ends: [CallBytes]) -> Set<Int32> {
        var errors = target.errors
        for end in ends where end.fault != .missing {
            errors.formUnion(
                target.model?.errors(ofKey: end, max: target.keyMax) ?? end.unknownErrors)
        }
        let given = ends.filter { $0.fault == nil }
        let isOfIntegers = target.model?.type.flags.contains(.integerKeys) == true
        if isOfIntegers, given.count == 2, given[0].bytes.count != given[1].bytes.count {
            errors.insert(ZDB_BAD_VALSIZE)
        }
        return errors
    }

    func ranges() {
        var target = pickTarget()
        let from = pickEnd(target)
        let to = pickEnd(target)
        let isDeletion = input.byte() % 2 == 0
        if isDeletion { target.write() }
        let errors = rangeErrors(target, [from, to])
        var count: UInt64 = 99
        let code = from.with { from in
            to.with { to in
                call(
                    isDeletion ? "zdb_del_range" : "zdb_count_range", errors,
                    or: isDeletion ? limits(target) : []
                ) {
                    isDeletion
                        ? zdb_del_range(target.handle, target.database, from, to, &count)
                        : zdb_count_range(target.handle, target.database, from, to, &count)
                }
            }
        }
        if isDeletion { note(code, of: target.transaction) }
        guard code == ZDB_OK, var model = target.model else { return }
        let first = from.fault == .missing ? nil : from.bytes
        let last = to.fault == .missing ? nil : to.bytes
        let range = model.range(from: first, to: last)
        let expected = model.distance(from: range.lowerBound, to: range.upperBound)
        check(count == expected, "a range has \(count) entries of \(expected)")
        guard isDeletion else { return }
        model.deleteRange(from: first, to: last)
        target.store(model)
    }

    func ranks() {
        let target = pickTarget()
        guard input.byte() % 4 != 0 else { return splitRange(target) }
        let key = pickKey(target.model, max: target.keyMax)
        var errors = target.errors.union(
            target.model?.errors(ofKey: key, max: target.keyMax) ?? key.unknownErrors)
        if let model = target.model, !model.type.isCounted { errors.insert(ZDB_INCOMPATIBLE) }
        let isThere = errors.isEmpty && target.model?.contains(key.bytes) == true
        let isAnswered = errors.isEmpty
        if isAnswered, !isThere { errors = [ZDB_NOT_FOUND] }
        var rank: UInt64 = 99
        key.with { key in
            _ = call("zdb_rank", errors) { zdb_rank(target.handle, target.database, key, &rank) }
        }
        guard isAnswered, let model = target.model else { return }
        check(rank == model.rank(key.bytes), "zdb_rank says \(rank), not \(model.rank(key.bytes))")
    }

    private func splitRange(_ target: Target) {
        let from = pickEnd(target)
        let to = pickEnd(target)
        let parts = [1, 2, 3, 7, 64, 1 << 20, 0, (1 << 20) + 1][input.below(8)]
        var errors = rangeErrors(target, [from, to])
        if let model = target.model, !model.type.isCounted { errors.insert(ZDB_INCOMPATIBLE) }
        if parts == 0 || parts > 1 << 20 { errors.insert(ZDB_BAD_ARGUMENT) }
        // A million searches take their time.
        if parts == 1 << 20, (target.model?.count ?? 0) > 0 { return }
        var count = 0
        let code = from.with { from in
            to.with { to in
                call("zdb_split_range", errors) {
                    zdb_split_range(
                        target.handle, target.database, from, to, UInt32(parts),
                        { context, _ in
                            context?.assumingMemoryBound(to: Int.self).pointee += 1
                            return 0
                        }, &count)
                }
            }
        }
        check(code != ZDB_OK || count < parts, "\(parts) parts have \(count) borders")
    }
}

/// A put, and what should come of it.
struct CallPut {
    var key: CallBytes
    var value: CallBytes
    var flags: UInt32
    var model: ReferenceModel?
    var errors: Set<Int32> = []
    /// What it returns if no error is due.
    var outcome: Set<Int32> = []
    /// The value that is there already.
    var existing: [UInt8]?

    init(
        _ key: CallBytes, _ value: CallBytes, _ flags: UInt32, _ model: ReferenceModel?, keyMax: Int
    ) {
        self.key = key
        self.value = value
        self.flags = flags
        self.model = model
        let known = UInt32(
            ZDB_NOOVERWRITE | ZDB_NODUPDATA | ZDB_CURRENT | ZDB_RESERVE | ZDB_APPEND | ZDB_APPENDDUP
                | ZDB_MULTIPLE)
        if flags & ~known != 0 { errors.insert(ZDB_BAD_ARGUMENT) }
        let isReserving = flags & UInt32(ZDB_RESERVE) != 0
        errors.formUnion(key.errors)
        if !isReserving || value.fault != .noData { errors.formUnion(value.errors) }
        guard let model else {
            errors.insert(ZDB_BAD_VALSIZE)
            return
        }
        errors.formUnion(model.errors(ofKey: key, max: keyMax))
        if isReserving, model.type.hasDuplicates { errors.insert(ZDB_INCOMPATIBLE) }
        if !isReserving || value.fault != .noData {
            errors.formUnion(model.errors(ofValue: value, max: keyMax))
        }
        if isReserving, value.fault == .noData {
            self.value = CallBytes([UInt8](repeating: 3, count: 5))
        }
        if flags & UInt32(ZDB_NODUPDATA | ZDB_APPENDDUP) != 0, !model.type.hasDuplicates {
            errors.insert(ZDB_INCOMPATIBLE)
        }
        if errors.isEmpty { decide(model) }
    }

    private mutating func decide(_ model: ReferenceModel) {
        let key = key.bytes
        let value = ModelValue.bytes(value.bytes)
        if flags & UInt32(ZDB_APPEND) != 0 {
            if let last = model.last, model.compareKeys(key, last.key) <= 0 {
                outcome = [ZDB_NOT_SORTED]
            }
        } else if flags & UInt32(ZDB_NOOVERWRITE) != 0 {
            existing = model.value(for: key)?.bytes
        } else if flags & UInt32(ZDB_APPENDDUP) != 0 {
            if let last = model.values(of: key).last, model.compareValues(value, last) <= 0 {
                outcome = [ZDB_NOT_SORTED]
            }
        } else if flags & UInt32(ZDB_NODUPDATA) != 0, model.find(key, value) != nil {
            existing = value.bytes
        }
        if existing != nil { outcome = [ZDB_KEYEXIST] }
    }

    /// Does in the model what has been done.
    mutating func apply() { model?.put(key.bytes, .bytes(value.bytes)) }
}
