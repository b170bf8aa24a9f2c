import Synchronization

/// The pages that a verification has reached, a bit each. Threads share it.
struct ReachedPages {
    private let words: UnsafeMutablePointer<Atomic<UInt64>>
    private let count: UInt64

    static func allocate(count: UInt64) -> ReachedPages {
        let size = Int(count / 64 + 1)
        let words = UnsafeMutablePointer<UInt64>.allocate(capacity: size)
        words.initialize(repeating: 0, count: size)
        return ReachedPages(
            words: UnsafeMutableRawPointer(words).assumingMemoryBound(to: Atomic<UInt64>.self),
            count: count)
    }

    func deallocate() { UnsafeMutableRawPointer(words).deallocate() }

    func contains(_ page: UInt64) -> Bool {
        page < count && words[Int(page / 64)].load(ordering: .relaxed) & (1 << (page % 64)) != 0
    }

    /// - Returns: false if it was in already, or cannot be.
    func insert(_ page: UInt64) -> Bool {
        guard page < count else { return false }
        let bit: UInt64 = 1 << (page % 64)
        return words[Int(page / 64)].bitwiseOr(bit, ordering: .relaxed).oldValue & bit == 0
    }
}

/// Buffers for the keys that a walk down a tree holds on to: two a level and two for the page it
/// is in.
struct KeyStack {
    private let bytes: UnsafeMutableRawPointer
    private let keySize: Int

    static func allocate(pageSize: Int) -> KeyStack {
        let keySize = Format.keyBufferSize(pageSize: pageSize)
        return KeyStack(
            bytes: .allocate(byteCount: keySize * 2 * (Format.depthMax + 2), alignment: 8),
            keySize: keySize)
    }

    func deallocate() { bytes.deallocate() }

    /// - Returns: nil if the entry reaches beyond its page.
    @inline(__always)
    func load(_ page: Page, _ index: Int, slot: Int) -> KeyBytes? {
        let buffer = bytes + slot * keySize
        let length = page.copyKey(index, to: buffer)
        return length < 0 ? nil : KeyBytes(start: buffer, count: length)
    }
}
