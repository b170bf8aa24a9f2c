import CZeroDB
import Glibc

@testable import ZeroDB

/// A program that makes the calls of `zerodb.h` that an input says, on two threads, and compares each
/// result with models.
///
/// Where several errors are due, any of them may be returned. What is not defined is not looked at.
final class CallProgram {
    static let slots = 16
    /// Whether each call is printed, to see what a finding does.
    static let traces = getenv("ZERODB_FUZZ_TRACE") != nil

    var input: FuzzInput
    let secondThread: CallThread
    let environments: [EnvironmentModel]
    /// The newest of a slot, which may have ended.
    var transactions: [TransactionModel] = []
    var cursors: [CursorModel] = []
    /// Handles that are dead, of every sort.
    var dead: [OpaquePointer] = []
    /// Whether the call being made is the second thread's.
    var isOnSecondThread = false

    init(_ input: FuzzInput, in directory: String, _ secondThread: CallThread) {
        self.input = input
        self.secondThread = secondThread
        environments = (0..<3).map { EnvironmentModel(path: "\(directory)/\($0)") }
    }

    func run() {
        open(environments[0])
        if environments[0].handle != nil { makeDatabases() }
        var calls = 0
        while !input.isAtEnd, calls < 600 {
            calls += 1
            step()
        }
        finish()
    }

    private func step() {
        let choice = input.byte()
        isOnSecondThread = choice & 0x80 != 0
        switch Int(choice & 0x7f) {
        case 0...3: open(pickEnvironment())
        case 4: close()
        case 5: closeWaiting()
        case 6...7: inquire()
        case 8...10: checkpointOrSync()
        case 11...22: begin()
        case 23...31: commit()
        case 32...35: abort()
        case 36...38: resetOrRenew()
        case 39...45: openDatabase()
        case 46...47: changeDatabase()
        case 48...50: askDatabase()
        case 51...60: put()
        case 61...64: putMany()
        case 65...69: delete()
        case 70...73: get()
        case 74...75: getMany()
        case 76...78: ranges()
        case 79...81: ranks()
        case 82: compare()
        case 83...91: openCursor()
        case 92...112: moveCursor()
        case 113...118: putByCursor()
        case 119...121: deleteByCursor()
        case 122: closeCursor()
        case 123: renewCursor()
        case 124: nextMany()
        case 125: askCursor()
        default: checkKept()
        }
    }

    // MARK: Calls and what they return

    /// Makes a call on the thread whose turn it is.
    ///
    /// - Parameters:
    ///   - errors: those of which one must be returned; none for success.
    ///   - others: what may be returned all the same.
    @discardableResult
    func call(
        _ name: @autoclosure () -> String, _ errors: Set<Int32> = [], or others: Set<Int32> = [],
        _ body: () -> Int32
    ) -> Int32 {
        var code: Int32 = 0
        var reported: Int32 = 0
        var message = ""
        func make() {
            code = body()
            reported = zdb_last_error_code()
            if code != ZDB_OK { message = String(cString: zdb_last_error()) }
        }
        if isOnSecondThread { secondThread.perform(make) } else { make() }
        if Self.traces {
            let line = "\(isOnSecondThread ? 2 : 1) \(name()): \(code) \(message)\n"
            write(2, line, line.utf8.count)
        }
        let isDue = errors.isEmpty ? code == ZDB_OK : errors.contains(code)
        check(
            isDue || others.contains(code),
            "\(name()) returned \(code) (\(message)), expected "
                + "\(errors.isEmpty ? "success" : "one of \(errors.sorted())")"
                + (others.isEmpty ? "" : " or one of \(others.sorted())"))
        let isPlain = code == ZDB_OK || code == ZDB_NOT_FOUND || code == ZDB_KEYEXIST
        check(isPlain || reported == code, "\(name()) returned \(code) and noted \(reported)")
        return code
    }

    /// What a write may be refused for in an environment whose limits are low.
    func limits(_ environment: EnvironmentModel) -> Set<Int32> {
        environment.isSmall ? [ZDB_FULL, ZDB_TXN_FULL] : []
    }

    /// Takes note of a refusal that leaves a transaction unusable.
    func note(_ code: Int32, of transaction: TransactionModel?) {
        if code == ZDB_FULL || code == ZDB_TXN_FULL { transaction?.status = .failed }
    }

    // MARK: Handles

    func pickEnvironment() -> EnvironmentModel { environments[input.below(3)] }

    /// A handle that is none of the kind that a call wants: nothing, a number, a dead one or another's.
    func wrongHandle() -> OpaquePointer? {
        switch input.below(6) {
        case 0: return nil
        case 1: return OpaquePointer(bitPattern: UInt(truncatingIfNeeded: input.number()))
        case 2: return OpaquePointer(bitPattern: UInt(input.byte()))
        case 3 where !dead.isEmpty: return dead[input.below(dead.count)]
        case 4: return environments[0].handle
        default: return transactions.last?.handle
        }
    }

    /// A transaction's handle, and the transaction if it is one.
    func pickTransaction() -> (OpaquePointer?, TransactionModel?) {
        let choice = input.byte()
        if choice < 220 { beginIfNone(isWrite: choice % 4 != 0) }
        if choice >= 250 || transactions.isEmpty {
            let handle = wrongHandle()
            return (handle, transactions.first { $0.handle == handle })
        }
        let live = transactions.filter { $0.isOpen && $0.child == nil }
        let among = choice < 220 && !live.isEmpty ? live : transactions
        let transaction = among[among.count - 1 - Int(choice) % among.count]
        return (transaction.handle, transaction)
    }

    func pickCursor() -> (OpaquePointer?, CursorModel?) {
        let choice = input.byte()
        if choice < 230 { openCursorIfNone() }
        if choice >= 250 || cursors.isEmpty {
            let handle = wrongHandle()
            return (handle, cursors.first { $0.handle == handle })
        }
        let live = cursors.filter { $0.isOpen && $0.transaction.refusal == nil }
        let among = choice < 230 && !live.isEmpty ? live : cursors
        let cursor = among[among.count - 1 - Int(choice) % among.count]
        return (cursor.handle, cursor)
    }

    /// A database's handle, mostly one of the environment's.
    func pickDatabase(_ transaction: TransactionModel?) -> UInt32 {
        let choice = input.byte()
        if choice == 255 { return UInt32(truncatingIfNeeded: input.number()) }
        let count = transaction?.environment.names.count ?? 1
        return UInt32(Int(choice) % (choice >= 248 ? count + 2 : count))
    }

    /// A transaction and a database of it, with the errors of calls with them.
    struct Target {
        var handle: OpaquePointer?
        var transaction: TransactionModel?
        var database: UInt32
        var name: String?
        var model: ReferenceModel?
        var errors: Set<Int32>

        var keyMax: Int { transaction?.environment.keyMax ?? 1984 }

        /// Adds the error of a transaction that cannot write.
        mutating func write() {
            if let transaction, !transaction.isWrite { errors.insert(ZDB_READ_ONLY) }
        }

        /// Gives the transaction what the database holds now.
        func store(_ model: ReferenceModel) {
            if let name { transaction?.databases[name] = model }
        }
    }

    func pickTarget() -> Target {
        let (handle, transaction) = pickTransaction()
        let database = pickDatabase(transaction)
        var errors: Set<Int32> = []
        var model: ReferenceModel?
        let name = transaction?.environment.name(of: database)
        if let transaction {
            if let refusal = transaction.refusal { errors.insert(refusal) }
            model = name.flatMap { transaction.databases[$0] }
            if model == nil { errors.insert(ZDB_BAD_DB) }
        } else {
            errors.insert(ZDB_BAD_HANDLE)
        }
        return Target(
            handle: handle, transaction: transaction, database: database, name: name, model: model,
            errors: errors)
    }

    // MARK: Keys and values

    func pickKey(_ model: ReferenceModel?, max: Int) -> CallBytes {
        let choice = input.byte()
        let number = choice & 31
        switch choice >> 5 {
        case 7:
            switch number {
            case 0: return CallBytes([], fault: .missing)
            case 1: return CallBytes([], fault: .noData)
            case 2: return CallBytes([], fault: .huge)
            case 3: return CallBytes([])
            case 4: return CallBytes([UInt8](repeating: 7, count: max + 1))
            case 5: return CallBytes([UInt8](repeating: 7, count: 70_000))
            case 6: return CallBytes([UInt8](repeating: 7, count: max))
            default: return CallBytes(input.run(Int(number)))
            }
        case 6: return CallBytes([number] + [UInt8](repeating: 9, count: max - 1 - Int(number)))
        default: return CallBytes(key(UInt16(choice % 192), model))
        }
    }

    /// The key of a number: keys of many lengths, some the beginning of others.
    func key(_ number: UInt16, _ model: ReferenceModel?) -> [UInt8] {
        if model?.type.flags.contains(.integerKeys) == true {
            let width = model?.first?.key.count ?? (number % 2 == 0 ? 8 : 4)
            return ModelOrder.bytes(of: UInt64(number) << UInt64(number % 3 * 8), width: width)
        }
        let length = number % 16 == 15 ? 1984 - Int(number % 5) * 300 : 2 + Int(number % 5) * 3
        return [UInt8(number >> 8), UInt8(number & 0xff)]
            + (0..<(length - 2)).map { UInt8(truncatingIfNeeded: Int(number) &* 31 &+ $0) }
    }

    func pickValue(_ model: ReferenceModel?, max: Int) -> CallBytes {
        let choice = input.byte()
        if choice >= 250 {
            let faults: [CallBytes.Fault] = [.missing, .noData, .huge]
            if choice < 253 { return CallBytes([], fault: faults[Int(choice) - 250]) }
            return CallBytes([UInt8](repeating: 1, count: max + Int(choice) - 253))
        }
        return CallBytes(value(UInt16(choice), model, max: max))
    }

    func value(_ number: UInt16, _ model: ReferenceModel?, max: Int) -> [UInt8] {
        let flags = model?.type.flags ?? []
        if flags.contains(.integerDuplicates) {
            let width = model?.first?.value.bytes.count ?? (number % 2 == 0 ? 8 : 4)
            return ModelOrder.bytes(of: UInt64(number) << UInt64(number % 3 * 8), width: width)
        }
        var count = Int(number % 8) * 9
        if flags.contains(.fixedSizeDuplicates) {
            count = model?.first?.value.bytes.count ?? (number == 249 ? max : 1 + Int(number % 90))
        } else if number >= 240 {
            count = flags.contains(.duplicates) ? max - Int(number - 240) : Int(number - 239) * 4090
        } else if number >= 200 {
            count = 200 + Int(number - 200) * 17
        }
        return (0..<count).map { UInt8(truncatingIfNeeded: Int(number) &+ ($0 == 0 ? 0 : $0 &* 7)) }
    }

    // MARK: The end

    /// Reads that a transaction has made give what they gave then.
    func checkKept() {
        for transaction in transactions where transaction.isOpen && !transaction.isWrite {
            checkKept(transaction)
        }
    }

    func checkKept(_ transaction: TransactionModel) {
        guard transaction.status == .active else { return }
        for value in transaction.kept {
            check(
                value.bytes.elementsEqual(
                    UnsafeRawBufferPointer(start: value.start, count: value.bytes.count)),
                "a value changed while its read transaction was open")
        }
    }

    func keep(_ found: zdb_val, _ transaction: TransactionModel?) {
        guard let transaction, !transaction.isWrite, transaction.kept.count < 8 else { return }
        let bytes = UnsafeRawBufferPointer(start: found.data, count: found.size)
        transaction.kept.append(.init(start: bytes.baseAddress, bytes: Array(bytes)))
    }

    /// Ends and closes all that is open, and looks what the next opening finds.
    private func finish() {
        isOnSecondThread = false
        while let transaction = transactions.first(where: { $0.isOpen && $0.child == nil }) {
            checkKept(transaction)
            call("zdb_txn_abort") { zdb_txn_abort(transaction.handle) }
            end(transaction)
        }
        for environment in environments {
            if environment.handle != nil { close(environment) }
            guard environment.exists else { continue }
            var handle: OpaquePointer?
            call("zdb_env_open at the end") { zdb_env_open(environment.path, nil, &handle) }
            environment.handle = handle
            verify(environment)
            compareAll(environment)
            close(environment)
        }
    }

    /// Compares the newest commit with its model, entry by entry.
    func compareAll(_ environment: EnvironmentModel) {
        var handle: OpaquePointer?
        call("zdb_txn_begin") {
            zdb_txn_begin(environment.handle, nil, UInt32(ZDB_RDONLY), &handle)
        }
        for (name, model) in environment.committed {
            var database: UInt32 = 0
            call("zdb_db_open of \(name)") {
                name.isEmpty
                    ? zdb_db_open(handle, nil, 0, &database)
                    : zdb_db_open(handle, name, 0, &database)
            }
            var cursor: OpaquePointer?
            call("zdb_cursor_open") { zdb_cursor_open(handle, database, &cursor) }
            var key = zdb_val()
            var value = zdb_val()
            for entry in model {
                call("zdb_cursor_get") { zdb_cursor_get(cursor, &key, &value, ZDB_NEXT) }
                check(
                    key.equals(entry.key) && value.equals(entry.value.bytes),
                    "\(name) does not hold what was committed")
            }
            call("zdb_cursor_get", [ZDB_NOT_FOUND]) {
                zdb_cursor_get(cursor, &key, &value, ZDB_NEXT)
            }
            call("zdb_cursor_close") { zdb_cursor_close(cursor) }
        }
        call("zdb_txn_abort") { zdb_txn_abort(handle) }
    }
}
