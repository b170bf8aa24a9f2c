import Glibc
import Synchronization

/// Why an operation failed: a code to act on, and the story for a person to read.
///
/// The message says what happened, where (page, database, offset, limit), and what to do.
public struct DatabaseError: Error, Sendable, CustomStringConvertible {
    /// What can fail. The raw values are those of `zerodb.h`.
    public enum Code: Int32, Sendable, CaseIterable {
        /// A database of that name exists already.
        case keyExists = -1
        /// There is no database of that name.
        case notFound = -2
        /// A page failed its checksum or its structure is impossible, or the log is damaged or lacks
        /// a part. `page` and the message say where.
        case corrupted = -3
        /// The files are of a format that this library does not read, or are open in a program whose
        /// library shares them in another way.
        case versionMismatch = -4
        /// The file is not a ZeroDB environment.
        case invalidFile = -5
        /// The environment has reached ``EnvironmentOptions/maxSize``: the transaction can only be
        /// aborted. Or another process with a larger one has let it grow beyond what this one has
        /// mapped; or transactions are nested too deep.
        case full = -6
        /// The transaction has changed ``EnvironmentOptions/maxTransactionPages`` pages. It can only
        /// be aborted.
        case transactionFull = -7
        /// Every slot of the reader table is taken (``EnvironmentOptions/maxReaders``); or 1024
        /// processes have the environment open, or this process has 65536 transactions open.
        case readersFull = -8
        /// An earlier error broke the transaction.
        case badTransaction = -9
        /// The environment has been closed.
        case badHandle = -10
        /// The database was not opened in this environment, or does not exist in this transaction's
        /// snapshot.
        case badDatabase = -11
        /// A key of 0 or more than ``Environment/maxKeySize`` bytes, a value of more than 2 GiB, a
        /// duplicate of more than `maxKeySize` bytes; an integer of another size than 4 or 8 bytes, or
        /// a size that differs from the others in a database where all have one.
        case badValueSize = -12
        /// Flags do not fit the database or one another, or the operation does not fit the database.
        case incompatible = -13
        /// A write or a checkpoint in an environment that was opened for reading only.
        case readOnly = -14
        /// A second write transaction of one thread, a second environment of one process on one path,
        /// or an environment that is closed while transactions are open.
        case busy = -15
        /// The environment was inherited through `fork()`; open it anew in the child.
        case forked = -16
        /// A flush or a write failed in a way after which what is on disk is unknown. The environment
        /// refuses to write until all that write have closed it and it is opened again.
        case panic = -17
        /// An option beyond its range, a name of no or too many bytes.
        case badArgument = -18
        /// The cursor is on no entry, or an error lost its place.
        case badCursor = -19
        /// This version does not do that, such as an environment on a network file system.
        case unsupported = -20
        /// An appended key or value is not after those that are there.
        case notSorted = -21
        /// The environment was not closed cleanly, and its log holds transactions that only an opening
        /// for writing can replay.
        case recoveryNeeded = -22
        /// The operating system refused; `systemError` has the errno.
        case system = 1
    }

    // One reference, so that a throwing function returns its error in a register.
    private final class Story: Sendable {
        let code: Code
        let systemError: Int32
        let page: UInt64?
        let damage: Damage
        let limit: Limit?
        /// With names marked, as ``MessageNames`` says.
        let message: String
        /// Whether an environment has counted it.
        let isCounted = Atomic(false)

        init(
            code: Code, systemError: Int32, page: UInt64?, damage: Damage, limit: Limit? = nil,
            message: String
        ) {
            self.code = code
            self.systemError = systemError
            self.page = page
            self.damage = damage
            self.limit = limit
            self.message = message
        }
    }

    /// What is wrong with the page that an error is about, as far as its bytes tell.
    enum Damage: Sendable {
        /// Something else, or nothing is known.
        case unspecified
        /// It does not have its checksum.
        case checksum
        /// An older version of it is there.
        case lostWrite
        /// Another page is there.
        case misplaced
        /// The file ends before it, or the device cannot read it.
        case unreadable
        /// The reference to it leads out of the environment.
        case reference
        /// Its keys are not among those that the reference to it stands for.
        case order
    }

    private let story: Story

    @inline(never)
    package init(_ code: Code, page: UInt64? = nil, limit: Limit? = nil, _ message: String) {
        story = Story(
            code: code, systemError: 0, page: page, damage: .unspecified, limit: limit,
            message: message)
    }

    /// A page that is damaged.
    @inline(never)
    init(_ damage: Damage, page: UInt64, _ message: String) {
        story = Story(
            code: .corrupted, systemError: 0, page: page, damage: damage, message: message)
    }

    /// A system call that failed.
    ///
    /// - Parameters:
    ///   - systemError: the errno.
    ///   - page: the page it is about, if it is about one.
    ///   - operation: what was tried, on what: "write 4096 bytes at offset 8192 of data.zdb".
    @inline(never)
    init(
        systemError: Int32, page: UInt64? = nil, limit: Limit? = nil, _ operation: String
    ) {
        story = Story(
            code: .system, systemError: systemError, page: page,
            damage: page == nil ? .unspecified : .unreadable, limit: limit,
            message: "cannot \(operation): \(SystemCall.describe(systemError))")
    }

    private init(_ story: Story) { self.story = story }

    /// The same error, with the place that it is about.
    @inline(never)
    func located(in place: String) -> DatabaseError {
        DatabaseError(
            Story(
                code: code, systemError: systemError, page: page, damage: damage, limit: limit,
                message: "in \(place): \(markedMessage)"))
    }

    /// The same error, with what follows from it, or what to do.
    @inline(never)
    func adding(_ more: String) -> DatabaseError {
        DatabaseError(
            Story(
                code: code, systemError: systemError, page: page, damage: damage,
                message: "\(markedMessage); \(more)"))
    }

    /// What a child process gets for a handle that it inherited.
    package static var forked: DatabaseError {
        DatabaseError(
            .forked,
            "the handle was inherited through fork(): a child process must open the environment "
                + "itself")
    }

    /// The kind of failure.
    public var code: Code { story.code }

    /// The errno, 0 unless `code` is `.system`.
    public var systemError: Int32 { story.systemError }

    /// Whether a file cannot be made in a directory for lack of rights, or of the directory.
    var isRefusal: Bool { [EACCES, EPERM, EROFS, ENOENT].contains(systemError) }

    /// Whether the disk, or a quota of it, is full, or a file may not become longer.
    var isOutOfSpace: Bool { [ENOSPC, EDQUOT, EFBIG].contains(systemError) }

    /// The page the failure is about, if it is about one.
    public var page: UInt64? { story.page }

    /// The limit that it comes of, if it comes of one.
    public var limit: Limit? { story.limit }

    /// Marks the error as counted.
    ///
    /// - Returns: false if it was already.
    func markCounted() -> Bool { !story.isCounted.exchange(true, ordering: .relaxed) }

    /// What is wrong with that page.
    var damage: Damage { story.damage }

    /// What happened, where, and what to do.
    public var message: String { MessageNames.inSwift(story.message) }

    /// The same, with the names of the interface marked, for other languages.
    package var markedMessage: String { story.message }

    /// What a C function returns for this error.
    public var resultCode: Int32 { code == .system ? systemError : code.rawValue }

    /// The message.
    public var description: String { message }
}
