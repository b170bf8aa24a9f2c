import ZeroDB

/// The entries of a database that one transaction after another takes.
struct LoadBatch {
    let target: LoadTarget
    private(set) var database: LoadedDatabase
    private let bytesMax: Int
    private var handle: Database?
    private var order = InputOrder(hasDuplicates: false)

    /// Entries that this transaction has.
    private(set) var count: UInt64 = 0
    /// Entries that stay as they were.
    private(set) var kept: UInt64 = 0
    /// Whether the source has no more of the database.
    private(set) var isLast = false

    init(target: LoadTarget, database: LoadedDatabase, bytesMax: Int) {
        self.target = target
        self.database = database
        self.bytesMax = bytesMax
    }

    /// Makes or opens the database, in the first transaction.
    mutating func open(in transaction: inout WriteTransaction, isResumed: Bool) throws {
        guard handle == nil else { return }
        var opened = database
        let handle = try target.open(&opened, in: &transaction)
        if !isResumed { database.wasEmpty = opened.wasEmpty }
        let flags = try transaction.flags(of: handle)
        order = InputOrder(hasDuplicates: flags.contains(.duplicates))
        self.handle = handle
    }

    /// Puts the next entries.
    ///
    /// - Returns: what is wrong with the entry after those that were put, if that ends the load.
    /// - Throws: what leaves the transaction of no use.
    mutating func fill<Source: LoadSource & ~Copyable>(
        _ transaction: inout WriteTransaction, from source: inout Source
    ) throws -> (any Error)? {
        count = 0
        kept = 0
        guard let handle else { return nil }
        var bytes = 0
        while bytes < bytesMax {
            do {
                guard try source.nextEntry() else {
                    isLast = true
                    return nil
                }
            } catch {
                return error
            }
            let (key, value) = (source.key, source.value)
            do throws(DatabaseError) {
                let isNew = try target.put(key, value, in: handle, &order, &transaction)
                if isNew { count += 1 } else { kept += 1 }
            } catch {
                guard error.code == .badValueSize else { throw error }
                return TransferError.input("\(source.place): \(error.message)")
            }
            bytes += key.count + value.count + 32
        }
        return nil
    }
}
