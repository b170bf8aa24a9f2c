import CZeroDBPlatform
import Glibc
import Synchronization

/// Counts and times of all processes together, in `lock.zdb`.
///
/// Whoever counts has the words to itself, so counting is a load and a store: the writer those of
/// writing, by its lock, and a reader those of its slot. So counts cannot be lost, and those of a process
/// that dies stay. What is rare is added by atomic operations. Only numbers lie here: nothing is decided
/// by them, and whatever is in a damaged file is shown as it is.
extension SharedState {
    /// Where things lie, in bytes from `Layout.metrics`.
    enum MetricsLayout {
        static let counters = 0
        static let countersMax = 128
        /// Errors by the negative of their code, those of the system first.
        static let errors = 1024
        static let errorsMax = 64
        static let timings = 1536
        static let timingsMax = 12
        /// How often each limit was met.
        static let limits = 7680
        static let limitsMax = 64
        /// What readers count, one after the other.
        static let stripes = 8192
        /// The first slots have one each, all others the last together.
        static let stripesMax = 65
        static let stripeHistogram = 64
        static let stripeSize = stripeHistogram + Histogram.size
        static let size = 49152
    }

    /// A histogram of nanoseconds: two buckets to each power of two, from 256 to some 68 seconds.
    enum Histogram {
        static let buckets = 58
        private static let shortestBits = 8
        /// Offsets of the sum, and of the buckets.
        static let sum = 0
        static let first = 8
        static let size = 512

        /// The exponent of a `Double` and the first binary digit behind its point, read as one number,
        /// count half powers of two: a bucket is one of them. This is that of the first bucket.
        private static let bucketZero =
            Int(truncatingIfNeeded: shortest.bitPattern >> digitsBelow) - 1
        private static let digitsBelow: UInt64 = 51
        private static let shortest = Double(1 << shortestBits)
        private static let longest = Double(1 << (shortestBits + (buckets - 2) / 2))

        @inline(__always)
        static func bucket(_ nanoseconds: Double) -> Int {
            // In this order each of the two is one instruction.
            let longer = nanoseconds > shortest - 1 ? nanoseconds : shortest - 1
            let bounded = longer < longest ? longer : longest
            return Int(truncatingIfNeeded: bounded.bitPattern >> digitsBelow) &- bucketZero
        }

        @inline(__always)
        static func bucket(_ nanoseconds: UInt64) -> Int {
            bucket(Double(Int64(truncatingIfNeeded: nanoseconds & UInt64(Int64.max))))
        }

        /// The nanoseconds below which a bucket's times are; nil for the last.
        static func bound(_ bucket: Int) -> UInt64? {
            guard bucket < buckets - 1 else { return nil }
            let base = UInt64(1) << UInt64(shortestBits + bucket / 2)
            return bucket % 2 == 0 ? base : base + base / 2
        }
    }

    // MARK: Counting

    @inline(__always)
    private func place(_ counter: Counter) -> Int {
        Layout.metrics + MetricsLayout.counters + counter.rawValue * 8
    }

    /// Adds to a word that no other thread changes meanwhile: one instruction, and no atomic one.
    @inline(__always)
    private func addAlone(_ count: UInt64, at offset: Int) {
        let word = word(offset)
        word.pointee.store(word.pointee.load(ordering: .relaxed) &+ count, ordering: .relaxed)
    }

    @inline(__always)
    private func addShared(_ count: UInt64, at offset: Int) {
        word(offset).pointee.wrappingAdd(count, ordering: .relaxed)
    }

    /// The same for a count that is often zero.
    @inline(__always)
    private func addSharedIfAny(_ count: UInt64, at offset: Int) {
        if count > 0 { addShared(count, at: offset) }
    }

    /// Counts something that any thread may count.
    func count(_ counter: Counter, _ count: UInt64 = 1) { addShared(count, at: place(counter)) }

    /// Counts something that only the holder of the writer's lock counts.
    @inline(__always)
    func countAlone(_ counter: Counter, _ count: UInt64 = 1) {
        if count > 0 { addAlone(count, at: place(counter)) }
    }

    func count(_ limit: Limit, _ count: UInt64 = 1) {
        addShared(count, at: Layout.metrics + MetricsLayout.limits + limit.rawValue * 8)
    }

    func countError(code: Int32, _ count: UInt64 = 1) {
        addShared(count, at: Layout.metrics + MetricsLayout.errors + Self.errorIndex(code) * 8)
    }

    /// The word of a code: negative ones are the library's own, the others the system's.
    static func errorIndex(_ code: Int32) -> Int {
        code < 0 && code > -Int32(MetricsLayout.errorsMax) ? Int(-code) : 0
    }

    @inline(__always)
    func note(_ timing: Timing, nanoseconds: UInt64) {
        let start = Layout.metrics + MetricsLayout.timings + timing.rawValue * Histogram.size
        addSharedIfAny(nanoseconds, at: start + Histogram.sum)
        addShared(1, at: start + Histogram.first + Histogram.bucket(nanoseconds) * 8)
    }

    /// The same by the holder of the writer's lock.
    @inline(__always)
    func noteAlone(_ timing: Timing, nanoseconds: UInt64) {
        let start = Layout.metrics + MetricsLayout.timings + timing.rawValue * Histogram.size
        addAlone(nanoseconds, at: start + Histogram.sum)
        addAlone(1, at: start + Histogram.first + Histogram.bucket(nanoseconds) * 8)
    }

    /// For how long a reader has had its snapshot.
    func nanosecondsOpen(slot: Int) -> UInt64 {
        let began = Layout.readerSlots + slot * Layout.readerSlotSize + Layout.slotBegan
        return zp_nanoseconds_spent(word(began).pointee.load(ordering: .relaxed))
    }

    /// Counts a flush of the log that made so many transactions durable.
    func noteGroup(_ transactions: UInt64) {
        // In 256ths, of which the first bucket has one transaction; a bound belongs to its bucket.
        note(.groupSize, nanoseconds: (min(transactions, 1 << 32) << 8) - 1)
    }

    @inline(__always)
    private func stripe(_ index: Int) -> Int {
        Layout.metrics + MetricsLayout.stripes + index * MetricsLayout.stripeSize
    }

    /// Counts what a reader did with the snapshot that it is about to let go of, if that takes few
    /// instructions.
    ///
    /// - Returns: false if it does not, and then nothing is counted: `noteReadSlowly` does it.
    @inline(__always)
    func noteRead(slot: Int, _ counts: inout ReadCounts) -> Bool {
        guard slot < MetricsLayout.stripesMax &- 1 else { return false }
        let began = word(Layout.readerSlots &+ slot &* Layout.readerSlotSize &+ Layout.slotBegan)
            .pointee.load(ordering: .relaxed)
        let nanoseconds = zp_nanoseconds_spent_known(began)
        let stripe =
            Layout.metrics &+ MetricsLayout.stripes &+ slot &* MetricsLayout.stripeSize
        let histogram = stripe &+ MetricsLayout.stripeHistogram
        addAlone(zp_whole(nanoseconds), at: histogram &+ Histogram.sum)
        addAlone(1, at: histogram &+ Histogram.first &+ Histogram.bucket(nanoseconds) &* 8)
        addAlone(counts.gets, at: stripe &+ ReadCounter.gets.rawValue &* 8)
        counts.gets = 0
        guard counts.absentGets | counts.cursorMoves > 0 else { return true }
        addAlone(counts.absentGets, at: stripe &+ ReadCounter.absentGets.rawValue &* 8)
        addAlone(counts.cursorMoves, at: stripe &+ ReadCounter.cursorMoves.rawValue &* 8)
        counts = ReadCounts()
        return true
    }

    /// The same for any slot, and while the rate of the machine's clock is not known.
    func noteReadSlowly(nanoseconds: UInt64, _ counts: inout ReadCounts) {
        let histogram = stripe(MetricsLayout.stripesMax - 1) + MetricsLayout.stripeHistogram
        addShared(nanoseconds, at: histogram + Histogram.sum)
        addShared(1, at: histogram + Histogram.first + Histogram.bucket(nanoseconds) * 8)
        noteReads(&counts)
    }

    /// Counts reads of a write transaction.
    func noteReads(_ counts: inout ReadCounts) {
        let stripe = stripe(MetricsLayout.stripesMax - 1)
        addSharedIfAny(counts.gets, at: stripe + ReadCounter.gets.rawValue * 8)
        addSharedIfAny(counts.absentGets, at: stripe + ReadCounter.absentGets.rawValue * 8)
        addSharedIfAny(counts.cursorMoves, at: stripe + ReadCounter.cursorMoves.rawValue * 8)
        counts = ReadCounts()
    }

    // MARK: Reading

    private func value(at offset: Int) -> UInt64 { word(offset).pointee.load(ordering: .relaxed) }

    func counted(_ counter: Counter) -> UInt64 { value(at: place(counter)) }

    func counted(_ counter: ReadCounter) -> UInt64 {
        (0..<MetricsLayout.stripesMax).reduce(0) {
            $0 &+ value(at: stripe($1) + counter.rawValue * 8)
        }
    }

    /// - Parameter index: the negative of a code of the library's, 0 for errors of the system.
    func countedErrors(_ index: Int) -> UInt64 {
        value(at: Layout.metrics + MetricsLayout.errors + index * 8)
    }

    func counted(_ limit: Limit) -> UInt64 {
        value(at: Layout.metrics + MetricsLayout.limits + limit.rawValue * 8)
    }

    func timed(_ timing: Timing) -> (sum: UInt64, buckets: [UInt64]) {
        var starts = [Layout.metrics + MetricsLayout.timings + timing.rawValue * Histogram.size]
        if timing == .read {
            starts = (0..<MetricsLayout.stripesMax).map {
                stripe($0) + MetricsLayout.stripeHistogram
            }
        }
        var result = (sum: UInt64(0), buckets: [UInt64](repeating: 0, count: Histogram.buckets))
        for start in starts {
            result.sum &+= value(at: start + Histogram.sum)
            for bucket in 0..<Histogram.buckets {
                result.buckets[bucket] &+= value(at: start + Histogram.first + bucket * 8)
            }
        }
        return result
    }

    // MARK: Keeping

    /// Forgets everything, in a file that was another's or none.
    func clearMetrics() { memset(base + Layout.metrics, 0, MetricsLayout.size) }
}

/// Reads of a transaction that have not been counted in shared memory yet.
@usableFromInline
package struct ReadCounts {
    @usableFromInline package var gets: UInt64 = 0
    @usableFromInline package var absentGets: UInt64 = 0
    @usableFromInline package var cursorMoves: UInt64 = 0

    @usableFromInline
    init() {}

    var isEmpty: Bool { gets | absentGets | cursorMoves == 0 }

    mutating func add(_ other: Self) {
        gets &+= other.gets
        absentGets &+= other.absentGets
        cursorMoves &+= other.cursorMoves
    }
}
