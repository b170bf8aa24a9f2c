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

    /// Looks at an environment as a reader does or, if it does not open, at its files.
    ///
    /// - Returns: what was found, and why only the files were looked at.
    func inspect<Found>(
        _ opened: (Environment) throws(DatabaseError) -> Found,
        closed: (String) throws(DatabaseError) -> Found
    ) throws(DatabaseError) -> (Found, DatabaseError?) {
        let opening: DatabaseError
        do throws(DatabaseError) {
            let environment = try open()
            let found = try opened(environment)
            try environment.close()
            return (found, nil)
        } catch {
            guard [.corrupted, .recoveryNeeded].contains(error.code) else { throw error }
            opening = error
        }
        return (try closed(environment), opening)
    }

    /// Says why a command ends, on standard error.
    func fail(_ error: DatabaseError, _ command: String) -> ExitStatus {
        let place = error.message.contains(environment) ? "" : "\(environment): "
        Output.write("zerodb \(command): \(place)\(error.message)", to: stderr)
        return error.code == .corrupted ? .damaged : .notDone
    }
}
