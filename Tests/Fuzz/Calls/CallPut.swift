import CZeroDB

@testable import ZeroDB

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
