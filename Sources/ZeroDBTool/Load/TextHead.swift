import ZeroDB

/// The head of a database in the text format of `mdb_dump`, read line by line.
struct TextHead {
    var database = LoadedDatabase()
    var isPrinted = false
    /// Names of lines that mean nothing here.
    private(set) var unknown: [(line: UInt64, name: String)] = []

    private var flags: DatabaseFlags = []
    private var hasVersion = false

    /// Lines that say what other libraries need to know.
    private static let ignored: Set = [
        "mapsize", "mapaddr", "maxreaders", "duplicates", "zerodb.database", "db_pagesize",
    ]
    private static let unknownMax = 20
    /// The lines between the first of a head and its last.
    static let linesMax = 1000
    static let lineSizeMax = 64 << 10

    /// Takes a line of it.
    ///
    /// - Returns: whether the head ends with it.
    mutating func take(_ line: [UInt8], _ number: UInt64) throws -> Bool {
        guard let equals = line.firstIndex(of: 0x3d) else {
            throw problem(number, "no line of a head: \(Output.cut(line, 40)) has no \"=\"")
        }
        let name = String(decoding: line[..<equals], as: UTF8.self)
        let value = line[(equals + 1)...]
        let text = String(decoding: value, as: UTF8.self)
        if !hasVersion {
            guard name == "VERSION", text == "3" else {
                throw problem(number, "VERSION=3 is expected, not \(Output.cut(line, 40))")
            }
            hasVersion = true
            return false
        }
        switch name {
        case "HEADER":
            guard text == "END" else { throw wrong(number, line) }
            return try finish(number)
        case "format": isPrinted = try format(text, number, line)
        case "type":
            guard text == "btree" else {
                throw problem(number, "type=btree is expected, not \(Output.cut(line, 40))")
            }
        case "database": if database.name == nil { database.name = Array(value) }
        default: try takeOther(name, text, number, line)
        }
        return false
    }

    private mutating func takeOther(
        _ name: String, _ text: String, _ number: UInt64, _ line: [UInt8]
    ) throws {
        if name == "zerodb.database" {
            guard let key = KeyArgument(argument: "0x" + text) else { throw wrong(number, line) }
            database.name = key.bytes
        } else if name == "zerodb.entries" {
            guard let entries = UInt64(text) else { throw wrong(number, line) }
            database.entries = entries
        } else if name == "zerodb.digest" {
            guard text.utf8.count == 32, text.utf8.allSatisfy({ Hex.value($0) != nil }) else {
                throw wrong(number, line)
            }
            database.digest = text.lowercased()
        } else if let flag = Self.flag(name) {
            guard ["0", "1"].contains(text) else { throw wrong(number, line) }
            if text == "1" { flags.insert(flag) }
        } else if name == "db_pagesize" {
            guard let size = Int(text), size > 0 else { throw wrong(number, line) }
            database.pageSize = size
        } else if !Self.ignored.contains(name), unknown.count < Self.unknownMax {
            unknown.append((number, name))
        }
    }

    private static func flag(_ name: String) -> DatabaseFlags? {
        if name == "zerodb.counted" { return .counted }
        // Berkeley DB's dumps have it alone where duplicates are not ordered.
        if name == "duplicates" { return .duplicates }
        return DumpFlags.ofLMDB.first { $0.0 == name }?.1
    }

    private func format(_ text: String, _ number: UInt64, _ line: [UInt8]) throws -> Bool {
        guard ["print", "bytevalue"].contains(text) else {
            throw problem(
                number, "format=print or format=bytevalue is expected, not \(Output.cut(line, 40))")
        }
        return text == "print"
    }

    private mutating func finish(_ number: UInt64) throws -> Bool {
        let meant = flags.asLMDBMeans
        if meant != flags {
            unknown.append((number, "flags that LMDB gives no meaning here"))
        }
        database.flags = meant.rawValue
        return true
    }

    private func wrong(_ number: UInt64, _ line: [UInt8]) -> TransferError {
        problem(number, "\(Output.cut(line, 40)) makes no sense")
    }

    private func problem(_ number: UInt64, _ text: String) -> TransferError {
        .input("line \(number): \(text)")
    }
}

extension DatabaseFlags {
    /// The flags by which a database orders its entries as LMDB does with these. LMDB takes flags that
    /// do not go together, and heeds one of them.
    var asLMDBMeans: DatabaseFlags {
        var meant = self
        if contains(.reverseKeys) { meant.remove(.integerKeys) }
        if contains(.duplicates) {
            if contains(.integerDuplicates) {
                meant.remove(.reverseDuplicates)
                meant.insert(.fixedSizeDuplicates)
            }
        } else {
            meant.subtract([.fixedSizeDuplicates, .integerDuplicates, .reverseDuplicates])
        }
        return meant
    }
}
