import CZeroDB
import Glibc

@testable import ZeroDB

/// Environments and transactions: opening, closing, beginning, ending.
extension CallProgram {
    // MARK: Environments

    func open(_ environment: EnvironmentModel) {
        var options = zdb_env_options()
        call("zdb_env_options_init") { zdb_env_options_init(&options) }
        options.max_size = 64 << 20
        options.threads = UInt32(ZDB_THREADS_NONE)
        options.writer_wait_ms = 1
        var errors: Set<Int32> = []
        let isOdd = input.byte() % 4 == 0
        if isOdd { errors = change(&options) }
        let isReadOnly = options.flags & UInt32(ZDB_RDONLY) != 0
        if !environment.exists, options.flags & UInt32(ZDB_RDONLY | ZDB_NOCREATE) != 0 {
            errors.insert(ENOENT)
        }
        if environment.handle != nil { errors.insert(ZDB_BUSY) }
        var handle = OpaquePointer(bitPattern: 1)
        let code = call("zdb_env_open", errors) {
            zdb_env_open(environment.path, &options, &handle)
        }
        check(code == ZDB_OK || handle == nil, "an opening that failed returned a handle")
        guard code == ZDB_OK, let handle else { return }
        environment.handle = handle
        environment.isReadOnly = isReadOnly
        if !environment.exists, options.page_size != 0 { environment.pageSize = options.page_size }
        environment.exists = true
        environment.isSmall = isOdd
        environment.readersMax = Int(options.max_readers == 0 ? 65536 : options.max_readers)
        environment.names = [""]
        let keyMax = zdb_env_max_key_size(handle)
        check(keyMax == environment.keyMax, "the largest key has \(keyMax) bytes")
    }

    /// Changes some options.
    ///
    /// - Returns: the errors that they must lead to.
    private func change(_ options: inout zdb_env_options) -> Set<Int32> {
        var errors: Set<Int32> = []
        for _ in 0..<(1 + input.below(3)) {
            let choice = Int(input.byte())
            switch input.below(12) {
            case 0:
                options.flags = [0, 1, 2, 3, 4, 0x8000_0000][choice % 6]
                if options.flags > 3 { errors.insert(ZDB_BAD_ARGUMENT) }
            case 1:
                options.page_size =
                    [0, 4096, 8192, 16384, 32768, 65536, 1, 4095, 131_072, UInt32.max][
                        choice % 10]
                if choice % 10 > 5 { errors.insert(ZDB_BAD_ARGUMENT) }
            case 2:
                options.max_size = [1 << 20, 2 << 20, 1 << 30, 1 << 40, 1, UInt64.max][choice % 6]
                if choice % 6 > 3 { errors.insert(ZDB_BAD_ARGUMENT) }
            case 3: options.max_txn_pages = UInt64(choice)
            case 4:
                options.checksum = UInt32(choice % 5)
                if options.checksum > 3 { errors.insert(ZDB_BAD_ARGUMENT) }
            case 5:
                options.max_readers = [1, 2, 126, 127, 129, 65536, 65537, UInt32.max][choice % 8]
                if choice % 8 > 5 { errors.insert(ZDB_BAD_ARGUMENT) }
            case 6:
                options.durability = [0, 0x100, 0x200, 0x400, 0x300, 1][choice % 6]
                if choice % 6 > 3 { errors.insert(ZDB_BAD_ARGUMENT) }
            case 7:
                options.log_size = [0, 1 << 20, 2 << 20, 1 << 40, 1, 1 << 41][choice % 6]
                if choice % 6 > 3 { errors.insert(ZDB_BAD_ARGUMENT) }
            case 8:
                options.threads = UInt32(choice % 3)
                if options.threads > 1 { errors.insert(ZDB_BAD_ARGUMENT) }
            case 9: options.writer_wait_ms = 1 + UInt32(choice % 2)
            case 10:
                options.struct_size = choice % 2 == 0 ? options.struct_size : choice
                if choice % 2 != 0 { errors.insert(ZDB_BAD_ARGUMENT) }
            default: options.file_mode = 0o600
            }
        }
        return badOptions(options)
    }

    /// The errors of options as they are in the end.
    private func badOptions(_ options: zdb_env_options) -> Set<Int32> {
        let pageSize = options.page_size
        let isGood =
            options.flags <= 3 && options.struct_size == MemoryLayout<zdb_env_options>.size
            && (pageSize == 0
                || ((4096...65536).contains(pageSize) && pageSize & (pageSize - 1) == 0))
            && (1 << 20...UInt64(Int64.max)).contains(options.max_size) && options.checksum <= 3
            && options.max_readers <= 65536
            && [0, 0x100, 0x200, 0x400].contains(options.durability)
            && (options.log_size == 0 || (1 << 20...1 << 40).contains(options.log_size))
            && options.threads <= 1
        return isGood ? [] : [ZDB_BAD_ARGUMENT]
    }

    /// An environment's handle, and the environment if it is one.
    private func pickEnvironmentHandle() -> (OpaquePointer?, EnvironmentModel?) {
        let choice = input.byte()
        let handle = choice >= 250 ? wrongHandle() : environments[Int(choice) % 3].handle
        return (handle, environments.first { handle != nil && $0.handle == handle })
    }

    func openTransactions(_ environment: EnvironmentModel) -> [TransactionModel] {
        transactions.filter { $0.isOpen && $0.environment === environment }
    }

    func close() {
        let (handle, environment) = pickEnvironmentHandle()
        guard let environment else {
            call("zdb_env_close", [ZDB_BAD_HANDLE]) { zdb_env_close(handle) }
            return
        }
        guard openTransactions(environment).isEmpty else {
            call("zdb_env_close", [ZDB_BUSY]) { zdb_env_close(handle) }
            return
        }
        close(environment)
    }

    func close(_ environment: EnvironmentModel) {
        call("zdb_env_close") { zdb_env_close(environment.handle) }
        noteClosed(environment)
    }

    private func noteClosed(_ environment: EnvironmentModel) {
        if let handle = environment.handle { dead.append(handle) }
        environment.handle = nil
        for cursor in cursors where cursor.transaction.environment === environment {
            cursor.isOpen = false
        }
    }

    func closeWaiting() {
        let (handle, environment) = pickEnvironmentHandle()
        let choice = input.byte()
        let flags: UInt32 = [0, 1, 2, 0x8000_0001][Int(choice) % 4]
        var errors: Set<Int32> = flags > 1 ? [ZDB_BAD_ARGUMENT] : []
        guard let environment else {
            call("zdb_env_close_wait", errors.union([ZDB_BAD_HANDLE])) {
                zdb_env_close_wait(handle, UInt32(choice % 3), flags)
            }
            return
        }
        let open = openTransactions(environment)
        if flags == 0, !open.isEmpty { errors.insert(ZDB_BUSY) }
        // Values of readers that are ended become zeros, in address space that is never used again.
        if flags == 1, !open.allSatisfy(\.isWrite), !CallLimits.mayEndReaders() { return }
        let wait = open.isEmpty && choice & 0x40 != 0 ? UInt32.max : UInt32(choice % 2)
        let code = call("zdb_env_close_wait", errors) { zdb_env_close_wait(handle, wait, flags) }
        guard code == ZDB_OK else { return }
        for transaction in open.reversed() { end(transaction) }
        noteClosed(environment)
    }

    func checkpointOrSync() {
        let (handle, environment) = pickEnvironmentHandle()
        let isCheckpoint = input.byte() % 2 == 0
        var errors: Set<Int32> = environment == nil ? [ZDB_BAD_HANDLE] : []
        if isCheckpoint, environment?.isReadOnly == true { errors.insert(ZDB_READ_ONLY) }
        call(isCheckpoint ? "zdb_env_checkpoint" : "zdb_env_sync", errors) {
            isCheckpoint ? zdb_env_checkpoint(handle) : zdb_env_sync(handle)
        }
    }

    /// Calls that only ask.
    func inquire() {
        let (handle, environment) = pickEnvironmentHandle()
        let errors: Set<Int32> = environment == nil ? [ZDB_BAD_HANDLE] : []
        switch input.below(8) {
        case 0:
            var info = zdb_info()
            let isWrong = input.byte() % 4 == 0
            info.struct_size = MemoryLayout<zdb_info>.size - (isWrong ? 8 : 0)
            let code = call("zdb_env_info", isWrong ? errors.union([ZDB_BAD_ARGUMENT]) : errors) {
                zdb_env_info(handle, &info)
            }
            guard code == ZDB_OK, let environment else { return }
            check(
                info.databases == environment.committed.count - 1
                    && info.page_size == environment.pageSize,
                "zdb_env_info tells of \(info.databases) databases, pages of \(info.page_size)")
        case 1: call("zdb_env_info", errors.union([ZDB_BAD_ARGUMENT])) { zdb_env_info(handle, nil) }
        case 2:
            call("zdb_reader_list", errors.union([ZDB_BAD_ARGUMENT])) {
                zdb_reader_list(handle, nil, nil)
            }
        case 3: listReaders(handle, environment, errors)
        case 4:
            var deadReaders: UInt32 = 9
            let code = call("zdb_reader_check", errors) { zdb_reader_check(handle, &deadReaders) }
            check(code != ZDB_OK || deadReaders == 0, "\(deadReaders) readers are dead")
        case 5: listTransactions(handle, environment, errors)
        case 6:
            let size = zdb_env_max_key_size(handle)
            check(size == environment?.keyMax ?? 0, "zdb_env_max_key_size returned \(size)")
        default:
            if let environment {
                verify(environment)
            } else {
                call("zdb_env_verify", errors) { zdb_env_verify(handle, nil, nil) }
            }
        }
    }

    func verify(_ environment: EnvironmentModel) {
        var report = zdb_verify_report()
        report.struct_size = MemoryLayout<zdb_verify_report>.size
        call("zdb_env_verify") { zdb_env_verify(environment.handle, nil, &report) }
        let entries = environment.committed.values.reduce(0) { $0 + $1.count }
        let digest = environment.committed.reduce(UInt128(0)) {
            $0 &+ ModelDigest.database($1.key, $1.value)
        }
        check(
            report.problems == 0 && report.entries == entries
                && report.databases == environment.committed.count - 1
                && ContentDigest(low: report.digest.low, high: report.digest.high).number
                    == digest,
            "zdb_env_verify counts \(report.entries) entries in \(report.databases) databases")
    }

    private func listReaders(
        _ handle: OpaquePointer?, _ environment: EnvironmentModel?, _ errors: Set<Int32>
    ) {
        var count = 0
        let code = call("zdb_reader_list", errors) {
            zdb_reader_list(
                handle, { context, _ in context?.assumingMemoryBound(to: Int.self).pointee += 1 },
                &count)
        }
        guard code == ZDB_OK, let environment else { return }
        let expected = openTransactions(environment).count { !$0.isWrite }
        check(count == expected, "zdb_reader_list lists \(count) readers of \(expected)")
    }

    private func listTransactions(
        _ handle: OpaquePointer?, _ environment: EnvironmentModel?, _ errors: Set<Int32>
    ) {
        var count = 0
        let code = call("zdb_txn_list", errors) {
            zdb_txn_list(
                handle, { context, _ in context?.assumingMemoryBound(to: Int.self).pointee += 1 },
                &count)
        }
        guard code == ZDB_OK, let environment else { return }
        let expected = openTransactions(environment).count
        check(count == expected, "zdb_txn_list lists \(count) transactions of \(expected)")
    }

    // MARK: Transactions

    func begin() {
        let (handle, environment) = pickEnvironmentHandle()
        let choice = input.byte()
        if choice >= 224 || (choice >= 160 && transactions.last?.isWrite == true) {
            beginNested(handle, environment, flags: choice == 255 ? 1 : choice == 254 ? 4 : 0)
            return
        }
        let all: [UInt32] = [
            1, 0, 1, 0, 4, 0x100, 0x200, 0x400, 0x104, 0x204, 0x404, 0x300, 5, 0x101, 2,
            0x8000_0000,
        ]
        let flags = choice < 128 ? UInt32(choice % 2) : all[Int(choice) % all.count]
        let isRead = flags & 1 != 0
        var errors: Set<Int32> = environment == nil ? [ZDB_BAD_HANDLE] : []
        if [0x300, 5, 0x101].contains(flags) { errors.insert(ZDB_INCOMPATIBLE) }
        if [2, 0x8000_0000].contains(flags) { errors.insert(ZDB_BAD_ARGUMENT) }
        var others: Set<Int32> = []
        if let environment {
            if isRead {
                let readers = openTransactions(environment).count { !$0.isWrite }
                if readers >= environment.readersMax { others.insert(ZDB_READERS_FULL) }
            } else {
                if environment.isReadOnly { errors.insert(ZDB_READ_ONLY) }
                if environment.writer?.isOpen == true { errors.insert(ZDB_BUSY) }
            }
        }
        begin(handle, environment, parent: nil, nil, flags, errors, others)
    }

    /// Begins a transaction if there is none, so that the calls of most inputs have something to work on.
    func beginIfNone(isWrite: Bool) {
        if transactions.contains(where: { $0.isOpen && $0.status == .active }) { return }
        guard let environment = environments.first(where: { $0.handle != nil }) else { return }
        let flags: UInt32 = isWrite && !environment.isReadOnly ? 0 : 1
        let isBusy = flags == 0 && environment.writer?.isOpen == true
        let others: Set<Int32> = flags == 1 ? [ZDB_READERS_FULL] : []
        begin(
            environment.handle, environment, parent: nil, nil, flags, isBusy ? [ZDB_BUSY] : [],
            others)
    }

    private func beginNested(
        _ handle: OpaquePointer?, _ environment: EnvironmentModel?, flags: UInt32
    ) {
        let (parentHandle, parent) = pickTransaction()
        guard parentHandle != nil else { return }
        // Mostly in its own environment.
        let isOwn = input.byte() < 240
        let ownHandle = isOwn ? parent?.environment.handle ?? handle : handle
        let own = isOwn ? parent?.environment ?? environment : environment
        var errors: Set<Int32> = own?.handle == nil ? [ZDB_BAD_HANDLE] : []
        if flags != 0 { errors.insert(ZDB_INCOMPATIBLE) }
        if let parent {
            if let refusal = parent.refusal { errors.insert(refusal) }
            if !parent.isWrite || parent.environment !== own { errors.insert(ZDB_INCOMPATIBLE) }
            if parent.depth >= 64 { errors.insert(ZDB_FULL) }
        } else {
            errors.insert(ZDB_BAD_HANDLE)
        }
        begin(ownHandle, own, parent: parentHandle, parent, flags, errors, [])
    }

    private func begin(
        _ handle: OpaquePointer?, _ environment: EnvironmentModel?, parent: OpaquePointer?,
        _ parentModel: TransactionModel?, _ flags: UInt32, _ errors: Set<Int32>,
        _ others: Set<Int32>
    ) {
        var begun = OpaquePointer(bitPattern: 1)
        let code = call("zdb_txn_begin with flags \(flags)", errors, or: others) {
            zdb_txn_begin(handle, parent, flags, &begun)
        }
        check(code == ZDB_OK || begun == nil, "a transaction that did not begin has a handle")
        guard code == ZDB_OK, let begun, let environment else { return }
        let transaction = TransactionModel(
            begun, environment, parent: parentModel, isWrite: flags & 1 == 0,
            isOfSecondThread: isOnSecondThread)
        parentModel?.child = transaction
        if transaction.isWrite, parentModel == nil { environment.writer = transaction }
        transactions.append(transaction)
        if transactions.count > Self.slots * 4,
            let old = transactions.firstIndex(where: { !$0.isOpen })
        {
            transactions.remove(at: old)
        }
    }

    /// Notes that a transaction has ended.
    func end(_ transaction: TransactionModel) {
        transaction.status = .ended
        transaction.kept = []
        dead.append(transaction.handle)
        if transaction.parent?.child === transaction { transaction.parent?.child = nil }
    }

    func commit() {
        let (handle, transaction) = pickTransaction()
        guard let transaction else {
            call("zdb_txn_commit", [ZDB_BAD_HANDLE]) { zdb_txn_commit(handle) }
            return
        }
        guard transaction.isOpen, transaction.child == nil else {
            let error = transaction.isOpen ? ZDB_BAD_TXN : ZDB_BAD_HANDLE
            call("zdb_txn_commit", [error]) { zdb_txn_commit(handle) }
            return
        }
        checkKept(transaction)
        let isOutermost = transaction.isWrite && transaction.parent == nil
        let code = call(
            "zdb_txn_commit", transaction.status == .failed ? [ZDB_BAD_TXN] : [],
            or: isOutermost ? limits(transaction.environment) : []
        ) { zdb_txn_commit(handle) }
        if code == ZDB_OK, transaction.isWrite {
            if let parent = transaction.parent {
                parent.databases = transaction.databases
                parent.disturbed.formUnion(transaction.disturbed)
                for cursor in cursors where cursor.transaction === parent {
                    if transaction.disturbed.contains(cursor.name ?? "") { cursor.place = .unknown }
                }
            } else {
                transaction.environment.committed = transaction.databases
            }
        }
        end(transaction)
    }

    func abort() {
        let (handle, transaction) = pickTransaction()
        if handle == nil {
            call("zdb_txn_abort of NULL") { zdb_txn_abort(nil) }
            return
        }
        guard let transaction else {
            call("zdb_txn_abort", [ZDB_BAD_HANDLE]) { zdb_txn_abort(handle) }
            return
        }
        guard transaction.isOpen, transaction.child == nil else {
            let error = transaction.isOpen ? ZDB_BAD_TXN : ZDB_BAD_HANDLE
            call("zdb_txn_abort", [error]) { zdb_txn_abort(handle) }
            return
        }
        checkKept(transaction)
        call("zdb_txn_abort") { zdb_txn_abort(handle) }
        end(transaction)
    }

    func resetOrRenew() {
        let (handle, transaction) = pickTransaction()
        let isReset = input.byte() % 2 == 0
        var errors: Set<Int32> = []
        if let transaction {
            if !transaction.isOpen { errors.insert(ZDB_BAD_HANDLE) }
            if transaction.child != nil { errors.insert(ZDB_BAD_TXN) }
            if transaction.isWrite { errors.formUnion([ZDB_INCOMPATIBLE, ZDB_BAD_TXN]) }
            if !isReset, transaction.status != .reset { errors.insert(ZDB_BAD_TXN) }
            if isReset { checkKept(transaction) }
        } else {
            errors.insert(ZDB_BAD_HANDLE)
        }
        let code = call(isReset ? "zdb_txn_reset" : "zdb_txn_renew", errors) {
            isReset ? zdb_txn_reset(handle) : zdb_txn_renew(handle)
        }
        guard code == ZDB_OK, let transaction else { return }
        transaction.kept = []
        if isReset {
            transaction.status = .reset
        } else {
            transaction.status = .active
            transaction.snapshots += 1
            transaction.databases = transaction.environment.committed
        }
    }

    /// Calls that ask what a transaction is.
    func askTransaction() {
        let (handle, transaction) = pickTransaction()
        let id = zdb_txn_id(handle)
        check(
            (id != 0) == (transaction?.refusal == nil && transaction != nil),
            "zdb_txn_id returned \(id)")
        let environment = zdb_txn_env(handle)
        let expected = transaction?.isOpen == true ? transaction?.environment.handle : nil
        check(environment == expected, "zdb_txn_env returned another environment")
    }
}

/// What an input may do only so often in one process.
enum CallLimits {
    private nonisolated(unsafe) static var readersEnded = 0

    static func mayEndReaders() -> Bool {
        readersEnded += 1
        return readersEnded < 5000
    }
}
