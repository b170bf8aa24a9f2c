import FoundationEssentials
import ZeroDB

/// `localizedDescription` says the message.
///
/// In a module of its own, which comes with the product `ZeroDB`: the C library is made without Foundation.
extension DatabaseError: LocalizedError {
    /// The message.
    public var errorDescription: String? { message }
}
