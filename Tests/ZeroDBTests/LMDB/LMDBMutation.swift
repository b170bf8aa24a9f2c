@testable import Simulator

/// A file of LMDB, damaged in one place.
struct LMDBMutation {
    private(set) var bytes: [UInt8]
    /// Entries that may be others without an error: LMDB has no checksum, and so nothing tells that a byte
    /// of a key or value is another.
    private(set) var differencesMax = 0
    private(set) var description = ""

    private let pageSize: Int
    private var random: SeededGenerator

    init(_ bytes: [UInt8], pageSize: Int, seed: UInt64) {
        self.bytes = bytes
        self.pageSize = pageSize
        random = SeededGenerator(seed: seed)
        damage()
    }

    private mutating func damage() {
        switch Int.random(in: 0..<12, using: &random) {
        case 0: copyPage()
        case 1: swapPages()
        case 2: truncate()
        case 3: overwrite(Int.random(in: 2...64, using: &random)) { _ in 0 }
        case 4: overwrite(Int.random(in: 1...4, using: &random)) { _ in 0xff }
        case 5, 6: changeWord(near: 1)
        case 7, 8: changeHead()
        case 9: changeMeta()
        default: flip(at: offset())
        }
    }

    private mutating func offset() -> Int { Int.random(in: 0..<bytes.count, using: &random) }

    private mutating func page() -> Int {
        Int.random(in: 0..<bytes.count / pageSize, using: &random) * pageSize
    }

    private mutating func set(_ offset: Int, _ byte: UInt8) {
        guard bytes[offset] != byte else { return }
        differencesMax += 1
        bytes[offset] = byte
    }

    private mutating func flip(at offset: Int) {
        description = "a bit of byte \(offset)"
        set(offset, bytes[offset] ^ 1 << UInt8.random(in: 0..<8, using: &random))
    }

    private mutating func overwrite(_ count: Int, _ byte: (Int) -> UInt8) {
        let start = min(offset(), bytes.count - count)
        description = "\(count) bytes from \(start)"
        for index in start..<start + count { set(index, byte(index)) }
    }

    /// Makes a number a little larger or smaller.
    private mutating func changeWord(near change: Int) {
        let start = offset() & ~1
        guard start + 2 <= bytes.count else { return }
        description = "a number at byte \(start)"
        let number = Int(bytes[start]) | Int(bytes[start + 1]) << 8
        let changed = number + (Bool.random(using: &random) ? change : -change)
        set(start, UInt8(truncatingIfNeeded: changed))
        set(start + 1, UInt8(truncatingIfNeeded: changed >> 8))
    }

    /// Changes the header of a page or the first of its offsets.
    private mutating func changeHead() {
        let start = page() + Int.random(in: 0..<40, using: &random)
        description = "byte \(start), of the head of a page"
        set(start, UInt8.random(in: 0...255, using: &random))
    }

    private mutating func changeMeta() {
        let start = Int.random(in: 0..<2, using: &random) * pageSize
        let offset = start + Int.random(in: 0..<168, using: &random)
        description = "byte \(offset), of a meta page"
        set(offset, UInt8.random(in: 0...255, using: &random))
    }

    /// Puts one page in the place of another. If that is inside an overflow run, one value is another.
    private mutating func copyPage() {
        let (source, target) = (page(), page())
        description = "the page at \(source) over that at \(target)"
        bytes.replaceSubrange(target..<target + pageSize, with: bytes[source..<source + pageSize])
        differencesMax = 1
    }

    private mutating func swapPages() {
        let (left, right) = (page(), page())
        description = "the pages at \(left) and \(right) in each other's place"
        let kept = Array(bytes[left..<left + pageSize])
        bytes.replaceSubrange(left..<left + pageSize, with: bytes[right..<right + pageSize])
        bytes.replaceSubrange(right..<right + pageSize, with: kept)
        differencesMax = 2
    }

    private mutating func truncate() {
        let count = offset()
        description = "the file cut off at byte \(count)"
        bytes.removeLast(bytes.count - count)
    }
}
