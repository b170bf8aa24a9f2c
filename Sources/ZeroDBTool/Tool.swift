import ArgumentParser
import CZeroDB
@preconcurrency import Glibc

/// `zerodb`, and the names that it is installed under besides: `zerodb-check` is `zerodb check`, and
/// so on.
@main
struct Tool: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "zerodb",
        abstract: "Look after ZeroDB environments.",
        discussion: "Each command is a program of its own too: zerodb-check is zerodb check.",
        version: "zerodb \(ZDB_VERSION_STRING)",
        subcommands: [
            BackupCommand.self, CheckCommand.self, CopyCommand.self, DumpCommand.self,
            LoadCommand.self,
            StatCommand.self,
        ])

    static func main() {
        // When the reader of a pipe goes away, the next write ends the program.
        signal(SIGPIPE, SIG_DFL)
        var arguments = Array(CommandLine.arguments.dropFirst())
        let name = CommandLine.arguments.first?.split(separator: "/").last ?? "zerodb"
        if name.hasPrefix("zerodb-") { arguments.insert(String(name.dropFirst(7)), at: 0) }
        do {
            var command = try parseAsRoot(StatCommand.completed(arguments))
            try command.run()
        } catch let status as ExitStatus {
            end(status)
        } catch {
            // What was asked for, such as help, or arguments that are wrong.
            let isAnswer = exitCode(for: error) == .success
            Output.write(fullMessage(for: error), to: isAnswer ? stdout : stderr)
            end(isAnswer ? .success : .notDone)
        }
        end(.success)
    }

    /// Ends the program; with status 2 if what it printed could not be written.
    private static func end(_ status: ExitStatus) -> Never {
        let isWritten = fflush(stdout) == 0 && ferror(stdout) == 0
        if !isWritten { Output.write("zerodb: cannot write the output", to: stderr) }
        Glibc.exit(isWritten ? status.rawValue : ExitStatus.notDone.rawValue)
    }
}

/// What the program says by ending. A command ends early by throwing it.
enum ExitStatus: Int32, Error {
    /// Done; sound, where that is asked.
    case success = 0
    /// Done, and damage was found.
    case damaged = 1
    /// Not done: arguments, rights, a file that is no environment.
    case notDone = 2
}
