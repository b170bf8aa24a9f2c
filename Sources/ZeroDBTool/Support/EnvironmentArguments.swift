import ArgumentParser
@preconcurrency import Glibc
import ZeroDB

/// The environment that a command is about.
struct EnvironmentArguments: ParsableArguments {
    @Argument(help: "The directory of the environment.", completion: .directory)
    var environment: String

    @Flag(help: "Print JSON.")
    var json = false

    /// Opens it as ``EnvironmentOpening/readOnly(_:_:)`` does.
    func open(_ change: (inout EnvironmentOptions) -> Void = { _ in }) throws(DatabaseError)
        -> Environment
    {
        try EnvironmentOpening.readOnly(environment, change)
    }

    /// Looks at an environment as a reader does or, if it does not open, at its files.
    ///
    /// - Parameter withoutRights: whether the files are also enough where the user may not write to
    ///   `lock.zdb`, as a reader has to.
    /// - Returns: what was found, and why only the files were looked at.
    func inspect<Found>(
        withoutRights: Bool = false, _ opened: (Environment) throws(DatabaseError) -> Found,
        closed: (String) throws(DatabaseError) -> Found
    ) throws(DatabaseError) -> (Found, DatabaseError?) {
        let opening: DatabaseError
        do throws(DatabaseError) {
            let environment = try open()
            let found = try opened(environment)
            try environment.close()
            return (found, nil)
        } catch {
            let isRefused = error.code == .system && [EACCES, EPERM].contains(error.systemError)
            guard
                [.corrupted, .recoveryNeeded].contains(error.code) || withoutRights && isRefused
            else { throw error }
            opening = error
        }
        return (try closed(environment), opening)
    }

    /// Says why a command ends, on standard error.
    func fail(_ error: DatabaseError, _ command: String) -> ExitStatus {
        EnvironmentOpening.fail(error, environment, command)
    }
}
