/// Why a file of LMDB cannot be read.
package struct LMDBError: Error, CustomStringConvertible {
    /// What can fail.
    package enum Kind: Sendable {
        /// It is no file of LMDB.
        case notLMDB
        /// It is one, of a form that is not read.
        case unsupported
        /// What it holds cannot be what LMDB has written.
        case damaged
        /// It changed while it was read.
        case changed
        /// The system refused; the errno.
        case system(Int32)
    }

    /// What failed.
    package let kind: Kind
    /// What happened, and where.
    package let message: String

    init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    /// The message.
    package var description: String { message }
}
