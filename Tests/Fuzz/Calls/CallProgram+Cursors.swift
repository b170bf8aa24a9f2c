import CZeroDB

@testable import ZeroDB

/// Cursors.
extension CallProgram {
    /// A cursor and what it moves in, with the errors of calls with it.
    private struct CursorTarget {
        var handle: OpaquePointer?
        var cursor: CursorModel?
        var target: Target

        var model: ReferenceModel? { target.model }
        var errors: Set<Int32> { target.errors }
    }

    private func pickCursorTarget() -> CursorTarget {
        let (handle, cursor) = pickCursor()
        var errors: Set<Int32> = []
        var model: ReferenceModel?
        if let cursor {
            let transaction = cursor.transaction
            if !cursor.isOpen {
                errors.insert(ZDB_BAD_HANDLE)
            } else if !transaction.isOpen {
                errors.insert(ZDB_BAD_CURSOR)
            } else if let refusal = transaction.refusal {
                errors.insert(refusal)
            } else {
                if cursor.snapshots != transaction.snapshots { cursor.renew(transaction) }
                model = cursor.name.flatMap { transaction.databases[$0] }
                if model == nil { errors.insert(ZDB_BAD_DB) }
            }
        } else {
            errors.insert(ZDB_BAD_HANDLE)
        }
        return CursorTarget(
            handle: handle, cursor: cursor,
            target: Target(
                handle: nil, transaction: cursor?.transaction, database: cursor?.database ?? 0,
                name: cursor?.name, model: model, errors: errors))
    }

    func openCursor() {
        let target = pickTarget()
        var handle = OpaquePointer(bitPattern: 1)
        let code = call("zdb_cursor_open", target.errors) {
            zdb_cursor_open(target.handle, target.database, &handle)
        }
        check(code == ZDB_OK || handle == nil, "a cursor that was not opened has a handle")
        guard code == ZDB_OK, let handle, let transaction = target.transaction else { return }
        cursors.append(CursorModel(handle, transaction, target.database))
        if cursors.count > Self.slots * 2 {
            let old = cursors.removeFirst()
            if old.isOpen { call("zdb_cursor_close") { zdb_cursor_close(old.handle) } }
        }
    }

    /// Opens a cursor if there is none that can move.
    func openCursorIfNone() {
        if cursors.contains(where: { $0.isOpen && $0.transaction.refusal == nil }) { return }
        openCursor()
    }

    func closeCursor() {
        let (handle, cursor) = pickCursor()
        let isOpen = handle == nil || cursor?.isOpen == true
        call("zdb_cursor_close", isOpen ? [] : [ZDB_BAD_HANDLE]) { zdb_cursor_close(handle) }
        if let cursor, cursor.isOpen {
            cursor.isOpen = false
            dead.append(cursor.handle)
        }
    }

    func renewCursor() {
        let (handle, transaction) = pickTransaction()
        let (cursorHandle, cursor) = pickCursor()
        var errors: Set<Int32> = []
        if transaction == nil || cursor?.isOpen != true { errors.insert(ZDB_BAD_HANDLE) }
        if let refusal = transaction?.refusal { errors.insert(refusal) }
        if let transaction, let cursor {
            if cursor.transaction.environment !== transaction.environment {
                errors.insert(ZDB_INCOMPATIBLE)
            } else if cursor.name.flatMap({ transaction.databases[$0] }) == nil {
                errors.insert(ZDB_BAD_DB)
            }
        }
        let code = call("zdb_cursor_renew", errors) { zdb_cursor_renew(handle, cursorHandle) }
        if code == ZDB_OK, let transaction { cursor?.renew(transaction) }
    }

    func askCursor() {
        let choice = input.byte()
        guard choice % 4 != 0 else { return askTransaction() }
        guard choice % 4 != 1 else {
            let (handle, cursor) = pickCursor()
            let database = zdb_cursor_db(handle)
            check(
                database == (cursor?.isOpen == true ? cursor?.database : UInt32.max),
                "zdb_cursor_db returned \(database)")
            let isLive = cursor?.isOpen == true && cursor?.transaction.isOpen == true
            let transaction = zdb_cursor_txn(handle)
            check(
                transaction == (isLive ? cursor?.transaction.handle : nil),
                "zdb_cursor_txn returned another transaction")
            return
        }
        let target = pickCursorTarget()
        let isCount = choice % 4 == 2
        var number: UInt64 = 99
        var (errors, others) = place(target, needsEntry: true)
        if let model = target.model, isCount ? !model.type.hasDuplicates : !model.type.isCounted {
            errors.insert(ZDB_INCOMPATIBLE)
        }
        if !others.isEmpty { others.insert(ZDB_OK) }
        let code = call(isCount ? "zdb_cursor_count" : "zdb_cursor_rank", errors, or: others) {
            isCount
                ? zdb_cursor_count(target.handle, &number) : zdb_cursor_rank(target.handle, &number)
        }
        guard code == ZDB_OK, let model = target.model, let entry = target.cursor?.entry(in: model)
        else { return }
        let expected =
            isCount
            ? model.values(of: entry.key).count
            : model.rank(of: model.lowerBound(entry.key, entry.value))
        check(number == expected, "a cursor says \(number), not \(expected)")
    }

    /// The errors of a call that needs an entry, or that only needs a place; and those that are not known
    /// to be due, where the place is not.
    private func place(
        _ target: CursorTarget, needsEntry: Bool
    ) -> (errors: Set<Int32>, others: Set<Int32>) {
        guard let model = target.model, let cursor = target.cursor else {
            return (target.errors, [])
        }
        switch cursor.place {
        case .unknown: return (target.errors, [ZDB_BAD_CURSOR, ZDB_NOT_FOUND])
        case .nowhere: return (target.errors.union([ZDB_BAD_CURSOR]), [])
        case .at:
            let isOff = needsEntry && cursor.entry(in: model) == nil
            return (target.errors.union(isOff ? [ZDB_BAD_CURSOR] : []), [])
        }
    }

    // MARK: Moves

    func moveCursor() {
        let choice = Int(input.byte())
        let target = pickCursorTarget()
        if choice == 255 {
            let operation = zdb_cursor_op(rawValue: 19 + UInt32(input.byte()))
            call("zdb_cursor_get of no operation", target.errors.union([ZDB_BAD_ARGUMENT])) {
                zdb_cursor_get(target.handle, nil, nil, operation)
            }
            return
        }
        let operations: [zdb_cursor_op] = [
            ZDB_NEXT, ZDB_PREV, ZDB_NEXT, ZDB_SET, ZDB_SET_RANGE, ZDB_FIRST, ZDB_LAST,
            ZDB_GET_CURRENT,
            ZDB_SET_KEY, ZDB_GET_BOTH, ZDB_GET_BOTH_RANGE, ZDB_FIRST_DUP, ZDB_LAST_DUP,
            ZDB_NEXT_DUP,
            ZDB_PREV_DUP, ZDB_NEXT_NODUP, ZDB_PREV_NODUP, ZDB_GET_MULTIPLE, ZDB_NEXT_MULTIPLE,
            ZDB_PREV_MULTIPLE,
        ]
        let operation = operations[choice % operations.count]
        switch operation {
        case ZDB_SET, ZDB_SET_KEY, ZDB_SET_RANGE, ZDB_GET_BOTH, ZDB_GET_BOTH_RANGE:
            seek(target, operation)
        case ZDB_GET_MULTIPLE, ZDB_NEXT_MULTIPLE, ZDB_PREV_MULTIPLE: multiple(target, operation)
        default: move(target, operation)
        }
    }

    private func seek(_ target: CursorTarget, _ operation: zdb_cursor_op) {
        let isOfPair = operation == ZDB_GET_BOTH || operation == ZDB_GET_BOTH_RANGE
        let max = target.target.keyMax
        let key = pickKey(target.model, max: max)
        let value = isOfPair ? pickValue(target.model, max: max) : CallBytes([])
        var errors = target.errors.union(
            target.model?.errors(ofKey: key, max: max) ?? key.unknownErrors)
        if isOfPair {
            errors.formUnion(target.model?.errors(ofValue: value, max: max) ?? value.unknownErrors)
            if let model = target.model, !model.type.hasDuplicates {
                errors.insert(ZDB_INCOMPATIBLE)
            }
        }
        var expected: ReferenceModel.Entry?
        let isSought = errors.isEmpty
        if isSought, let model = target.model {
            let index =
                isOfPair
                ? model.lowerBound(key.bytes, .bytes(value.bytes)) : model.lowerBound(key.bytes)
            expected = model.entry(at: index)
            if operation != ZDB_SET_RANGE, expected?.key != key.bytes { expected = nil }
            if operation == ZDB_GET_BOTH, expected?.value.bytes != value.bytes { expected = nil }
            if expected == nil { errors = [ZDB_NOT_FOUND] }
        }
        key.with { key in
            value.with { value in
                let code = call("zdb_cursor_get of operation \(operation.rawValue)", errors) {
                    zdb_cursor_get(target.handle, key, value, operation)
                }
                guard code == ZDB_OK, let expected else { return }
                check(
                    key?.pointee.equals(expected.key) == true
                        && value?.pointee.equals(expected.value.bytes) == true,
                    "operation \(operation.rawValue) found another entry")
                if let value { keep(value.pointee, target.cursor?.transaction) }
            }
        }
        if isSought {
            target.cursor?.place = expected.map { .at($0) } ?? .nowhere
        } else if target.errors.isEmpty {
            target.cursor?.place = .unknown
        }
    }

    private func move(_ target: CursorTarget, _ operation: zdb_cursor_op) {
        let isOfValues = [ZDB_FIRST_DUP, ZDB_LAST_DUP, ZDB_NEXT_DUP, ZDB_PREV_DUP].contains(
            operation)
        let needsEntry = [ZDB_GET_CURRENT, ZDB_FIRST_DUP, ZDB_LAST_DUP].contains(operation)
        var (errors, others): (Set<Int32>, Set<Int32>) = (target.errors, [])
        if needsEntry || isOfValues { (errors, others) = place(target, needsEntry: needsEntry) }
        if isOfValues, let model = target.model, !model.type.hasDuplicates {
            errors.insert(ZDB_INCOMPATIBLE)
        }
        let isAbsolute = operation == ZDB_FIRST || operation == ZDB_LAST
        var isKnown = true
        if case .unknown = target.cursor?.place, !isAbsolute {
            isKnown = false
            if target.errors.isEmpty { others = [ZDB_OK, ZDB_NOT_FOUND, ZDB_BAD_CURSOR] }
        }
        var expected: ReferenceModel.Entry?
        let isMoved = errors.isEmpty && isKnown
        if isMoved, let model = target.model, let cursor = target.cursor {
            expected = self.expected(operation, cursor, model)
            if expected == nil { errors = [ZDB_NOT_FOUND] }
        }
        var key = zdb_val()
        var value = zdb_val()
        let code = call("zdb_cursor_get of operation \(operation.rawValue)", errors, or: others) {
            zdb_cursor_get(target.handle, &key, &value, operation)
        }
        guard isMoved else { return }
        if let expected, code == ZDB_OK {
            check(
                key.equals(expected.key) && value.equals(expected.value.bytes),
                "operation \(operation.rawValue) found another entry")
            keep(value, target.cursor?.transaction)
            target.cursor?.place = .at(expected)
        } else if isAbsolute {
            target.cursor?.place = .nowhere
        }
    }

    private func expected(
        _ operation: zdb_cursor_op, _ cursor: CursorModel, _ model: ReferenceModel
    ) -> ReferenceModel.Entry? {
        guard case .at(let entry) = cursor.place else {
            switch operation {
            case ZDB_FIRST, ZDB_NEXT, ZDB_NEXT_NODUP: return model.first
            case ZDB_LAST, ZDB_PREV, ZDB_PREV_NODUP: return model.last
            default: return nil
            }
        }
        func ofKey(_ found: ReferenceModel.Entry?) -> ReferenceModel.Entry? {
            found.flatMap { $0.key == entry.key ? $0 : nil }
        }
        switch operation {
        case ZDB_FIRST: return model.first
        case ZDB_LAST: return model.last
        case ZDB_NEXT: return model.entry(after: entry)
        case ZDB_PREV: return model.entry(before: entry)
        case ZDB_GET_CURRENT: return cursor.entry(in: model)
        case ZDB_FIRST_DUP: return model.entry(at: model.lowerBound(entry.key))
        case ZDB_LAST_DUP: return model.entry(before: model.upperBound(entry.key))
        case ZDB_NEXT_DUP: return ofKey(model.entry(after: entry))
        case ZDB_PREV_DUP: return ofKey(model.entry(before: entry))
        case ZDB_NEXT_NODUP: return model.entry(at: model.upperBound(entry.key))
        default: return model.entry(before: model.lowerBound(entry.key))
        }
    }

    /// Only the library knows where a page ends: what is returned must be values next to one another.
    private func multiple(_ target: CursorTarget, _ operation: zdb_cursor_op) {
        var (errors, others) = place(target, needsEntry: operation != ZDB_NEXT_MULTIPLE)
        if !others.isEmpty { others.insert(ZDB_OK) }
        if let model = target.model, !model.type.flags.contains(.fixedSizeDuplicates) {
            errors.insert(ZDB_INCOMPATIBLE)
        }
        var first: ReferenceModel.Entry?
        if errors.isEmpty, others.isEmpty, let model = target.model, let cursor = target.cursor {
            let step = [
                ZDB_GET_MULTIPLE: ZDB_GET_CURRENT, ZDB_NEXT_MULTIPLE: ZDB_NEXT_DUP,
                ZDB_PREV_MULTIPLE: ZDB_PREV_DUP,
            ]
            first = step[operation].flatMap { expected($0, cursor, model) }
            if first == nil { errors = [ZDB_NOT_FOUND] }
            // The values before lie in the page before: there may be none.
            if operation == ZDB_PREV_MULTIPLE { others = [ZDB_NOT_FOUND] }
        }
        var key = zdb_val()
        var array = zdb_val()
        let code = call("zdb_cursor_get of operation \(operation.rawValue)", errors, or: others) {
            zdb_cursor_get(target.handle, &key, &array, operation)
        }
        guard code == ZDB_OK, let model = target.model, let cursor = target.cursor else { return }
        let width = model.first?.value.bytes.count ?? 1
        check(array.size > 0 && array.size % width == 0, "an array of \(array.size) bytes")
        let count = array.size / width
        let bytes = Array(UnsafeRawBufferPointer(start: array.data, count: array.size))
        let keyBytes = Array(UnsafeRawBufferPointer(start: key.data, count: key.size))
        let values = model.values(of: keyBytes).map(\.bytes)
        let start = values.firstIndex { $0 == Array(bytes[..<width]) }
        check(
            start.map {
                $0 + count <= values.count
                    && values[$0..<($0 + count)].joined().elementsEqual(bytes)
            }
                == true, "an array of other values")
        if let first, let start, operation != ZDB_PREV_MULTIPLE {
            check(values[start] == first.value.bytes, "an array that begins at another value")
        }
        let isBackward = operation == ZDB_PREV_MULTIPLE
        let last = (start ?? 0) + (isBackward ? 0 : count - 1)
        cursor.place = .at(.init(key: keyBytes, value: .bytes(values[last])))
    }

    func nextMany() {
        let target = pickCursorTarget()
        let capacity = [1, 3, 40, 0][input.below(4)]
        var errors = target.errors
        if capacity == 0 { errors.insert(ZDB_BAD_ARGUMENT) }
        var others: Set<Int32> = []
        var isKnown = true
        if case .unknown = target.cursor?.place, errors.isEmpty {
            isKnown = false
            others = [ZDB_NOT_FOUND, ZDB_BAD_CURSOR]
        }
        var expected: [ReferenceModel.Entry] = []
        if errors.isEmpty, isKnown, let model = target.model, let cursor = target.cursor {
            var next = self.expected(ZDB_NEXT, cursor, model)
            while let entry = next, expected.count < capacity {
                expected.append(entry)
                next = model.entry(after: entry)
            }
            if expected.isEmpty { errors = [ZDB_NOT_FOUND] }
        }
        var keys = [zdb_val](repeating: zdb_val(), count: 41)
        var values = keys
        var count = 99
        let code = call("zdb_cursor_next_many", errors, or: others) {
            zdb_cursor_next_many(target.handle, &keys, &values, capacity, &count)
        }
        check(code == ZDB_OK || count == 0, "zdb_cursor_next_many failed with \(count) entries")
        guard code == ZDB_OK, isKnown else { return }
        check(
            count <= expected.count && (count == expected.count || count > 0),
            "zdb_cursor_next_many returned \(count) entries of \(expected.count)")
        for index in 0..<count {
            check(
                keys[index].equals(expected[index].key)
                    && values[index].equals(expected[index].value.bytes),
                "zdb_cursor_next_many returned another entry")
        }
        target.cursor?.place = .at(expected[count - 1])
    }

    // MARK: Writes

    func putByCursor() {
        var target = pickCursorTarget()
        target.target.write()
        let flags = pickPutFlags()
        let max = target.target.keyMax
        let key = pickKey(target.model, max: max)
        let value = pickValue(target.model, max: max)
        if flags & UInt32(ZDB_CURRENT) != 0 {
            replaceCurrent(target, value, flags)
            return
        }
        guard flags & UInt32(ZDB_MULTIPLE) == 0 else {
            putMultiple(target, key)
            return
        }
        var put = CallPut(key, value, flags, target.model, keyMax: max)
        let isRefused = !target.errors.isEmpty || !put.errors.isEmpty
        let code = make(
            &put, "zdb_cursor_put with 0x\(String(flags, radix: 16))", target.target,
            isRefused: isRefused
        ) { zdb_cursor_put(target.handle, $0, $1, flags) }
        guard !isRefused else {
            if target.errors.isEmpty { target.cursor?.place = .unknown }
            return
        }
        if code == ZDB_OK {
            target.cursor?.place = .at(.init(key: key.bytes, value: .bytes(put.value.bytes)))
            if let model = put.model { target.target.store(model) }
        } else if code == ZDB_KEYEXIST {
            target.cursor?.place = .at(
                .init(key: key.bytes, value: .bytes(put.existing ?? [])))
        } else if code != ZDB_NOT_SORTED || flags & UInt32(ZDB_RESERVE) != 0 {
            target.cursor?.place = .unknown
        }
    }

    private func replaceCurrent(_ target: CursorTarget, _ value: CallBytes, _ flags: UInt32) {
        var (errors, others) = place(target, needsEntry: true)
        let isReserving = flags & UInt32(ZDB_RESERVE) != 0
        if flags & ~UInt32(ZDB_CURRENT | ZDB_RESERVE) != 0 { errors.insert(ZDB_INCOMPATIBLE) }
        if isReserving {
            // Only the size counts.
            if value.fault != .noData { errors.formUnion(value.errors) }
            if target.model?.type.hasDuplicates == true { errors.insert(ZDB_INCOMPATIBLE) }
        } else {
            errors.formUnion(
                target.model?.errors(ofValue: value, max: target.target.keyMax)
                    ?? value.unknownErrors)
        }
        let count = value.fault == .noData ? 5 : value.bytes.count
        let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: count), count: count)
        let code = value.with { value in
            call(
                "zdb_cursor_put of the current entry", errors,
                or: others.union(limits(target.target))
            ) {
                let code = zdb_cursor_put(target.handle, nil, value, flags)
                if code == ZDB_OK, isReserving, let value, count > 0 {
                    let space = UnsafeMutableRawPointer(mutating: value.pointee.data)
                    bytes.withUnsafeBytes {
                        space?.copyMemory(from: $0.baseAddress.unsafelyUnwrapped, byteCount: count)
                    }
                }
                return code
            }
        }
        note(code, of: target.cursor?.transaction)
        guard code == ZDB_OK, var model = target.model, let cursor = target.cursor else { return }
        guard let entry = cursor.entry(in: model) else {
            // What it was on is not known: nor is what the database holds now.
            learn(target)
            return
        }
        let new = ModelValue.bytes(isReserving ? bytes : value.bytes)
        model.delete(entry.key, entry.value)
        model.put(entry.key, new)
        target.target.store(model)
        cursor.place = .at(.init(key: entry.key, value: new))
    }

    /// Reads a database that has been changed where the model does not know.
    private func learn(_ target: CursorTarget) {
        guard let transaction = target.cursor?.transaction, let known = target.model else { return }
        var model = ReferenceModel(known.type)
        var cursor: OpaquePointer?
        call("zdb_cursor_open") {
            zdb_cursor_open(transaction.handle, target.target.database, &cursor)
        }
        var key = zdb_val()
        var value = zdb_val()
        while true {
            let code = call("zdb_cursor_get", or: [ZDB_NOT_FOUND]) {
                zdb_cursor_get(cursor, &key, &value, ZDB_NEXT)
            }
            guard code == ZDB_OK else { break }
            model.put(
                Array(UnsafeRawBufferPointer(start: key.data, count: key.size)),
                .bytes(Array(UnsafeRawBufferPointer(start: value.data, count: value.size))))
        }
        call("zdb_cursor_close") { zdb_cursor_close(cursor) }
        target.target.store(model)
    }

    private func putMultiple(_ target: CursorTarget, _ key: CallBytes) {
        let max = target.target.keyMax
        let count = input.below(50)
        let first = UInt16(input.byte())
        let values = (0..<count).map { value((first &+ UInt16($0)) % 240, target.model, max: max) }
        let width = values.first?.count ?? 4
        // All have the size of the first.
        let packed = values.flatMap { value in (0..<width).map { $0 < value.count ? value[$0] : 0 }
        }
        var errors = target.errors.union(
            target.model?.errors(ofKey: key, max: max) ?? key.unknownErrors)
        if let model = target.model {
            if !model.type.flags.contains(.fixedSizeDuplicates) {
                errors.insert(ZDB_INCOMPATIBLE)
                if width == 0 { errors.insert(ZDB_BAD_VALSIZE) }
            } else if width == 0 {
                errors.insert(ZDB_BAD_VALSIZE)
            } else {
                errors.formUnion(
                    model.errors(ofValue: CallBytes(Array(packed.prefix(width))), max: max))
            }
        }
        // With no values there is nothing to refuse.
        let others: Set<Int32> = count == 0 ? [ZDB_OK, ZDB_BAD_VALSIZE] : []
        let code = packed.withUnsafeBytes { bytes in
            key.with { key in
                let pair = UnsafeMutablePointer<zdb_val>.allocate(capacity: 2)
                defer { pair.deallocate() }
                pair[0] = zdb_val(data: bytes.baseAddress, size: width)
                pair[1] = zdb_val(data: nil, size: count)
                let code = call(
                    "zdb_cursor_put of \(count) values", errors,
                    or: others.union(limits(target.target))
                ) { zdb_cursor_put(target.handle, key, pair, UInt32(ZDB_MULTIPLE)) }
                check(code != ZDB_OK || pair[1].size == count, "\(pair[1].size) values were put")
                return code
            }
        }
        note(code, of: target.cursor?.transaction)
        guard target.errors.isEmpty else { return }
        target.cursor?.place = .unknown
        guard code == ZDB_OK, count > 0, var model = target.model else { return }
        for index in 0..<count {
            let value = Array(packed[(index * width)..<((index + 1) * width)])
            model.put(key.bytes, .bytes(value))
            target.cursor?.place = .at(.init(key: key.bytes, value: .bytes(value)))
        }
        target.target.store(model)
    }

    func deleteByCursor() {
        var target = pickCursorTarget()
        let isReadOnly = target.cursor.map { !$0.transaction.isWrite } == true
        let choice = input.byte()
        let flags: UInt32 = choice < 192 ? 0 : choice < 250 ? UInt32(ZDB_NODUPDATA) : 0x8000_0000
        var (errors, others) = place(target, needsEntry: true)
        if isReadOnly { errors.insert(ZDB_READ_ONLY) }
        if flags == 0x8000_0000 { errors.insert(ZDB_BAD_ARGUMENT) }
        let hasDuplicates = target.model?.type.hasDuplicates == true
        if flags == UInt32(ZDB_NODUPDATA), !hasDuplicates { errors.insert(ZDB_INCOMPATIBLE) }
        others.formUnion(limits(target.target))
        let code = call("zdb_cursor_del", errors, or: others) {
            zdb_cursor_del(target.handle, flags)
        }
        note(code, of: target.cursor?.transaction)
        guard code == ZDB_OK, var model = target.model, let cursor = target.cursor else { return }
        guard let entry = cursor.entry(in: model) else {
            learn(target)
            return
        }
        if flags == 0 { model.delete(entry.key, entry.value) } else { model.delete(entry.key) }
        target.target.store(model)
        target.target.model = model
    }
}
