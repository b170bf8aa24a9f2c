extension Environment {
    /// The states that recovery mode can show of the environment in a directory: what its meta records
    /// say, and where the log leads from there. Opens nothing, takes no lock and writes nothing.
    ///
    /// - Throws: `invalidFile`, `versionMismatch`, `unsupported`; `corrupted` if there is no whole meta
    ///   record; a system error.
    /// - Complexity: reads the log once for each meta record that it can be replayed from.
    public static func roots(path: String) throws(DatabaseError) -> EnvironmentRoots {
        try RootSearch.run(PathBytes(Array(path.utf8)), PosixFileSystem())
    }
}
