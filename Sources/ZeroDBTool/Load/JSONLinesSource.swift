import ZeroDB

/// JSON lines: entries, with or without objects that say which database they belong to.
struct JSONLinesSource: LoadSource, ~Copyable {
    private var reader: LineReader
    private let defaultName: [UInt8]?
    /// A line that has been read and not been used.
    private var pending: JSONLine?
    /// Whether an object has begun the database, so that another must end it.
    private var needsEnd = false
    private var hasBegun = false
    private var entries: UInt64 = 0

    private(set) var key: [UInt8] = []
    private(set) var value: [UInt8] = []

    init(_ reader: consuming LineReader, defaultName: [UInt8]?) {
        self.reader = reader
        self.defaultName = defaultName
    }

    var place: String { "line \(reader.lines)" }

    var position: LoadPosition? {
        LoadPosition(
            offset: reader.offset, lines: reader.lines, entries: entries, isPrinted: needsEnd,
            check: reader.check)
    }

    /// Goes on where an earlier load was, in the database that it was in.
    mutating func resume(at progress: LoadTarget.Progress) throws {
        try reader.skip(to: progress.position)
        needsEnd = progress.position.isPrinted
        entries = progress.position.entries
        hasBegun = true
    }

    func takeNotes() -> [String] { [] }

    // MARK: Databases

    mutating func nextDatabase() throws -> LoadedDatabase? {
        defer { hasBegun = true }
        guard let line = try nextLine() else {
            return hasBegun ? nil : LoadedDatabase(name: defaultName)
        }
        entries = 0
        needsEnd = line["database"] != nil || line["database_base64"] != nil
        guard needsEnd else {
            guard !hasBegun else { throw problem("an entry after the end of its database") }
            pending = line
            return LoadedDatabase(name: defaultName)
        }
        return try database(line)
    }

    private func database(_ line: JSONLine) throws -> LoadedDatabase {
        var database = LoadedDatabase()
        var flags: DatabaseFlags = []
        for (name, value) in line.parts {
            switch (name, value) {
            case ("database", .null): database.name = defaultName
            case ("database", .text(let text)): database.name = text
            case ("database_base64", .text(let text)): database.name = try decode(text, name)
            case ("entries", .number(let entries)): database.entries = entries
            case ("digest", .text(let text)):
                database.digest = String(decoding: text, as: UTF8.self).lowercased()
            case ("page_size", .number(let size)): database.pageSize = Int(clamping: size)
            case ("flags", .list(let names)):
                for name in names { flags.insert(try flag(name)) }
            default: throw problem("\(Output.name(Array(name.utf8))) makes no sense here")
            }
        }
        database.flags = flags.rawValue
        return database
    }

    private func flag(_ name: [UInt8]) throws -> DatabaseFlags {
        guard let known = DumpFlags.all.first(where: { Array($0.0.utf8) == name }) else {
            throw problem("there is no flag \(Output.name(name))")
        }
        return known.1
    }

    // MARK: Entries

    mutating func nextEntry() throws -> Bool {
        guard let line = try nextLine() else {
            guard !needsEnd else {
                throw TransferError.input(
                    "line \(reader.lines + 1): the input ends early; the object with \"end\" is missing"
                )
            }
            return false
        }
        if let end = line["end"] {
            guard needsEnd, line.parts.count == 1, case .number(entries) = end else {
                throw problem("an end after \(entries) entries")
            }
            return false
        }
        guard line.parts.count == 2, let key = try bytes("key", of: line),
            let value = try bytes("value", of: line)
        else { throw problem("an entry has a key and a value, and nothing else") }
        self.key = key
        self.value = value
        entries += 1
        return true
    }

    /// The bytes of a part: text, or base64.
    private func bytes(_ name: String, of line: JSONLine) throws -> [UInt8]? {
        if case .text(let text)? = line[name] { return text }
        guard case .text(let text)? = line[name + "_base64"] else { return nil }
        return try decode(text, name)
    }

    private func decode(_ text: [UInt8], _ name: String) throws -> [UInt8] {
        guard let bytes = JSONText.decodeBase64(text[...]) else {
            throw problem("the \(name) is no base64")
        }
        return bytes
    }

    // MARK: Lines

    private mutating func nextLine() throws -> JSONLine? {
        if let line = pending {
            pending = nil
            return line
        }
        guard try reader.peek() != nil else { return nil }
        var bytes: [UInt8] = []
        let number = reader.lines + 1
        let ending = try reader.readLine { piece in
            guard bytes.count + piece.count <= JSONLine.sizeMax else {
                throw TransferError.input("line \(number): it has more than 1 GiB")
            }
            bytes += piece
        }
        guard ending == .newline || !needsEnd else {
            throw TransferError.input("line \(number): the input ends in it")
        }
        return try JSONLine(bytes, line: number)
    }

    private func problem(_ text: String) -> TransferError {
        .input("line \(reader.lines): \(text)")
    }
}
