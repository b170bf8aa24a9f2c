/// Why an operation failed: a code to act on, and the story for a person to read.
///
/// The message says what happened, where (page, database, offset, limit), and what to do.
public struct DatabaseError: Error, Sendable, CustomStringConvertible {
    /// The kinds of failure. The raw values are those of `zerodb.h`.
    public enum Code: Int32, Sendable {
        case keyExists = -1
        case notFound = -2
        case corrupted = -3
        case versionMismatch = -4
        case invalidFile = -5
        case full = -6
        case transactionFull = -7
        case readersFull = -8
        case badTransaction = -9
        case badHandle = -10
        case badDatabase = -11
        case badValueSize = -12
        case incompatible = -13
        case readOnly = -14
        case busy = -15
        case forked = -16
        case panic = -17
        case badArgument = -18
        case badCursor = -19
        case unsupported = -20
        case notSorted = -21
        case recoveryNeeded = -22
        /// The operating system refused; `systemError` has the errno.
        case system = 1
    }

    // One reference, so that a throwing function returns its error in a register.
    private final class Story: Sendable {
        let code: Code
        let systemError: Int32
        let page: UInt64?
        let message: String

        init(code: Code, systemError: Int32, page: UInt64?, message: String) {
            self.code = code
            self.systemError = systemError
            self.page = page
            self.message = message
        }
    }

    private let story: Story

    @inline(never)
    package init(_ code: Code, page: UInt64? = nil, _ message: String) {
        story = Story(code: code, systemError: 0, page: page, message: message)
    }

    /// A system call that failed.
    ///
    /// - Parameters:
    ///   - systemError: the errno.
    ///   - operation: what was tried, on what: "write 4096 bytes at offset 8192 of data.zdb".
    @inline(never)
    init(systemError: Int32, _ operation: String) {
        story = Story(
            code: .system, systemError: systemError, page: nil,
            message: "cannot \(operation): \(SystemCall.describe(systemError))")
    }

    /// The kind of failure.
    public var code: Code { story.code }

    /// The errno, 0 unless `code` is `.system`.
    public var systemError: Int32 { story.systemError }

    /// The page the failure is about, if it is about one.
    public var page: UInt64? { story.page }

    /// What happened, where, and what to do.
    public var message: String { story.message }

    /// What a C function returns for this error.
    public var resultCode: Int32 { code == .system ? systemError : code.rawValue }

    public var description: String { message }
}
