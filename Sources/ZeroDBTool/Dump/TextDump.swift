import ZeroDB

/// The text format of `mdb_dump` and `mdb_load`, version 3, which is that of Berkeley DB's db_dump.
///
/// The lines of the head whose names begin with "zerodb." are ours. `mdb_load` says of each that it
/// ignores it.
struct TextDump: DumpFormat {
    /// Whether bytes that can be printed are, rather than all in hexadecimal.
    let isPrinted: Bool

    func writeHead(_ database: DumpedDatabase, to output: inout ByteOutput) throws {
        try output.write("VERSION=3\nformat=\(isPrinted ? "print" : "bytevalue")\n")
        if let name = database.name { try writeName(name, to: &output) }
        try output.write("type=btree\n")
        try output.write("mapsize=\(Self.mapSize(database.fileSize))\n")
        try output.write("maxreaders=\(min(database.maxReaders, Self.readersMax))\n")
        let flags = database.statistics.flags
        if flags.contains(.duplicates) { try output.write("duplicates=1\n") }
        for (name, flag) in DumpFlags.ofLMDB where flags.contains(flag) {
            try output.write("\(name)=1\n")
        }
        try output.write("db_pagesize=\(database.statistics.pageSize)\n")
        if flags.contains(.counted) { try output.write("zerodb.counted=1\n") }
        if database.isWhole {
            try output.write("zerodb.entries=\(database.statistics.entries)\n")
            try output.write("zerodb.digest=\(database.statistics.digest)\n")
        }
        try output.write("HEADER=END\n")
    }

    func writeEntry(
        _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, to output: inout ByteOutput
    ) throws {
        try writeLine(key, to: &output)
        try writeLine(value, to: &output)
    }

    func writeEnd(_ entries: UInt64, to output: inout ByteOutput) throws {
        try output.write("DATA=END\n")
    }

    /// A reader table of LMDB has a fixed size, and takes memory for all of it.
    private static let readersMax = 126

    /// Bytes of a map in which LMDB has room for the same content, with pages that are half full.
    private static func mapSize(_ fileSize: UInt64) -> UInt64 {
        ((fileSize >> 20) + 1) * 4 << 20
    }

    /// A name with the end of a line in it cannot be a line of the head: `mdb_load` gets a similar one.
    private func writeName(_ name: [UInt8], to output: inout ByteOutput) throws {
        try output.write("database=")
        for byte in name { try output.write(Self.isPlain(byte) ? byte : 0x3f) }
        try output.write("\n")
        guard !name.allSatisfy(Self.isPlain) else { return }
        try output.write("zerodb.database=")
        for byte in name { try output.writeHex(byte) }
        try output.write("\n")
    }

    private static func isPlain(_ byte: UInt8) -> Bool { ![0, 0x0a, 0x0d].contains(byte) }

    private func writeLine(_ bytes: UnsafeRawBufferPointer, to output: inout ByteOutput) throws {
        try output.write(0x20)
        if isPrinted {
            try writePrinted(bytes, to: &output)
        } else {
            try output.writeHex(bytes)
        }
        try output.write(0x0a)
    }

    private func writePrinted(
        _ bytes: UnsafeRawBufferPointer, to output: inout ByteOutput
    ) throws {
        for byte in bytes {
            // A backslash in hexadecimal too: mdb_load of LMDB 0.9 misreads two of them.
            if 0x20...0x7e ~= byte, byte != 0x5c {
                try output.write(byte)
            } else {
                try output.write(0x5c)
                try output.writeHex(byte)
            }
        }
    }
}
