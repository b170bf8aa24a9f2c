import ZeroDB

/// Text in the format of `mdb_dump`, or lines of keys and values in turn.
struct TextSource: LoadSource, ~Copyable {
    private var reader: LineReader
    /// Whether there are no heads: a single database, of printed keys and values.
    private let isPlain: Bool
    /// The database of what has no name.
    private let defaultName: [UInt8]?
    private var isPrinted = true
    private var hasBegun = false
    private var notes: [String] = []

    private(set) var key: [UInt8] = []
    private(set) var value: [UInt8] = []
    private var keyLine: UInt64 = 0

    /// Bytes that a key or value may have; the library says less of some.
    static let keySizeMax = 64 << 10
    static let valueSizeMax = 1 << 31

    init(_ reader: consuming LineReader, isPlain: Bool, defaultName: [UInt8]?) {
        self.reader = reader
        self.isPlain = isPlain
        self.defaultName = defaultName
    }

    var place: String { "line \(keyLine)" }

    var position: LoadPosition? {
        LoadPosition(
            offset: reader.offset, lines: reader.lines, entries: 0, isPrinted: isPrinted,
            check: reader.check)
    }

    /// Goes on where an earlier load was, in the database that it was in.
    mutating func resume(at position: LoadPosition) throws {
        try reader.skip(to: position)
        isPrinted = position.isPrinted
        hasBegun = true
    }

    mutating func takeNotes() -> [String] {
        defer { notes = [] }
        return notes
    }

    // MARK: Databases

    mutating func nextDatabase() throws -> LoadedDatabase? {
        defer { hasBegun = true }
        if isPlain {
            return hasBegun ? nil : LoadedDatabase(name: defaultName)
        }
        guard try reader.peek() != nil else {
            if hasBegun { return nil }
            throw TransferError.input("the input is empty")
        }
        var head = TextHead()
        for _ in 0..<TextHead.linesMax {
            guard let line = try reader.readShortLine(max: TextHead.lineSizeMax) else {
                throw TransferError.input(
                    "line \(reader.lines + 1): the input ends in a head; HEADER=END is missing")
            }
            guard try head.take(line, reader.lines) else { continue }
            notes += head.unknown.map { "line \($0.line): ignored: \($0.name)" }
            isPrinted = head.isPrinted
            if head.database.name == nil { head.database.name = defaultName }
            return head.database
        }
        throw TransferError.input("line \(reader.lines): a head has no more than 1000 lines")
    }

    // MARK: Entries

    mutating func nextEntry() throws -> Bool {
        keyLine = reader.lines + 1
        guard try beginsLine() else { return false }
        key = try readBytes(reusing: exchange(&key, with: []), max: Self.keySizeMax)
        guard try beginsLine() else {
            throw TransferError.input("line \(reader.lines): a key without a value")
        }
        value = try readBytes(reusing: exchange(&value, with: []), max: Self.valueSizeMax)
        return true
    }

    /// Looks whether a line of data begins, and passes over its first space.
    ///
    /// - Returns: false if the data ends here.
    private mutating func beginsLine() throws -> Bool {
        let first = try reader.peek()
        if isPlain { return first != nil }
        if first == 0x20 {
            reader.skip()
            return true
        }
        guard let line = try reader.readShortLine(max: TextHead.lineSizeMax) else {
            throw TransferError.input(
                "line \(reader.lines + 1): the input ends early; DATA=END is missing")
        }
        guard line == Array("DATA=END".utf8) else {
            throw TransferError.input(
                "line \(reader.lines): a line of data begins with a space, not as "
                    + Output.cut(line, 40))
        }
        return false
    }

    /// Reads a line.
    ///
    /// - Parameter room: memory for it.
    /// - Returns: the bytes that it stands for.
    private mutating func readBytes(reusing room: consuming [UInt8], max: Int) throws -> [UInt8] {
        var bytes = room
        bytes.removeAll(keepingCapacity: bytes.capacity <= 1 << 20)
        var decoder = LineDecoder(isPrinted: isPrinted, sizeMax: max, line: reader.lines + 1)
        let ending = try reader.readLine { try decoder.decode($0, into: &bytes) }
        guard ending == .newline || isPlain else {
            throw TransferError.input("line \(reader.lines + 1): the input ends in it")
        }
        try decoder.finish()
        return bytes
    }
}
