/// Reading the meta pages while other processes may be writing them.
extension Store {
    /// Reads meta pages. What looks damaged is read again while no process can be writing one: a write may be
    /// under way for long, where the process that makes it does not get the processor.
    ///
    /// - Parameter isSound: whether what was read need not be read again.
    /// - Throws: as the body; `busy` if what looks damaged stays locked for longer than the options allow.
    func readMetaPages<Read>(
        _ read: () throws(DatabaseError) -> Read, until isSound: (Read) -> Bool
    ) throws(DatabaseError) -> Read {
        do throws(DatabaseError) {
            let result = try read()
            if isSound(result) { return result }
        } catch {
            guard error.code == .corrupted else { throw error }
        }
        try lockCheckpoint()
        defer { unlockCheckpoint() }
        return try read()
    }

    /// The newest state in the meta pages.
    ///
    /// - Throws: as `MetaPages.load`; `busy`.
    func loadMeta() throws(DatabaseError) -> MetaPages.Loaded {
        try readMetaPages { () throws(DatabaseError) in
            try MetaPages.load(from: dataFile)
        } until: { _ in
            true
        }
    }

    /// The copies of meta records and of the newest free list that are damaged, with what is wrong: each
    /// has one that serves, or the environment would not be open.
    ///
    /// - Throws: `corrupted` if one has none any more; `busy`; a system error.
    func damagedMetaCopies() throws(DatabaseError) -> [(page: UInt64, problem: String)] {
        try readMetaPages { () throws(DatabaseError) in
            try MetaPages.damagedCopies(in: dataFile, pageSize: pageSize)
                + MetaPages.damagedFreeLists(in: dataFile)
        } until: {
            $0.isEmpty
        }
    }
}
