import CZeroDBPlatform

@testable import ZeroDB

/// The digests that databases and environments should have, by `docs/FORMAT.md` and without the engine's
/// code. They have only the hash of a run of bytes in common.
enum ModelDigest {
    static func pair(_ key: [UInt8], _ value: [UInt8]) -> UInt128 {
        hash(littleEndian(UInt128(key.count), bytes: 4) + key + value)
    }

    /// What a database adds to its environment's.
    ///
    /// - Parameter name: empty for the main database.
    static func database(_ name: String, _ model: ReferenceModel) -> UInt128 {
        hash(
            littleEndian(UInt128(model.type.flags.rawValue), bytes: 2)
                + littleEndian(model.digest, bytes: 16) + Array(name.utf8))
    }

    private static func littleEndian(_ number: UInt128, bytes: Int) -> [UInt8] {
        (0..<bytes).map { UInt8(truncatingIfNeeded: number >> (8 * UInt128($0))) }
    }

    private static func hash(_ bytes: [UInt8]) -> UInt128 {
        let hash = bytes.withUnsafeBytes { zp_xxh3_128($0.baseAddress, $0.count) }
        return UInt128(hash.high) << 64 | UInt128(hash.low)
    }
}

extension ContentDigest {
    var number: UInt128 { UInt128(high) << 64 | UInt128(low) }
}

extension ReferenceModel {
    /// The digest by all entries, not by the changes that led to them.
    var countedDigest: UInt128 {
        reduce(0) { $0 &+ ModelDigest.pair($1.key, $1.value.bytes) }
    }
}
