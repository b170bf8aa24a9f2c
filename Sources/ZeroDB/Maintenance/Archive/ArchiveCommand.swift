import CZeroDBPlatform
import Glibc

/// An archive that a program keeps: it is given each file on its standard input, and the file's name in
/// `ZERODB_FILE`. What the archive has, only the environment remembers.
final class ArchiveCommand: ArchiveDestination {
    private let command: String
    private let id: UInt64
    private let lockFile: (any StorageFile)?

    /// - Parameters:
    ///   - command: for `/bin/sh`.
    ///   - lockFile: of the environment.
    init(_ command: String, _ lockFile: (any StorageFile)?) {
        self.command = command
        self.lockFile = lockFile
        var command = command
        id = command.withUTF8 { Checksum.compute(UnsafeRawBufferPointer($0), seed: 1) | 1 }
    }

    var path: String { "of the command '\(command)'" }

    /// The environment has one archive, and one program that writes it.
    func lock() throws(DatabaseError) {
        guard try lockFile?.lock(byte: LockByte.archiver, .exclusive, wait: false) != false else {
            throw DatabaseError(
                .busy, "another program gives the archive to a command at this moment")
        }
    }

    func unlock() { _ = try? lockFile?.lock(byte: LockByte.archiver, .unlocked, wait: false) }

    var unfinishedCopy: ArchiveFileHeader? { nil }

    func checkPlace(beside environment: any StorageDirectory) {}

    func loadIndex(
        _ mark: ArchiveState?, atLeast last: UInt64
    ) throws(DatabaseError) -> ArchiveState? {
        guard let mark, mark.command == id, mark.last > 0 else { return nil }
        return mark
    }

    func begin(
        _ header: ArchiveFileHeader, earlierMax: UInt64
    ) throws(DatabaseError) -> any ArchiveOutput {
        try ArchiveCommandOutput(command, file: header.name.description)
    }

    func keep(_ index: inout ArchiveState) throws(DatabaseError) {
        index.command = id
        let output = try ArchiveCommandOutput(command, file: ArchiveState.indexName)
        var failure: DatabaseError?
        index.bytes.withUnsafeBytes { bytes in
            do throws(DatabaseError) {
                try output.write(bytes)
                try output.finish()
            } catch {
                failure = error
                output.abandon(keeps: false)
            }
        }
        if let failure { throw failure }
    }
}

/// A program that is given a file.
private final class ArchiveCommandOutput: ArchiveOutput {
    private let command: String
    private let file: String
    private var process: pid_t
    private var descriptor: Int32

    init(_ command: String, file: String) throws(DatabaseError) {
        self.command = command
        self.file = file
        process = 0
        descriptor = -1
        let error = zp_spawn_shell(command, "ZERODB_FILE", file, &process, &descriptor)
        guard error == 0 else {
            throw DatabaseError(systemError: error, "start '\(command)' for \(file)")
        }
    }

    deinit { abandon(keeps: false) }

    func write(_ bytes: UnsafeRawBufferPointer) throws(DatabaseError) {
        try withoutWriteSignals { () throws(DatabaseError) in
            var left = bytes[...]
            while let start = UnsafeRawBufferPointer(rebasing: left).baseAddress, !left.isEmpty {
                let written = SystemCall.retryingInterrupts {
                    Glibc.write(descriptor, start, left.count)
                }
                guard written > 0 else {
                    throw DatabaseError(
                        systemError: written == 0 ? EIO : Int32(truncatingIfNeeded: -written),
                        "write \(file) to '\(command)', which \(wait())")
                }
                left = left.dropFirst(written)
            }
        }
    }

    func finish() throws(DatabaseError) {
        close(descriptor)
        descriptor = -1
        let status = wait()
        guard status == Self.success else {
            throw DatabaseError(systemError: EIO, "have '\(command)' keep \(file): it \(status)")
        }
    }

    private static let success = "ended with status 0"

    /// Waits for the program to end.
    ///
    /// - Returns: how it did, in words.
    private func wait() -> String {
        guard process > 0 else { return "has ended" }
        if descriptor >= 0 {
            // It has closed its standard input; it may never read the end of the file.
            kill(-process, SIGKILL)
        }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        process = 0
        let signal = status & 0x7f
        return signal == 0
            ? "ended with status \((status >> 8) & 0xff)" : "was ended by signal \(signal)"
    }

    /// A program that reads the end of a file would take it for whole: it is killed first.
    func abandon(keeps: Bool) {
        guard process > 0 || descriptor >= 0 else { return }
        if process > 0 { kill(-process, SIGKILL) }
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
        _ = wait()
    }
}
