import Synchronization

/// The processes that may write.
extension SharedState {
    /// Processes that have the environment open for writing. One that died is counted on, until
    /// all have closed it: the writer's lock then takes a little longer.
    private var writers: UnsafeMutablePointer<Atomic<UInt64>> { word(Layout.writers) }

    func countWriter() { writers.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent) }

    func discountWriter() { writers.pointee.wrappingSubtract(1, ordering: .sequentiallyConsistent) }

    /// Lets a process write that is the only one that could, without the lock that the kernel
    /// keeps: a process that comes counts itself before it looks for a lone writer, a lone writer
    /// names itself before it looks at the count, so one of them sees the other.
    ///
    /// - Returns: false if it is not the only one.
    func beginAlone(_ process: Owner) -> Bool {
        guard writers.pointee.load(ordering: .relaxed) == 1 else { return false }
        self[Layout.loneWriter] = process.raw
        if writers.pointee.load(ordering: .sequentiallyConsistent) == 1 { return true }
        endAlone()
        return false
    }

    /// Ends what a process is said to do, when it knows that it does not write: whatever else is said of its
    /// entry, no other process has that.
    func forgetLoneWriter(_ process: Owner) {
        if Owner(raw: self[Layout.loneWriter]).entry == process.entry { endAlone() }
    }

    func endAlone() { self[Layout.loneWriter] = 0 }

    /// Whether a process writes without the kernel's lock. Ends its transaction if it has died.
    ///
    /// - Parameter isLocked: asks the kernel whether an entry's process lives.
    func hasLoneWriter<Failure: Error>(
        isLocked: (Int) throws(Failure) -> Bool
    ) throws(Failure) -> Bool {
        let value = self[Layout.loneWriter]
        guard value != 0 else { return false }
        let process = Owner(raw: value)
        if !isSuperseded(process), try isLocked(process.entry) { return true }
        endAlone()
        return false
    }

    /// The id of the process that has the writer's lock, 0 if that is not known.
    var writerProcessID: Int32 {
        get {
            Int32(
                truncatingIfNeeded: word(Layout.writerProcessID).pointee.load(ordering: .relaxed))
        }
        nonmutating set {
            word(Layout.writerProcessID).pointee.store(
                UInt64(UInt32(bitPattern: newValue)), ordering: .relaxed)
        }
    }
}
