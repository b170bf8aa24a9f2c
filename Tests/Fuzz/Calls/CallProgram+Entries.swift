import CZeroDB

@testable import ZeroDB

/// Putting, deleting and reading entries, without cursors.
extension CallProgram {
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
}
