import ArgumentParser
@preconcurrency import Glibc
import ZeroDB

/// The environment that a command is about.
struct EnvironmentArguments: ParsableArguments {
    @Argument(help: "The directory of the environment.", completion: .directory)
    var environment: String

    @Flag(help: "Print JSON.")
    var json = false

    /// Opens it for reading, beside whoever uses it. Nothing of it is written but the reader table, and
    /// nothing is made.
    func open(_ change: (inout EnvironmentOptions) -> Void = { _ in }) throws(DatabaseError)
        -> Environment
    {
        var options = EnvironmentOptions()
        options.isReadOnly = true
        options.createsIfMissing = false
        options.writerWaitMilliseconds = 10_000
        change(&options)
        return try Environment(path: environment, options: options)
    }

    /// Says why a command ends, on standard error.
    func fail(_ error: DatabaseError, _ command: String) -> ExitStatus {
        let place = error.message.contains(environment) ? "" : "\(environment): "
        Output.write("zerodb \(command): \(place)\(error.message)", to: stderr)
        return error.code == .corrupted ? .damaged : .notDone
    }
}
