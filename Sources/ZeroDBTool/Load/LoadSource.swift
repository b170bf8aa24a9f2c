import ZeroDB

/// What a load reads: databases, and the entries of each.
protocol LoadSource: ~Copyable {
    /// Goes on to the next database.
    ///
    /// - Returns: nil after the last.
    mutating func nextDatabase() throws -> LoadedDatabase?

    /// Goes on to the next entry of the database.
    ///
    /// - Returns: false after the last. Then `key` and `value` are what they were.
    mutating func nextEntry() throws -> Bool

    var key: [UInt8] { get }
    var value: [UInt8] { get }

    /// The current entry, as a message names it: "line 17".
    var place: String { get }

    /// Where the next entry begins, for a load that goes on there; nil if it could not.
    var position: LoadPosition? { get }

    /// What has been noticed and does not end the load. Taken once.
    mutating func takeNotes() -> [String]
}

/// A database that is loaded, as its source describes it.
struct LoadedDatabase: Codable {
    /// Nil for the main database.
    var name: [UInt8]?
    /// The bits of what it is; nil for whatever the target is, and a plain one if it is new.
    var flags: UInt16?
    /// A size of pages for an environment that is made; nil if the source does not tell.
    var pageSize: Int?
    /// What the source says that all of it has; nil if it does not.
    var entries: UInt64?
    /// Likewise.
    var digest: String?
    /// Whether the target had no entries before the load.
    var wasEmpty = false

    /// As a message names it.
    var title: String { name.map { "database \(Output.name($0))" } ?? "main database" }
}

/// A place in the text that is loaded, between two entries.
struct LoadPosition: Codable {
    /// Bytes before it.
    var offset: UInt64
    /// Lines before it.
    var lines: UInt64
    /// Entries of the database before it, where the text counts them.
    var entries: UInt64
    /// Whether entries have printed characters; of JSON lines, whether the database needs an end.
    var isPrinted: Bool
    /// Of up to so many bytes before it, to know the text again.
    var check: UInt64
}
