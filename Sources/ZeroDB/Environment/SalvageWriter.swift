import Glibc

/// A new environment that is filled in transactions of bounded size, and flushed at its end only.
final class SalvageWriter {
    private let environment: Environment
    private var claim: TransactionClaim?
    /// Bytes put since the last commit.
    private var bytes = 0

    private static let bytesMax = 64 << 20

    /// - Throws: EEXIST; a system error.
    init(
        _ path: String, pageSize: Int, _ fileSystem: any FileSystem
    ) throws(DatabaseError) {
        let bytes = Array(path.utf8)
        do throws(DatabaseError) {
            try fileSystem.openDirectory(PathBytes(bytes), create: nil).close()
        } catch {
            guard error.systemError == ENOENT else { throw error }
            var options = EnvironmentOptions()
            options.pageSize = pageSize
            options.durability = .none
            options.usesThread = false
            options.maxTransactionPages = 0
            environment = try Environment(path: path, options: options, fileSystem: fileSystem)
            return
        }
        throw DatabaseError(systemError: EEXIST, "make \(path)")
    }

    private func transaction() throws(DatabaseError) -> TransactionClaim {
        if let claim { return claim }
        let claim = try Transactions.beginWrite(environment.store.state)
        self.claim = claim
        return claim
    }

    private func operations() throws(DatabaseError) -> Operations {
        Operations(try transaction().state)
    }

    func commit() throws(DatabaseError) {
        bytes = 0
        guard let claim else { return }
        self.claim = nil
        try claim.state.pointee.enter()
        try Transactions.commit(claim)
    }

    /// Commits and makes all durable.
    func close() throws(DatabaseError) {
        try commit()
        try environment.close()
    }

    deinit {
        if let claim { Transactions.letGo(claim) }
    }

    /// Of all that has been put.
    var digest: ContentDigest {
        get throws(DatabaseError) {
            try commit()
            return try environment.store.tipMeta().digest
        }
    }

    // MARK: Databases

    /// - Parameter name: nil for the main database.
    /// - Returns: its handle.
    func makeDatabase(_ name: [UInt8]?, _ flags: DatabaseFlags) throws(DatabaseError) -> Int {
        let operations = try operations()
        guard let name else { return try operations.openMain(flags: flags, create: true) }
        return try name.withBytes { name throws(DatabaseError) in
            try operations.openDatabase(name, flags: flags, create: true)
        }
    }

    func statistics(_ database: Int) throws(DatabaseError) -> DatabaseStatistics {
        try operations().statistics(database)
    }

    /// The names of databases that there are.
    func names() throws(DatabaseError) -> [[UInt8]] { try operations().list().map(\.name) }

    // MARK: Entries

    /// - Throws: `notSorted`, `badValueSize`, after which the next entry may be put; other errors.
    func put(
        _ database: Int, _ key: [UInt8], _ value: UnsafeRawBufferPointer, mode: PutMode
    ) throws(DatabaseError) {
        let operations = try operations()
        try key.withBytes { key throws(DatabaseError) in
            _ = try operations.put(database, key, value, mode: mode)
        }
        bytes += key.count + value.count + 32
        if bytes > Self.bytesMax { try commit() }
    }

    /// Runs a body that changes something else.
    ///
    /// - Parameter size: bytes of what it puts.
    func change<Result>(
        size: Int, _ body: (Operations) throws(DatabaseError) -> Result
    ) throws(DatabaseError) -> Result {
        let result = try body(try operations())
        bytes += size
        if bytes > Self.bytesMax { try commit() }
        return result
    }
}
