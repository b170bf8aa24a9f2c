import Glibc
import LMDBFile

/// Files that libraries of LMDB have written: see `Tests/golden/lmdb/README.md`.
enum LMDBFixture {
    static let names = ["0.9-64", "0.9-32", "1.0-64", "1.0-32", "1.0-64-small"]

    private static let folder =
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
        .joined(separator: "/") + "/golden/lmdb/"

    /// A database with its entries: "key value", in hexadecimal.
    struct Content: Equatable {
        var name: String
        var flags: UInt16
        var entries: [String] = []
    }

    struct Unreadable: Error {
        var path: String
    }

    static func path(_ name: String) -> String { folder + name + ".mdb" }

    static func bytes(_ path: String) throws -> [UInt8] {
        guard let file = fopen(path, "rb") else { throw Unreadable(path: path) }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
        return bytes
    }

    static func write(_ bytes: [UInt8], to path: String) throws {
        guard let file = fopen(path, "wb") else { throw Unreadable(path: path) }
        defer { fclose(file) }
        guard fwrite(bytes, 1, bytes.count, file) == bytes.count else {
            throw Unreadable(path: path)
        }
    }

    /// What all of them hold, as LMDB has read it.
    static func content() throws -> [Content] {
        let text = String(decoding: try bytes(folder + "content.txt"), as: UTF8.self)
        var databases: [Content] = []
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ", omittingEmptySubsequences: false).map(
                String.init)
            if words[0] == "database" {
                let name = words[1] == "-" ? "" : words[1]
                databases.append(Content(name: name, flags: UInt16(words[2]) ?? 0))
            } else {
                databases[databases.count - 1].entries.append(String(line))
            }
        }
        return databases
    }

    /// What the reader finds in a file.
    static func read(_ path: String) throws(LMDBError) -> [Content] {
        let file = try LMDBFile(path: path)
        var found: [Content] = []
        var waiting = [file.mainDatabase]
        while let database = waiting.popLast() {
            let name = String(decoding: database.name ?? [], as: UTF8.self)
            var content = Content(name: name, flags: database.flags)
            var entries = try LMDBEntries(file, database)
            while try entries.next() {
                content.entries.append(hex(entries.key) + " " + hex(entries.value))
            }
            waiting += entries.named.reversed()
            found.append(content)
        }
        try file.checkUnchanged()
        return found
    }

    private static let digits = Array("0123456789abcdef".utf8)

    private static func hex(_ bytes: ArraySlice<UInt8>) -> String {
        var text: [UInt8] = []
        text.reserveCapacity(2 * bytes.count)
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}
