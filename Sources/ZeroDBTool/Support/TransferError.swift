@preconcurrency import Glibc

/// Why a dump or a load ends early, where the library does not say it.
struct TransferError: Error {
    let status: ExitStatus
    let message: String

    /// The input is damaged or has an end too early.
    static func input(_ message: String) -> TransferError {
        TransferError(status: .damaged, message: message)
    }

    /// What was asked for cannot be done.
    static func refused(_ message: String) -> TransferError {
        TransferError(status: .notDone, message: message)
    }

    /// A call of the system that failed; to be made right after it.
    static func system(_ operation: String) -> TransferError {
        refused("cannot \(operation): \(String(cString: strerror(errno)))")
    }
}
