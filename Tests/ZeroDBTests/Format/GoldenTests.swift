import Glibc
import Testing

@testable import Simulator
@testable import ZeroDB

/// Files of the format as they were written once: see `Tests/golden/README.md`.
@Suite("Golden files")
struct GoldenTests {
    private static let folder =
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
        .joined(separator: "/") + "/golden/format-1/"

    private struct Unreadable: Error {
        var path: String
    }

    private static func read(_ name: String) throws -> [UInt8] {
        guard let file = fopen(folder + name, "rb") else {
            throw Unreadable(path: folder + name)
        }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
        return bytes
    }

    /// A file from its parts.
    private static func unpacked(_ name: String) throws -> [UInt8] {
        let packed = try read(name + ".sparse")
        func number(_ place: Int) -> Int {
            packed[place..<(place + 8)].reversed().reduce(0) { $0 << 8 | Int($1) }
        }
        var bytes = [UInt8](repeating: 0, count: number(0))
        var place = 8
        while place < packed.count {
            let (offset, length) = (number(place), number(place + 8))
            place += 16
            bytes.replaceSubrange(
                offset..<(offset + length), with: packed[place..<(place + length)])
            place += length
        }
        return bytes
    }

    private func environment(withLog: Bool, readOnly: Bool = false) throws -> Environment {
        let files = MemoryFileSystem()
        files.setContents("env/data.zdb", MemoryContents(try Self.unpacked("data.zdb")))
        if withLog {
            let name = LogSegment.name(base: LogSegment.firstBase)
            files.setContents("env/log/\(name)", MemoryContents(try Self.unpacked(name)))
        }
        return try Environment.inMemory(files) {
            $0.maxSize = 64 << 20
            $0.isReadOnly = readOnly
        }
    }

    /// The words of each line of what the files should contain.
    private static func lines() throws -> [[Substring]] {
        String(decoding: try read("content.txt"), as: UTF8.self).split(separator: "\n").map {
            $0.split(separator: " ")
        }
    }

    @Test("Format 1 is read as it was written, with its log and without")
    func formatOne() throws {
        let lines = try Self.lines()
        let without = try environment(withLog: false, readOnly: true)
        #expect(try without.info().digest.description == lines[0][1])
        #expect(try without.verify().problems == 0)
        try without.close()

        let with = try environment(withLog: true)
        #expect(with.recoveryReport.records == 3)
        #expect(try with.info().digest.description == lines[0][2])
        #expect(try with.verify().problems == 0)
        let reader = try with.beginRead()
        #expect(try reader.databases().count == lines.count - 2)
        for line in lines.dropFirst() {
            var name: [UInt8] = []
            var digits = line[1][...]
            while line[1] != "-", !digits.isEmpty {
                name.append(try #require(UInt8(digits.prefix(2), radix: 16)))
                digits = digits.dropFirst(2)
            }
            let database = name.isEmpty ? Database.main : try reader.database(name)
            let statistics = try reader.statistics(of: database)
            #expect(try String(reader.flags(of: database).rawValue) == line[2])
            #expect(String(statistics.entries) == line[3])
            #expect(statistics.digest.description == line[4])
            // By reading all of it.
            var cursor = try reader.cursor(in: database)
            var digest: UInt128 = 0
            while let entry = try cursor.next() {
                digest &+= ModelDigest.pair(
                    entry.key.withUnsafeBytes { Array($0) },
                    entry.value.withUnsafeBytes { Array($0) })
            }
            #expect(digest == statistics.digest.number)
        }
    }

    @Test("Format 1 can be written to")
    func writes() throws {
        let environment = try environment(withLog: true)
        for number in 0..<50 {
            try environment.write { writer throws in
                for listed in try writer.databases() where number % 10 == 0 {
                    try writer.clear(try writer.database(listed.nameBytes))
                }
                try writer.put("number", "\(number)")
            }
        }
        #expect(try environment.verify().problems == 0)
        try environment.close()
    }
}
