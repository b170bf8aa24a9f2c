import Glibc

@testable import ZeroDB

/// The files of an environment that no process has open, as bytes to be damaged.
struct EnvironmentFiles {
    static let path = "env"
    private static let dataPath = "\(path)/data.zdb"
    private static let logPath = "\(path)/log"

    /// A file most of whose end is zeros, as that of a segment is.
    struct LogFile: Equatable {
        /// Without the zeros at the end.
        var bytes: [UInt8]
        /// With them.
        var count: Int

        init(_ contents: MemoryContents) {
            count = contents.count
            var used = count
            while used >= 4096, isZero(contents.base + used - 4096, 4096) { used -= 4096 }
            bytes = Array(UnsafeRawBufferPointer(start: contents.base, count: used))
        }

        mutating func cut(at end: Int) {
            count = min(count, end)
            if bytes.count > count { bytes.removeLast(bytes.count - count) }
        }

        /// Whether a part of it is as it is in another file.
        func agrees(with other: Self, _ range: Range<Int>) -> Bool {
            range.upperBound <= count && range.upperBound <= other.count
                && range.allSatisfy { byte($0) == other.byte($0) }
        }

        private func byte(_ offset: Int) -> UInt8 { offset < bytes.count ? bytes[offset] : 0 }
    }

    var data: [UInt8]
    /// Segments by their names; what is only prepared for the next one is left out.
    var log: [String: LogFile] = [:]

    init(_ fileSystem: MemoryFileSystem) throws {
        data = fileSystem.contents(Self.dataPath)?.bytes ?? []
        for name in try fileSystem.list(Self.logPath) where name.hasSuffix(".log") {
            if let contents = fileSystem.contents("\(Self.logPath)/\(name)") {
                log[name] = LogFile(contents)
            }
        }
    }

    /// A file system that holds them.
    func makeFileSystem() -> MemoryFileSystem {
        let fileSystem = MemoryFileSystem()
        fileSystem.setContents(Self.dataPath, MemoryContents(data))
        for (name, file) in log {
            let contents = MemoryContents(file.bytes)
            contents.count = file.count
            fileSystem.setContents("\(Self.logPath)/\(name)", contents)
        }
        return fileSystem
    }

    /// How environments of the campaign are opened: nothing runs beside them.
    static func options(pageSize: Int) -> EnvironmentOptions {
        var options = EnvironmentOptions()
        options.pageSize = pageSize
        options.maxSize = 64 << 20
        options.maxReaders = 4
        // Segments of 1 MiB, and no checkpoint for their sake.
        options.logSize = 4 << 20
        options.usesThread = false
        return options
    }
}

/// What an environment holds: its databases by their names, the main one by the empty name.
struct EnvironmentModel {
    var databases: [String: ReferenceModel] = ["": ReferenceModel()]

    var entryCount: Int { databases.values.reduce(0) { $0 + $1.count } }
}

extension [UInt8] {
    /// Whether a range of bytes is there and the same in both.
    func agrees(with other: [UInt8], _ range: Range<Int>) -> Bool {
        guard range.upperBound <= count, range.upperBound <= other.count else { return false }
        return withUnsafeBytes { bytes in
            other.withUnsafeBytes { other in
                guard let left = bytes.baseAddress, let right = other.baseAddress else {
                    return true
                }
                let start = range.lowerBound
                return memcmp(left + start, right + start, range.count) == 0
            }
        }
    }
}
