import ArgumentParser
@preconcurrency import Glibc
import ZeroDB

/// `zerodb dump`: writes the entries of an environment as text.
struct DumpCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump",
        abstract: "Write the entries of an environment as text.",
        discussion: """
            Writes one snapshot, in the format of LMDB's mdb_dump, which zerodb load and mdb_load read; or \
            as JSON lines. Programs may read and write the environment meanwhile. Changes nothing.

            The exit status is 0, 1 if damage ended the dump early, and 2 if it could not be done.
            """)

    @Argument(help: "The directory of the environment.", completion: .directory)
    var environment: String

    @Flag(name: .shortAndLong, help: "Dump all databases, not only the main one.")
    var all = false

    @Option(
        name: [.customShort("s"), .long],
        help: ArgumentHelp("Dump only this database.", valueName: "name"))
    var database: String?

    @Flag(name: .shortAndLong, help: "List the names of the databases, and dump nothing.")
    var list = false

    @Flag(name: .shortAndLong, help: "Write characters that can be printed as they are.")
    var print = false

    @Flag(name: .long, help: "Write JSON lines.")
    var jsonLines = false

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Write to this file, not to standard output.", valueName: "file"),
        completion: .file())
    var file: String?

    @Option(
        help: ArgumentHelp(
            "Dump from this key on; text, or 0x and hexadecimal digits.", valueName: "key"))
    var from: KeyArgument?

    @Option(help: ArgumentHelp("Dump up to before this key.", valueName: "key"))
    var to: KeyArgument?

    func validate() throws {
        guard [all, database != nil, list].filter({ $0 }).count <= 1 else {
            throw ValidationError("only one of --all, --database and --list can be given")
        }
        guard !jsonLines || !print else {
            throw ValidationError("only one of --print and --json-lines can be given")
        }
        guard from == nil && to == nil || !all && !list else {
            throw ValidationError("--from and --to go with one database only")
        }
    }

    func run() throws {
        do {
            let environment = try EnvironmentOpening.readOnly(environment)
            if list {
                try writeNames(environment)
            } else if jsonLines {
                try DumpRun(dump: self, format: JSONLinesDump()).run(environment)
            } else {
                try DumpRun(dump: self, format: TextDump(isPrinted: print)).run(environment)
            }
            try environment.close()
        } catch {
            throw fail(error)
        }
        throw ExitStatus.success
    }

    private func fail(_ error: any Error) -> ExitStatus {
        if let error = error as? DatabaseError {
            return EnvironmentOpening.fail(error, environment, "dump")
        }
        let failure = error as? TransferError
        Output.write("zerodb dump: \(failure?.message ?? "\(error)")", to: stderr)
        return failure?.status ?? .notDone
    }

    private func writeNames(_ environment: Environment) throws {
        let databases = try environment.read { try $0.databases() }
        if file == nil, isatty(STDOUT_FILENO) == 1 {
            for database in databases { Output.write(database.name) }
            return
        }
        var output = try ByteOutput(path: file)
        for database in databases {
            try database.nameBytes.withUnsafeBytes { try output.write($0) }
            try output.write(0x0a)
        }
        try output.flush()
    }
}
