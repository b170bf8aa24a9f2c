import Glibc
import Testing

@testable import Simulator
@testable import ZeroDB

/// A directory on disk for one environment, removed with it when the test lets go of this.
final class TemporaryDirectory: Sendable {
    private let parent: String
    /// Where the environment goes; not there yet.
    let path: String

    init() throws {
        let root = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(root)/zerodb-test-XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) }
        }
        let directory = try #require(made, "no temporary directory could be made in \(root)")
        parent = String(cString: directory)
        path = parent + "/environment"
    }

    deinit {
        Self.removeTree(parent)
    }

    /// Removes a file, or a directory with all that the test has left in it.
    private static func removeTree(_ path: String) {
        // Refused for a directory.
        if unlink(path) == 0 { return }
        let names = (try? PosixFileSystem().list(path)) ?? []
        for name in names { removeTree(path + "/" + name) }
        if rmdir(path) != 0 { perror("cannot remove \(path)") }
    }

    /// An environment in it, as programs open theirs.
    func open() throws -> Environment {
        var options = EnvironmentOptions()
        options.maxSize = 256 << 20
        return try Environment(path: path, options: options)
    }

    var dataPath: String { path + "/data.zdb" }

    /// The permission bits of the environment's directory or of a file in it.
    func permissions(_ name: String = "") throws -> UInt32 {
        var status = stat()
        try #require(stat(name.isEmpty ? path : "\(path)/\(name)", &status) == 0)
        return status.st_mode & 0o777
    }

    var fileSize: Int {
        get throws {
            var status = stat()
            try #require(stat(dataPath, &status) == 0)
            return Int(status.st_size)
        }
    }
}
