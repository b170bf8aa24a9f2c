import Glibc

/// Pages that a copy which ended early has already, byte for byte as they are in the data file now.
///
/// They are compared while the snapshot is held that is copied: its pages do not change meanwhile. Pages
/// that are no part of it may, and are not asked for.
final class EarlierPages {
    private var set: PageSet
    private let dataFile: any StorageFile
    let pageSize: Int
    private let buffer: UnsafeMutableRawBufferPointer
    /// How many they are.
    private var count: UInt64 = 0

    static let partMax = 1 << 20

    /// Finds out what a copy can go on with, and tells of it.
    ///
    /// - Parameters:
    ///   - store: that is copied.
    ///   - meta: of the snapshot.
    /// - Returns: nil if there is nothing.
    static func find(
        _ store: Store, _ meta: Meta, in writer: CopyWriter
    ) throws(DatabaseError) -> EarlierPages? {
        guard !writer.isStream else { return nil }
        let earlier = try EarlierPages(store.dataFile, meta)
        guard try writer.compare(with: earlier) else { return nil }
        store.report(
            .information,
            "the copy of \(store.path) goes on from one that ended early: \(earlier.count) of "
                + "\(meta.pageCount) pages are there")
        return earlier
    }

    private init(_ dataFile: any StorageFile, _ meta: Meta) throws(DatabaseError) {
        set = PageSet(count: meta.pageCount)
        self.dataFile = dataFile
        pageSize = Int(meta.pageSize)
        buffer = try allocateBuffer(Self.partMax, to: "go on with a copy")
    }

    deinit { free(buffer.baseAddress) }

    /// Compares whole pages of the earlier copy.
    ///
    /// - Parameters:
    ///   - pages: at most `partMax` bytes.
    ///   - first: the number of the first.
    func compare(_ pages: UnsafeRawBufferPointer, from first: UInt64) {
        let part = UnsafeMutableRawBufferPointer(
            rebasing: buffer[..<min(pages.count, buffer.count)])
        // What cannot be read is not the same: whoever needs it finds out why.
        guard first < set.count,
            let read = try? dataFile.read(into: part, at: first * UInt64(pageSize))
        else { return }
        for index in 0..<(read / pageSize) {
            let bytes = index * pageSize..<(index + 1) * pageSize
            guard let old = UnsafeRawBufferPointer(rebasing: pages[bytes]).baseAddress,
                let new = UnsafeRawBufferPointer(rebasing: part[bytes]).baseAddress
            else { return }
            let isSame = memcmp(old, new, pageSize) == 0
            if isSame, set.insert(first + UInt64(index)) {
                count += 1
            } else if !isSame, set.contains(first + UInt64(index)) {
                // A later version in the same copy.
                set.remove(first + UInt64(index))
                count -= 1
            }
        }
    }

    /// Whether all of a run is there.
    func contains(_ run: PageRun) -> Bool {
        (run.start..<run.end).allSatisfy { set.contains($0) }
    }
}
