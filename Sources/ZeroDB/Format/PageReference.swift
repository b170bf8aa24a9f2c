/// How one page names another: in branch entries, database records and overflow pointers.
///
/// The low 48 bits are the page number, the high 16 the low bits of the id of the transaction
/// that wrote the page, so that an older version of the right page (a lost write) is noticed.
///
/// Inside a write transaction a changed page has no number yet; bit 47 then says that the low
/// bits are the index of a frame (`FrameTable`). Commit gives every frame a number; no such
/// reference reaches the disk.
struct PageReference: Equatable {
    var raw: UInt64

    static let frameBit: UInt64 = 1 << 47
    static let numberMask: UInt64 = (1 << 48) - 1
    /// Page numbers on disk are below this.
    static let numberLimit: UInt64 = frameBit
    static let none = PageReference(raw: 0)

    @inline(__always)
    init(raw: UInt64) { self.raw = raw }

    @inline(__always)
    init(number: UInt64, transaction: UInt64) {
        raw = (transaction << 48) | (number & Self.numberMask)
    }

    @inline(__always)
    init(frame: Int) { raw = Self.frameBit | UInt64(truncatingIfNeeded: frame) }

    /// The page number, or for a frame a number no page on disk can have.
    @inline(__always)
    var number: UInt64 { raw & Self.numberMask }

    @inline(__always)
    var transactionTag: UInt16 { UInt16(truncatingIfNeeded: raw >> 48) }

    @inline(__always)
    var isFrame: Bool { raw & Self.frameBit != 0 }

    @inline(__always)
    var frameIndex: Int { Int(truncatingIfNeeded: raw & (Self.frameBit - 1)) }

    @inline(__always)
    var isNone: Bool { raw == 0 }
}
