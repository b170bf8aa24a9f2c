import Glibc
import Testing

@testable import Simulator
@testable import ZeroDB

/// Paths that are LMDB's.
@Suite("Paths of LMDB")
struct LMDBPathTests {
    /// A directory with a file of LMDB.
    private static func make(_ name: String, _ fixture: String) throws -> TemporaryDirectory {
        let directory = try TemporaryDirectory()
        if name.contains("/") { mkdir(directory.path, 0o700) }
        let bytes = try LMDBFixture.bytes(LMDBFixture.path(fixture))
        try LMDBFixture.write(bytes, to: directory.path + name)
        return directory
    }

    private static func options(readOnly: Bool) -> EnvironmentOptions {
        var options = EnvironmentOptions()
        options.isReadOnly = readOnly
        options.maxSize = 256 << 20
        return options
    }

    @Test(
        "An environment of LMDB is not opened, and nothing is made in it",
        arguments: LMDBFixture.names)
    func refusesDirectory(_ fixture: String) throws {
        let directory = try Self.make("/data.mdb", fixture)
        for readOnly in [false, true] {
            let error = #expect(throws: DatabaseError.self) {
                try Environment(path: directory.path, options: Self.options(readOnly: readOnly))
            }
            #expect(error?.code == .invalidFile)
            #expect(error?.message.contains("zerodb-load --lmdb") == true)
        }
        #expect(try PosixFileSystem().list(directory.path) == ["data.mdb"])
    }

    @Test("A file of LMDB is not opened", arguments: LMDBFixture.names)
    func refusesFile(_ fixture: String) throws {
        let directory = try Self.make("", fixture)
        let error = #expect(throws: DatabaseError.self) {
            try Environment(path: directory.path, options: Self.options(readOnly: false))
        }
        #expect(error?.code == .invalidFile)
        #expect(error?.message.contains("zerodb-load --lmdb") == true)
    }

    @Test("Another file of that name keeps nobody from making an environment")
    func makesBesideOthers() throws {
        let directory = try TemporaryDirectory()
        mkdir(directory.path, 0o700)
        try LMDBFixture.write(Array("text".utf8), to: directory.path + "/data.mdb")
        try Environment(path: directory.path, options: Self.options(readOnly: false)).close()
    }

    @Test("An environment that is there is opened, whatever lies beside it")
    func opensBesideLMDB() throws {
        let directory = try TemporaryDirectory()
        try Environment(path: directory.path, options: Self.options(readOnly: false)).close()
        let bytes = try LMDBFixture.bytes(LMDBFixture.path("0.9-64"))
        try LMDBFixture.write(bytes, to: directory.path + "/data.mdb")
        try Environment(path: directory.path, options: Self.options(readOnly: false)).close()
    }

    @Test("Another file is not a directory")
    func namesOtherFiles() throws {
        let directory = try TemporaryDirectory()
        try LMDBFixture.write(Array("text".utf8), to: directory.path)
        let error = #expect(throws: DatabaseError.self) {
            try Environment(path: directory.path, options: Self.options(readOnly: false))
        }
        #expect(error?.systemError == ENOTDIR)
    }
}
