import Glibc
import Testing

@testable import Simulator
@testable import ZeroDB

/// A log that was made to do harm: its records have right checksums, or look as if they might.
@Suite("Hostile logs", .timeLimit(.minutes(1)))
struct HostileLogTests {
    /// What a crash has left: a checkpoint, and a segment whose content is up to the test.
    private final class Crafted {
        let fileSystem = MemoryFileSystem()
        private(set) var meta = Meta()
        let base: UInt64 = LogSegment.firstBase
        var records: [UInt8]
        private let capacity: Int
        private let data: [UInt8]
        private var end = 0
        private var previous: UInt64 = 0
        private var transaction: UInt64 = 0

        init(capacity: Int = 1 << 20) throws {
            self.capacity = capacity
            records = Array(repeating: 0, count: capacity)
            let environment = try Environment(
                path: "env", options: Self.options(), fileSystem: fileSystem)
            try environment.write { try $0.put(Array("first".utf8), [1]) }
            try environment.close()
            for name in try fileSystem.list("env/log") { try fileSystem.remove("env/log/\(name)") }
            let image = try #require(
                CraftedImage(fileSystem.contents("env/data.zdb") ?? MemoryContents()))
            image.cutLog()
            image.store()
            meta = image.meta
            data = image.file.bytes
            transaction = meta.transaction
        }

        private static func options() -> EnvironmentOptions {
            var options = EnvironmentOptions()
            options.maxSize = 64 << 20
            options.usesThread = false
            options.comparesDigests = false
            return options
        }

        /// Appends the next transaction's record, sound but for what its operations say.
        func append(_ operations: [UInt8]) {
            var bytes = [UInt8](repeating: 0, count: LogRecord.headerSize) + operations
            while bytes.count % 8 != 0 { bytes.append(0) }
            transaction += 1
            put(&bytes, at: end)
            end += bytes.count
        }

        /// Leaves a gap where a record does not check.
        func damage() { end += 128 }

        private func put(_ bytes: inout [UInt8], at offset: Int) {
            let position = base + UInt64(offset)
            let record = LogRecord(
                kind: .transaction, length: UInt64(bytes.count), position: position,
                previous: previous, transaction: transaction, wallClock: 0, flushed: position,
                digest: ContentDigest())
            bytes.withUnsafeMutableBytes {
                guard let start = $0.baseAddress else { return }
                previous = record.store(to: start, seed: meta.checksumSeed)
            }
            records.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
        }

        /// Fills the rest with what could be the headers of long records, as close as they can lie.
        func fillWithHeaders(from start: Int, to end: Int, length: (Int) -> UInt64) {
            records.withUnsafeMutableBytes { bytes in
                guard let memory = bytes.baseAddress else { return }
                for offset in stride(from: start, to: end - 64, by: 64) {
                    let header = memory + offset
                    header.storeLittleEndian(LogRecord.magic, at: 8)
                    header.storeLittleEndian(LogRecord.Kind.transaction.rawValue, at: 12)
                    header.storeLittleEndian(length(offset), at: 16)
                    header.storeLittleEndian(base + UInt64(offset), at: 24)
                    header.storeLittleEndian(UInt64(1) << 40, at: 40)
                    header.storeLittleEndian(UInt64(1) << 40, at: 56)
                }
            }
        }

        func open() throws {
            fileSystem.contents("env/data.zdb")?.restore(data)
            let header = UnsafeMutableRawPointer.allocate(
                byteCount: LogSegmentHeader.size, alignment: 8)
            defer { header.deallocate() }
            LogSegmentHeader(
                environmentID: meta.environmentID, base: base, capacity: UInt64(capacity)
            ).store(to: header)
            let bytes = Array(UnsafeRawBufferPointer(start: header, count: LogSegmentHeader.size))
            fileSystem.setContents(
                "env/log/\(LogSegment.name(base: base))", MemoryContents(bytes + records))
            let environment = try Environment(
                path: "env", options: Self.options(), fileSystem: fileSystem)
            #expect(try environment.verify().problems == 0)
            try environment.close()
        }
    }

    @Test("Looking behind a damaged record takes as long as the log is large")
    func linearTime() throws {
        let capacity = 16 << 20
        let crafted = try Crafted(capacity: capacity)
        crafted.append([])
        crafted.fillWithHeaders(from: 128, to: capacity) { UInt64((capacity - $0) / 8 * 8) }
        let began = ContinuousClock.now
        try crafted.open()
        // 16 MiB of headers of 8 MiB each took more than a minute.
        #expect(ContinuousClock.now - began < .seconds(10))
    }

    @Test("What shows damage is found behind what only looks like it")
    func findsWitness() throws {
        let crafted = try Crafted()
        crafted.append([])
        crafted.damage()
        // Values may look like headers.
        crafted.fillWithHeaders(from: 256, to: 100_000) { _ in 512 }
        for _ in 0..<1600 { crafted.damage() }
        crafted.append([])
        expectFailure(.corrupted) { try crafted.open() }
    }

    @Test("A record whose operations no transaction can have made is damage")
    func operations() throws {
        let long = [UInt8](repeating: 7, count: 2100)
        let impossible: [(String, [UInt8])] = [
            ("an unknown operation", [200]),
            ("a number without end", [1] + Array(repeating: 0xff, count: 12)),
            ("a key beyond the record", [1, 0, 0xff, 0xff, 0x03, 1]),
            ("a key too long", [1, 0, 0xb4, 0x10] + long + [0]),
            ("an empty key", [1, 0, 0, 0]),
            ("a database without a name", [1, 5, 1, 1, 0]),
            ("a database that is not there", [3, 1, 1, 0x61, 1, 1, 1, 1, 0]),
            (
                "a name too long",
                [3, 1, 0xff, 0x07] + Array(repeating: 7, count: 1023) + [4, 1, 0]
            ),
            ("an empty name", [3, 1, 0, 4, 1, 0]),
            ("unknown flags", [3, 1, 1, 0x61, 4, 1, 0xff, 0xff, 0x03]),
            ("flags that do not go together", [3, 1, 1, 0x61, 4, 1, 0x10]),
            ("dropping the main database", [6, 0]),
            ("a new name of the main database", [7, 0, 1, 0x61]),
            ("a name for the main database's number", [3, 0, 1, 0x61, 4, 0, 0]),
            ("a range of three ends", [8, 0, 7]),
            ("a pair of a plain database", [9, 0, 1, 1, 1, 1]),
            (
                "a large number of a database",
                [2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 1]
            ),
        ]
        for (what, bytes) in impossible {
            let crafted = try Crafted()
            crafted.append(bytes)
            do {
                try crafted.open()
                // Some are without effect.
                #expect(what == "a pair of a plain database", "\(what) was replayed")
            } catch let error as DatabaseError {
                #expect(error.code == .corrupted, "\(what): \(error)")
            }
        }
    }

    @Test("Names in the log's directory that no segment has are left alone")
    func names() throws {
        for name in ["+000000000001000.log", "000000000000100G.log", "00000000DEADBEEF.log"] {
            #expect(LogSegment.base(ofName: name) == nil, "\(name)")
        }
        #expect(LogSegment.base(ofName: "00000000deadbeef.log") == 0xdead_beef)
        let crafted = try Crafted()
        for number in 0..<5000 {
            crafted.fileSystem.setContents(
                "env/log/\(LogSegment.name(base: UInt64(1) << 30 + UInt64(number) * 8))",
                MemoryContents())
        }
        crafted.append([1, 0, 1, 1, 1, 1])
        try crafted.open()
    }
}
