extension Environment {
    /// Mends a damaged environment in place: takes sound copies of what is there twice, rebuilds
    /// branches, free pages, counts and digests, replays the log, and cuts out what cannot be had.
    /// Nothing counts that is not proved to belong to the newest state. What is lost is in the
    /// report.
    ///
    /// Nothing that is there is overwritten before one write makes the mended state the newest; a
    /// process that is killed before that has changed nothing, and the repair can be made again.
    /// What is about to change is copied to a directory first. A second repair changes nothing.
    ///
    /// - Parameter path: the directory. No process may have the environment open, this one included.
    /// - Throws: `busy` if one has; `corrupted` where nothing can be mended, or the log would have to be
    ///   cut off and the options do not say so; `invalidFile`, `versionMismatch`, `unsupported`, or a
    ///   system error.
    /// - Complexity: reads the whole file two to four times; in memory some bytes for each page.
    public static func repair(
        path: String, options: RepairOptions = RepairOptions()
    ) throws(DatabaseError) -> RepairReport {
        try repair(path: PathBytes(path), options: options, fileSystem: PosixFileSystem())
    }

    static func repair(
        path: PathBytes, options: RepairOptions, fileSystem: any FileSystem
    ) throws(DatabaseError) -> RepairReport {
        try Repair(path: path, options: options, fileSystem: fileSystem).run()
    }
}
