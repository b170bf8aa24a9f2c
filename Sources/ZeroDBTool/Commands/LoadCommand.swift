import ArgumentParser
@preconcurrency import Glibc
import ZeroDB

/// `zerodb load`: fills an environment from text or from another library's file.
struct LoadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load",
        abstract: "Load entries into an environment.",
        discussion: """
            Reads what zerodb dump or LMDB's mdb_dump have written, lines of keys and values, or JSON lines, \
            and puts it into an environment, which is made if it is not there. Entries that are \
            there are kept, and get the new value where their key is loaded. Programs may read the \
            environment meanwhile, and write to it between transactions.

            The exit status is 0 if everything is loaded, 1 if the input is wrong or ends early, \
            and 2 if it could not be loaded. What was loaded before stays, and is told.
            """)

    @Argument(help: "The directory of the environment.", completion: .directory)
    var environment: String

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Read this file, not standard input.", valueName: "file"),
        completion: .file())
    var file: String?

    @Option(
        name: [.customShort("s"), .long],
        help: ArgumentHelp(
            "Load into this database what the input names no database for.", valueName: "name"))
    var database: String?

    @Flag(
        name: [.customShort("N"), .customShort("n"), .long],
        help: "Keep the values of keys that are there.")
    var noOverwrite = false

    @Flag(
        name: [.customShort("T"), .long],
        help: "Read lines of text, the key on one and its value on the next.")
    var text = false

    @Flag(name: .long, help: "Read JSON lines.")
    var jsonLines = false

    @Option(
        name: .customLong("lmdb"),
        help: ArgumentHelp(
            "Load the environment of LMDB, 0.9 or 1.0, in this directory or file.",
            valueName: "path"),
        completion: .file())
    var lmdb: String?

    @Flag(
        name: .long,
        help:
            "With --lmdb: keys may be in another order than LMDB's, that of a function of the program."
    )
    var anyOrder = false

    @Flag(
        name: .customLong("continue"),
        help: """
            Record with each transaction how far the input is loaded, and begin there if an earlier load \
            with this option was interrupted.
            """)
    var continues = false

    @Flag(
        help: "With --continue: begin at the beginning, whatever was interrupted before.")
    var restart = false

    @Option(
        help: ArgumentHelp(
            "Memory for a transaction, such as 32MiB; 64MiB by default.", valueName: "size"))
    var memory = SizeArgument(bytes: 64 << 20)

    @Flag(name: .customShort("Q"), help: "Do not wait at the end until everything is on disk.")
    var doesNotSync = false

    @Flag(name: .shortAndLong, help: "Print nothing if everything is loaded.")
    var quiet = false

    func validate() throws {
        guard [text, jsonLines, lmdb != nil].filter({ $0 }).count <= 1 else {
            throw ValidationError("only one of -T, --json-lines and --lmdb can be given")
        }
        guard lmdb == nil || file == nil && database == nil && !continues else {
            throw ValidationError("-f, -s and --continue do not go with --lmdb")
        }
        guard continues || !restart else {
            throw ValidationError("--restart needs --continue")
        }
        guard lmdb != nil || !anyOrder else {
            throw ValidationError("--any-order needs --lmdb")
        }
        guard 1 << 20...1 << 40 ~= memory.bytes else {
            throw ValidationError("--memory takes a size from 1MiB to 1TiB")
        }
    }

    func run() throws {
        do {
            if let lmdb {
                let source = try LMDBSource(path: lmdb, allowsAnyOrder: anyOrder)
                try load(source, from: nil)
                throw ExitStatus.success
            }
            let progress =
                continues && !restart ? try LoadTarget.savedProgress(in: environment) : nil
            let reader = try LineReader(path: file, keepsCheck: continues)
            let name = database.flatMap { $0.isEmpty ? nil : Array($0.utf8) }
            if jsonLines {
                var source = JSONLinesSource(reader, defaultName: name)
                if let progress { try source.resume(at: progress) }
                try load(source, from: progress)
            } else {
                var source = TextSource(reader, isPlain: text, defaultName: name)
                if let progress { try source.resume(at: progress.position) }
                try load(source, from: progress)
            }
        } catch {
            throw fail(error, "; nothing is loaded")
        }
        throw ExitStatus.success
    }

    private func load<Source: LoadSource & ~Copyable>(
        _ source: consuming Source, from progress: LoadTarget.Progress?
    ) throws {
        let options = LoadTarget.Options(
            path: environment, memory: memory.bytes, keepsExisting: noOverwrite,
            waitsForDisk: !doesNotSync)
        var run = LoadRun(source, into: options, isResumable: continues)
        do {
            try run.run(from: progress)
        } catch {
            throw fail(error, "; \(run.state)")
        }
        guard !quiet else { return }
        let kept =
            run.kept == 0 ? "" : "; \(Output.count(run.kept, "entry", "entries")) kept as they were"
        Output.write(
            "\(Output.count(run.loaded, "entry", "entries")) loaded into "
                + "\(Output.count(UInt64(run.databases), "database"))\(kept)")
    }

    /// Says why the load ends, and what is loaded.
    private func fail(_ error: any Error, _ state: String) -> ExitStatus {
        if let status = error as? ExitStatus { return status }
        if let error = error as? DatabaseError {
            let message = MessageNames.inC(error.markedMessage)
            let place = message.contains(environment) ? "" : "\(environment): "
            Output.write("zerodb load: \(place)\(message)\(state)", to: stderr)
            return .notDone
        }
        let failure = error as? TransferError
        Output.write("zerodb load: \(failure?.message ?? "\(error)")\(state)", to: stderr)
        return failure?.status ?? .notDone
    }
}
