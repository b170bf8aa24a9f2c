import CZeroDB

@testable import ZeroDB

/// What a program should find behind the handles that `zerodb.h` has given to it.
///
/// The databases of one state of an environment, by name; the main database is "". A copy shares what
/// has not changed, so each snapshot has one.
typealias DatabaseModels = [String: ReferenceModel]

/// A directory, and the environment that is open in it.
final class EnvironmentModel {
    let path: String
    /// nil while it is closed.
    var handle: OpaquePointer?
    /// Whether the files are there.
    var exists = false
    var isReadOnly = false
    var pageSize: UInt32 = 4096
    /// What may be refused for want of room, as the limits were set low.
    var isSmall = false
    var waits = false
    var readersMax = 0
    /// Names by handle, for as long as it is open.
    var names: [String] = [""]
    /// The newest commit.
    var committed: DatabaseModels = ["": ReferenceModel()]
    /// The outermost write transaction.
    weak var writer: TransactionModel?

    init(path: String) { self.path = path }

    var keyMax: Int { Int(pageSize) / 2 - 64 }

    func number(of name: String) -> UInt32 {
        if let known = names.firstIndex(of: name) { return UInt32(known) }
        names.append(name)
        return UInt32(names.count - 1)
    }

    func name(of database: UInt32) -> String? {
        database < names.count ? names[Int(database)] : nil
    }
}

/// A transaction, live or ended.
final class TransactionModel {
    enum Status {
        case active
        case reset
        case failed
        case ended
    }

    /// A value that a read has returned, which is to stay as it is while the transaction lives.
    struct KeptValue {
        var start: UnsafeRawPointer?
        var bytes: [UInt8]
    }

    let handle: OpaquePointer
    let environment: EnvironmentModel
    let parent: TransactionModel?
    let isWrite: Bool
    /// The thread that began it.
    let isOfSecondThread: Bool
    var status = Status.active
    var child: TransactionModel?
    var databases: DatabaseModels
    /// Databases that have been dropped or renamed: of cursors in them nothing is known.
    var disturbed: Set<String> = []
    var kept: [KeptValue] = []
    /// Grows when the transaction is renewed.
    var snapshots = 0

    init(
        _ handle: OpaquePointer, _ environment: EnvironmentModel, parent: TransactionModel?,
        isWrite: Bool, isOfSecondThread: Bool
    ) {
        self.handle = handle
        self.environment = environment
        self.parent = parent
        self.isWrite = isWrite
        self.isOfSecondThread = isOfSecondThread
        databases = parent?.databases ?? environment.committed
    }

    var isOpen: Bool { status != .ended }
    var depth: Int { (parent?.depth ?? -1) + 1 }

    /// Why no call with it can succeed.
    var refusal: Int32? {
        if status == .ended { return ZDB_BAD_HANDLE }
        return status == .active && child == nil ? nil : ZDB_BAD_TXN
    }
}

/// A cursor, open or closed.
final class CursorModel {
    enum Place {
        case nowhere
        /// On an entry, or where it was before it was deleted.
        case at(ReferenceModel.Entry)
        /// After an error, or in a database that has been dropped.
        case unknown
    }

    let handle: OpaquePointer
    var transaction: TransactionModel
    let database: UInt32
    var snapshots: Int
    var place = Place.nowhere
    var isOpen = true

    init(_ handle: OpaquePointer, _ transaction: TransactionModel, _ database: UInt32) {
        self.handle = handle
        self.transaction = transaction
        self.database = database
        snapshots = transaction.snapshots
    }

    var name: String? { transaction.environment.name(of: database) }

    func renew(_ transaction: TransactionModel) {
        self.transaction = transaction
        snapshots = transaction.snapshots
        place = .nowhere
    }

    /// The entry that it is on; nil if it is on none.
    func entry(in model: ReferenceModel) -> ReferenceModel.Entry? {
        guard case .at(let entry) = place, let index = model.find(entry.key, entry.value) else {
            return nil
        }
        return model[index]
    }
}

/// A key or value as a program may pass it.
struct CallBytes {
    enum Fault {
        /// No zdb_val at all.
        case missing
        /// A size, and no data.
        case noData
        /// A size beyond all memory.
        case huge
    }

    var bytes: [UInt8]
    var fault: Fault?

    init(_ bytes: [UInt8], fault: Fault? = nil) {
        self.bytes = bytes
        self.fault = fault
    }

    /// The errors that it must lead to, whatever the database holds.
    var errors: Set<Int32> {
        switch fault {
        case .missing, .noData: [ZDB_BAD_ARGUMENT]
        case .huge: [ZDB_BAD_VALSIZE]
        case nil: []
        }
    }

    /// The errors that it may lead to where there is no database to say more.
    var unknownErrors: Set<Int32> { errors.union([ZDB_BAD_VALSIZE]) }

    func with<Result>(_ body: (UnsafeMutablePointer<zdb_val>?) -> Result) -> Result {
        if fault == .missing { return body(nil) }
        return bytes.withUnsafeBytes { buffer in
            var value = zdb_val(data: buffer.baseAddress, size: buffer.count)
            if fault == .noData { value = zdb_val(data: nil, size: 5) }
            if fault == .huge { value.size = Int(bitPattern: UInt.max - 3) }
            return body(&value)
        }
    }
}

extension zdb_val {
    func equals(_ expected: [UInt8]) -> Bool {
        size == expected.count
            && expected.elementsEqual(UnsafeRawBufferPointer(start: data, count: size))
    }
}

extension ReferenceModel {
    /// The errors that a key must lead to.
    func errors(ofKey key: CallBytes, max: Int) -> Set<Int32> {
        if key.fault != nil { return key.errors }
        let count = key.bytes.count
        guard count > 0, count <= max else { return [ZDB_BAD_VALSIZE] }
        guard type.flags.contains(.integerKeys) else { return [] }
        let width = first?.key.count ?? count
        return (count == 4 || count == 8) && count == width ? [] : [ZDB_BAD_VALSIZE]
    }

    /// The errors that a value must lead to where a key may have several.
    func errors(ofValue value: CallBytes, max: Int) -> Set<Int32> {
        if value.fault != nil { return value.errors }
        guard type.hasDuplicates else { return [] }
        let count = value.bytes.count
        guard count <= max else { return [ZDB_BAD_VALSIZE] }
        guard type.flags.contains(.fixedSizeDuplicates) else { return [] }
        let width = first?.value.bytes.count ?? count
        let fits = type.flags.contains(.integerDuplicates) ? count == 4 || count == 8 : count > 0
        return fits && count == width ? [] : [ZDB_BAD_VALSIZE]
    }
}
