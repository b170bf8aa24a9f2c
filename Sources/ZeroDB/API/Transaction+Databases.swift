/// A named database, as a listing describes it.
public struct ListedDatabase: Sendable, Equatable {
    /// The bytes of its name.
    public var nameBytes: [UInt8]
    /// Its counts in the transaction that listed it.
    public var statistics: DatabaseStatistics

    /// Its name, with the replacement character for what is no UTF-8.
    public var name: String { String(decoding: nameBytes, as: UTF8.self) }
}

extension Transaction where Self: ~Copyable {
    /// Opens a named database that exists.
    ///
    /// - Parameters:
    ///   - name: 1 to 511 bytes.
    ///   - flags: what it must be; empty for whatever it is.
    /// - Returns: a handle for all transactions of the environment, the same for the same name.
    /// - Throws: `notFound`; `incompatible` if it is something else, or flags do not go together;
    ///   `badArgument` for the name; `badTransaction`.
    public func database(
        _ name: some ByteSource, flags: DatabaseFlags = []
    ) throws(DatabaseError) -> Database {
        try name.withBytes { name throws(DatabaseError) in
            Database(
                handle: try access.calling { operations throws(DatabaseError) in
                    try operations.openDatabase(name, flags: flags, create: false)
                })
        }
    }

    /// What a database is.
    ///
    /// - Throws: `badDatabase`, `badTransaction`.
    public func flags(of database: Database = .main) throws(DatabaseError) -> DatabaseFlags {
        try access.calling { operations throws(DatabaseError) in
            try operations.flags(of: database.handle)
        }
    }

    /// The named databases that the transaction sees, in the order of their names.
    ///
    /// - Throws: `badTransaction`, `corrupted`.
    /// - Complexity: O(databases).
    public func databases() throws(DatabaseError) -> [ListedDatabase] {
        var listed: [ListedDatabase] = []
        let list = try access.calling { operations throws(DatabaseError) in
            try operations.list()
        }
        for (name, statistics) in list {
            listed.append(ListedDatabase(nameBytes: name, statistics: statistics))
        }
        return listed
    }
}

extension WriteTransaction {
    /// Opens a named database, making it if it is not there.
    ///
    /// If the transaction aborts, a database that it has made is gone. Its handle then throws
    /// `badDatabase` until a database of that name is made.
    ///
    /// - Parameters:
    ///   - name: 1 to 511 bytes.
    ///   - flags: what it is made as, or must be if it is there; empty for a plain one, or whatever
    ///     it is.
    /// - Returns: a handle for all transactions of the environment, the same for the same name.
    /// - Throws: `incompatible` if it is something else, or flags do not go together;
    ///   `badArgument` for the name; `badTransaction`.
    public mutating func createDatabase(
        _ name: some ByteSource, flags: DatabaseFlags = []
    ) throws(DatabaseError) -> Database {
        try name.withBytes { name throws(DatabaseError) in
            Database(
                handle: try access.calling { operations throws(DatabaseError) in
                    try operations.openDatabase(name, flags: flags, create: true)
                })
        }
    }

    /// Makes of the main database what flags say, while it is plain and empty.
    ///
    /// - Throws: `incompatible` if it is something else or has entries, or flags do not go together.
    public mutating func createMain(flags: DatabaseFlags) throws(DatabaseError) {
        _ = try access.calling { operations throws(DatabaseError) in
            try operations.openMain(flags: flags, create: true)
        }
    }

    /// Deletes all entries of a database.
    ///
    /// - Throws: `badDatabase`, `badTransaction`; `corrupted`, after which the transaction can only
    ///   be aborted.
    /// - Complexity: a visit of its branch pages; of all its pages if it has large values or
    ///   duplicates. Readers play no part.
    public mutating func clear(_ database: Database = .main) throws(DatabaseError) {
        try access.calling { operations throws(DatabaseError) in
            try operations.clear(database.handle)
        }
    }

    /// Deletes a named database with all its entries.
    ///
    /// Transactions that began before read it as it was. Its handle throws `badDatabase` from then
    /// on, until a database of that name is made.
    ///
    /// - Throws: `incompatible` for the main database; otherwise as `clear(_:)`.
    public mutating func drop(_ database: Database) throws(DatabaseError) {
        try access.calling { operations throws(DatabaseError) in
            try operations.drop(database.handle)
        }
    }

    /// Gives a named database another name.
    ///
    /// - Returns: the database under its new name; handles stand for names, so `database` throws
    ///   `badDatabase` from then on.
    /// - Throws: `keyExists` if there is a database of that name; `incompatible` for the main
    ///   database; `badDatabase`; `badArgument`.
    public mutating func rename(
        _ database: Database, to name: some ByteSource
    ) throws(DatabaseError) -> Database {
        try name.withBytes { name throws(DatabaseError) in
            Database(
                handle: try access.calling { operations throws(DatabaseError) in
                    try operations.rename(database.handle, to: name)
                })
        }
    }
}
