@preconcurrency import Glibc
import ZeroDB

/// How commands open the environment that they read.
enum EnvironmentOpening {
    /// Opens an environment for reading, beside whoever uses it. Nothing of it is written but the reader
    /// table, and nothing is made.
    static func readOnly(
        _ path: String, _ change: (inout EnvironmentOptions) -> Void = { _ in }
    ) throws(DatabaseError) -> Environment {
        var options = EnvironmentOptions()
        options.isReadOnly = true
        options.createsIfMissing = false
        options.writerWaitMilliseconds = 10_000
        change(&options)
        return try Environment(path: path, options: options)
    }

    /// Says why a command ends, on standard error.
    static func fail(_ error: DatabaseError, _ path: String, _ command: String) -> ExitStatus {
        let message = MessageNames.inC(error.markedMessage)
        let place = message.contains(path) ? "" : "\(path): "
        Output.write("zerodb \(command): \(place)\(message)", to: stderr)
        return error.code == .corrupted ? .damaged : .notDone
    }
}
