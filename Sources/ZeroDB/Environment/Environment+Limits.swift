extension Environment {
    /// All limits of the environment, as this process has them.
    ///
    /// - Throws: `badHandle`, `forked`.
    public func limits() throws(DatabaseError) -> Limits {
        try whileOpen {
            let options = store.options
            return Limits(
                maxSize: store.pagesMax * UInt64(store.pageSize),
                transactionPages: options.maxTransactionPages,
                transactionMemory: options.maxTransactionMemory,
                readers: UInt64(store.shared.readersMax),
                keySize: UInt64(Format.keySizeMax(pageSize: store.pageSize)),
                valueSize: UInt64(Format.valueSizeMax),
                nameSize: UInt64(Format.databaseNameSizeMax), logSize: options.logSize,
                logRecord: UInt64(options.logRecordMax),
                writerWaitMilliseconds: UInt64(options.writerWaitMilliseconds),
                depth: UInt64(Format.depthMax), archiveLog: options.archiveLogKept)
        }
    }
}
