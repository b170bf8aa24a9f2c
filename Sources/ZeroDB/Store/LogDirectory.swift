import Glibc

/// The directory of the log's files, `log` in the environment's. It is made with the first of them.
final class LogDirectory: Sendable {
    /// The environment's directory.
    let environment: any StorageDirectory
    private let opened = Locked<(any StorageDirectory)?>(nil)

    static let name = "log"

    init(in environment: any StorageDirectory) { self.environment = environment }

    /// For messages.
    var path: String { environment.path + "/" + Self.name }

    /// The directory; nil if there is none yet.
    func open() throws(DatabaseError) -> (any StorageDirectory)? {
        if let known = opened.withLock({ $0 }) { return known }
        do throws(DatabaseError) {
            return keep(try environment.openDirectory(Self.name, create: nil))
        } catch {
            if error.systemError == ENOENT { return nil }
            throw error
        }
    }

    /// The directory, made if there is none.
    ///
    /// - Parameter dataFile: whose owner, group and mode it gets.
    func make(like dataFile: any StorageFile) throws(DatabaseError) -> any StorageDirectory {
        if let known = try open() { return known }
        let made = try environment.openDirectory(Self.name, create: 0o700)
        try made.takeAccess(of: dataFile)
        return keep(made)
    }

    private func keep(_ directory: any StorageDirectory) -> any StorageDirectory {
        opened.withLock { known in
            if let known { return known }
            known = directory
            return directory
        }
    }

    /// The bases of the segments in it, in their order.
    func bases() throws(DatabaseError) -> [UInt64] {
        guard let directory = try open() else { return [] }
        return try directory.list().compactMap { LogSegment.base(ofName: $0) }.sorted()
    }

    func close() {
        opened.withLock { directory in
            directory?.close()
            directory = nil
        }
    }
}
