import Testing

@testable import Simulator
@testable import ZeroDB

/// A log of several segments, some of which were changed: unless nothing can show it, the change
/// must not pass for the log's end.
@Suite("Damage to segments of the log")
struct LogSegmentDamageTests {
    private static let transactionCount = 12
    private static let entriesEach = 5
    private static let segmentCount = 4

    /// What a crash has left after full commits.
    private final class Crashed {
        typealias Files = [String: [UInt8]]

        let files: Files
        /// Paths of the segments, in the order of the log.
        let segments: [String]
        private(set) var events: [Event] = []
        private let isCheckpointed: Bool

        /// - Parameter isCheckpointed: whether a meta page names the first segment; otherwise all
        ///   is in the log.
        init(isCheckpointed: Bool = true) throws {
            self.isCheckpointed = isCheckpointed
            let fileSystem = MemoryFileSystem()
            let environment = try Environment(
                path: "env", options: Self.options(), fileSystem: fileSystem)
            if isCheckpointed {
                try environment.write { try $0.put(Array("first".utf8), []) }
                try environment.checkpoint()
            }
            for number in 0..<transactionCount {
                try environment.write { transaction in
                    for entry in 0..<entriesEach {
                        let key = Array("key \(number) \(entry)".utf8)
                        try transaction.put(key, Array(repeating: UInt8(number), count: 60_000))
                    }
                }
            }
            var files: Files = [:]
            files["env/data.zdb"] = fileSystem.contents("env/data.zdb")?.bytes
            segments = try fileSystem.list("env/log").filter { $0.hasSuffix(".log") }.sorted()
                .map { "env/log/\($0)" }
            for segment in segments { files[segment] = fileSystem.contents(segment)?.bytes }
            try environment.close()
            self.files = files
        }

        private static func options() -> EnvironmentOptions {
            var options = EnvironmentOptions()
            options.maxSize = 64 << 20
            // Segments of 1 MiB, and no checkpoint meanwhile.
            options.logSize = 4 << 20
            options.usesThread = false
            return options
        }

        enum Outcome: Equatable {
            /// Opened with what so many transactions had put, sound.
            case transactions(Int)
            case refused(DatabaseError.Code)
            case other(String)
        }

        func open(_ files: Files) -> Outcome {
            let fileSystem = MemoryFileSystem()
            for (name, bytes) in files { fileSystem.setContents(name, MemoryContents(bytes)) }
            var options = Self.options()
            let heard = Heard()
            options.onEvent = { heard.events.append($0) }
            defer { events = heard.events }
            do {
                let environment = try Environment(
                    path: "env", options: options, fileSystem: fileSystem)
                let problems = try environment.verify().problems
                let entries = try environment.read { try $0.statistics().entries }
                try environment.close()
                let found = Int(entries) - (isCheckpointed ? 1 : 0)
                guard problems == 0, found % entriesEach == 0 else {
                    return .other("\(entries) entries, \(problems) problems")
                }
                return .transactions(found / entriesEach)
            } catch let error as DatabaseError {
                return .refused(error.code)
            } catch {
                return .other("\(error)")
            }
        }

        /// Opens what is left without some segments.
        func open(without missing: [Int]) -> Outcome {
            open(files.filter { file in !missing.contains { segments[$0] == file.key } })
        }

        /// How many transactions are in the segments before one.
        func transactions(before segment: Int) throws -> Int {
            let outcome = open(without: Array(segment..<segments.count))
            guard case .transactions(let count) = outcome else {
                throw ModelFailure(description: "without segments from \(segment): \(outcome)")
            }
            return count
        }
    }

    private final class Heard: @unchecked Sendable {
        var events: [Event] = []
    }

    private static func crash(isCheckpointed: Bool = true) throws -> Crashed {
        let crashed = try Crashed(isCheckpointed: isCheckpointed)
        try #require(crashed.segments.count == segmentCount)
        #expect(crashed.open(crashed.files) == .transactions(transactionCount))
        return crashed
    }

    @Test(
        "A missing segment is noticed unless it is the last",
        arguments: [false, true])
    func missing(isCheckpointed: Bool) throws {
        let crashed = try Self.crash(isCheckpointed: isCheckpointed)
        for choice in 1..<(1 << Self.segmentCount) {
            let missing = (0..<Self.segmentCount).filter { choice & 1 << $0 != 0 }
            let outcome = crashed.open(without: missing)
            if missing == Array((Self.segmentCount - missing.count)..<Self.segmentCount) {
                guard case .transactions(let count) = outcome, count < Self.transactionCount else {
                    throw ModelFailure(description: "without \(missing): \(outcome)")
                }
            } else {
                #expect(outcome == .refused(.corrupted), "without \(missing)")
            }
        }
    }

    @Test("Swapped segments are noticed")
    func swapped() throws {
        let crashed = try Self.crash()
        for one in 0..<Self.segmentCount {
            for other in 0..<one {
                var files = crashed.files
                files[crashed.segments[one]] = crashed.files[crashed.segments[other]]
                files[crashed.segments[other]] = crashed.files[crashed.segments[one]]
                #expect(crashed.open(files) == .refused(.corrupted), "\(one) and \(other)")
            }
        }
    }

    @Test("An older file, or an empty one, in the place of a segment is noticed")
    func replaced() throws {
        let crashed = try Self.crash()
        for segment in 1..<Self.segmentCount {
            var files = crashed.files
            files[crashed.segments[segment]] = crashed.files[crashed.segments[segment - 1]]
            #expect(crashed.open(files) == .refused(.corrupted), "an older file as \(segment)")
        }
        for segment in 0..<(Self.segmentCount - 1) {
            var files = crashed.files
            let emptied = try emptied(crashed, segment)
            files[crashed.segments[segment]] = emptied
            #expect(crashed.open(files) == .refused(.corrupted), "\(segment) without records")
        }
    }

    /// A segment with a good header and no records: one that was made and not yet used.
    private func emptied(_ crashed: Crashed, _ segment: Int) throws -> [UInt8] {
        let bytes = try #require(crashed.files[crashed.segments[segment]])
        let header = LogSegment.headerSize
        return bytes[..<header] + Array(repeating: 0, count: bytes.count - header)
    }

    @Test("A segment after a gap proves the gap even if it is truncated or has a bad header")
    func remains() throws {
        let crashed = try Self.crash()
        var files = crashed.files
        files[crashed.segments[1]] = nil
        files[crashed.segments[3]] = nil
        let bytes = try #require(files[crashed.segments[2]])
        files[crashed.segments[2]] = Array(bytes[..<700_000])
        #expect(crashed.open(files) == .refused(.corrupted))
        files[crashed.segments[2]] = bytes
        files[crashed.segments[2]]?[20] ^= 1
        #expect(crashed.open(files) == .refused(.corrupted))
    }

    @Test("A whole segment proves a gap even if it has no records")
    func wholeSegmentBehindGap() throws {
        let crashed = try Self.crash()
        var files = crashed.files
        files[crashed.segments[2]] = nil
        files[crashed.segments[3]] = try emptied(crashed, 3)
        #expect(crashed.open(files) == .refused(.corrupted))
        // The next segment may have been made and never used.
        files = crashed.files
        files[crashed.segments[3]] = try emptied(crashed, 3)
        let count = try crashed.transactions(before: 3)
        #expect(crashed.open(files) == .transactions(count))
    }

    @Test("Files named like a segment do no harm beyond the end of the log")
    func foreignFiles() throws {
        let crashed = try Self.crash()
        var files = crashed.files
        files["env/log/ffffffffffffffff.log"] = Array("text".utf8)
        files["env/log/3fffffffffffffff.log"] = Array(repeating: 0x7a, count: 10_000)
        files["env/log/0000000010000000.log"] = []
        #expect(crashed.open(files) == .transactions(Self.transactionCount))
        files[crashed.segments[3]] = nil
        let count = try crashed.transactions(before: 3)
        #expect(crashed.open(files) == .transactions(count))
    }

    @Test("A segment of another format version is refused", arguments: [0, 1])
    func otherVersion(segment: Int) throws {
        let crashed = try Self.crash()
        var bytes = try #require(crashed.files[crashed.segments[segment]])
        bytes[16] += 1
        bytes.withUnsafeMutableBytes { bytes in
            guard let start = bytes.baseAddress else { return }
            let magic: UInt64 = start.littleEndian(8)
            let checksum = Checksum.compute(
                UnsafeRawBufferPointer(start: start + 8, count: 56), seed: magic)
            start.storeLittleEndian(checksum, at: 0)
        }
        var files = crashed.files
        files[crashed.segments[segment]] = bytes
        #expect(crashed.open(files) == .refused(.versionMismatch))
    }

    @Test("A truncated record causes a warning")
    func warns() throws {
        let crashed = try Self.crash()
        _ = crashed.open(crashed.files)
        #expect(crashed.events.map(\.level) == [.information])
        var files = crashed.files
        let last = crashed.segments[3]
        let bytes = try #require(crashed.files[last])
        let end = try #require(bytes.lastIndex { $0 != 0 })
        files[last]?[end] ^= 1
        #expect(crashed.open(files) == .transactions(Self.transactionCount - 1))
        #expect(crashed.events.map(\.level) == [.warning])
        #expect(crashed.events.first?.message.contains("cut off") == true)
    }
}
