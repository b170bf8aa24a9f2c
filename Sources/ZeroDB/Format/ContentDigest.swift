import CZeroDBPlatform

/// What a database or environment contains, as one number: the same content gives the same digest,
/// however and wherever it came to be.
///
/// A database's is the sum, modulo 2^128, of the XXH3-128 of its pairs of key and value, so that a
/// change adds and subtracts what it adds and removes. An environment's is the sum of a hash of
/// each database: its name, flags and digest. Both are kept up to date by every commit, and so
/// comparing two environments takes no reading of either. It guards against faults, not against
/// attackers: content with a wanted digest can be made.
public struct ContentDigest: Sendable, Hashable {
    static let size = 16

    /// The low 64 bits.
    public var low: UInt64
    /// The high 64 bits.
    public var high: UInt64

    /// Of no content.
    @inline(__always)
    init() { self.init(low: 0, high: 0) }

    /// Of two halves, as a C program has them.
    @inline(__always)
    public init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    @inline(__always)
    private init(_ hash: zp_hash128) { self.init(low: hash.low, high: hash.high) }

    /// Of one pair.
    ///
    /// - Parameter reversed: whether the key's bytes are held from the last to the first.
    @inline(__always)
    init(ofKey key: KeyBytes, reversed: Bool, value: UnsafeRawBufferPointer) {
        self.init(
            zp_pair_hash(
                key.baseAddress, key.count, reversed ? 1 : 0, value.baseAddress, value.count))
    }

    /// What a database adds to the digest of its environment.
    ///
    /// - Parameter name: empty for the main database.
    init(ofDatabase name: KeyBytes, _ record: borrowing TreeRecord) {
        let (flags, digest) = (record.flags.rawValue, record.digest)
        self = withUnsafeTemporaryAllocation(
            byteCount: 2 + Self.size + name.count, alignment: 8
        ) { buffer in
            guard let bytes = buffer.baseAddress else { return Self() }
            bytes.storeLittleEndian(flags, at: 0)
            digest.store(to: bytes + 2)
            if let start = name.baseAddress {
                (bytes + 2 + Self.size).copyMemory(from: start, byteCount: name.count)
            }
            return Self(zp_xxh3_128(bytes, buffer.count))
        }
    }

    /// What the main database adds to the digest of its environment.
    init(ofMain record: borrowing TreeRecord) {
        self.init(ofDatabase: KeyBytes(start: nil, count: 0), record)
    }

    init(at bytes: UnsafeRawPointer) {
        self.init(low: bytes.littleEndian(0), high: bytes.littleEndian(8))
    }

    @inline(__always)
    func store(to bytes: UnsafeMutableRawPointer) {
        bytes.storeLittleEndian(low, at: 0)
        bytes.storeLittleEndian(high, at: 8)
    }

    @inline(__always)
    static func += (left: inout Self, right: Self) {
        let (low, carries) = left.low.addingReportingOverflow(right.low)
        left.low = low
        left.high = left.high &+ right.high &+ (carries ? 1 : 0)
    }

    @inline(__always)
    static func -= (left: inout Self, right: Self) {
        let (low, borrows) = left.low.subtractingReportingOverflow(right.low)
        left.low = low
        left.high = left.high &- right.high &- (borrows ? 1 : 0)
    }
}

extension ContentDigest: CustomStringConvertible {
    /// 32 hexadecimal digits, the highest first.
    public var description: String {
        [high, low].map { half in
            let digits = String(half, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}
