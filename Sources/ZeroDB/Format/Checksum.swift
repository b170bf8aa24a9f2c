import CZeroDBPlatform

/// XXH3-64 over what a page holds, seeded by the environment, so that neither a torn page, nor
/// a page of another place (the number is in what is summed), nor one of another environment
/// passes.
enum Checksum {
    /// What the checksums of an environment are seeded with.
    static func seed(of environmentID: (UInt64, UInt64)) -> UInt64 {
        environmentID.0 ^ environmentID.1
    }

    @inline(__always)
    static func compute(_ bytes: UnsafeRawBufferPointer, seed: UInt64) -> UInt64 {
        zp_xxh3_64(bytes.baseAddress, bytes.count, seed)
    }

    /// The checksum of a page or overflow run: all bytes but the checksum field itself.
    ///
    /// - Parameter length: bytes from the page's start that count.
    @inline(__always)
    static func ofPage(_ page: UnsafeRawPointer, length: Int, seed: UInt64) -> UInt64 {
        zp_xxh3_64(page + 8, length - 8, seed)
    }
}
