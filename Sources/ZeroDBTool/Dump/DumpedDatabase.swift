import ZeroDB

/// A database as the head of its part of a dump describes it.
struct DumpedDatabase {
    /// Nil for the main database.
    var name: [UInt8]?
    var statistics: DatabaseStatistics
    /// Bytes of the environment's file.
    var fileSize: UInt64
    var maxReaders: Int
    /// Whether all entries follow, so that their number and digest are known beforehand.
    var isWhole: Bool
}

/// A form that entries can be dumped in.
protocol DumpFormat {
    func writeHead(_ database: DumpedDatabase, to output: inout ByteOutput) throws
    func writeEntry(
        _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, to output: inout ByteOutput
    ) throws
    /// - Parameter entries: how many have been written.
    func writeEnd(_ entries: UInt64, to output: inout ByteOutput) throws
}
