import Glibc

/// A value in a model: its bytes, or what makes them, so that large values stay small.
///
/// A database's values are all of one case, so that equal values compare equal.
enum ModelValue: Equatable, Sendable {
    case bytes([UInt8])
    case recipe(ValueRecipe)

    var bytes: [UInt8] {
        switch self {
        case .bytes(let bytes): bytes
        case .recipe(let recipe): recipe.bytes
        }
    }

    func matches(_ found: UnsafeRawBufferPointer) -> Bool {
        switch self {
        case .bytes(let bytes): bytes.withUnsafeBytes { keyOrder($0, found) == 0 }
        case .recipe(let recipe): recipe.matches(found)
        }
    }
}
