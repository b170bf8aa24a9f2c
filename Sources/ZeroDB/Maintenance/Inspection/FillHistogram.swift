/// How full the pages of a kind are.
public struct FillHistogram: Sendable, Equatable {
    /// Pages, or of large values runs of pages, by tenths: up to 10 % full, up to 20 %, and so on.
    public private(set) var tenths = [UInt64](repeating: 0, count: 10)
    /// Pages.
    public private(set) var pages: UInt64 = 0
    /// Bytes in use.
    public private(set) var used: UInt64 = 0
    /// Bytes that could be.
    public private(set) var capacity: UInt64 = 0

    /// How much of the pages is in use, from 0 to 1; nil if there are none.
    public var fill: Double? { capacity == 0 ? nil : Double(used) / Double(capacity) }

    /// Of no pages.
    public init() {}

    mutating func add(used: Int, of capacity: Int, pages: UInt64 = 1) {
        let used = min(max(0, used), capacity)
        tenths[min(9, capacity == 0 ? 0 : used * 10 / capacity)] += 1
        self.pages += pages
        self.used += UInt64(used)
        self.capacity += UInt64(capacity)
    }

    static func += (left: inout Self, right: Self) {
        for index in left.tenths.indices { left.tenths[index] += right.tenths[index] }
        left.pages += right.pages
        left.used += right.used
        left.capacity += right.capacity
    }
}
