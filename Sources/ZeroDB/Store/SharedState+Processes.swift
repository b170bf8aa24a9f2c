import Glibc
import Synchronization

/// The table of processes.
extension SharedState {
    /// A process's mark on the reader slots it owns: its entry in the table of processes and the
    /// entry's generation. Process ids come back; these do not. Whether the process lives, the
    /// kernel knows: it holds a lock on its entry's byte of `lock.zdb` until it dies.
    struct Owner: Equatable {
        var raw: UInt64

        /// For people to read.
        var processID: Int32 = 0

        init(raw: UInt64) { self.raw = raw }
        init(entry: Int, generation: UInt64) {
            raw = generation << 16 | UInt64(entry + 1)
            processID = getpid()
        }

        static func == (left: Owner, right: Owner) -> Bool { left.raw == right.raw }

        var entry: Int { Int(raw & 0xffff) - 1 }
        var generation: UInt64 { raw >> 16 }
    }

    /// Takes over an entry whose lock this process holds.
    func registerProcess(entry: Int) -> Owner {
        let generation = word(Layout.processes + entry * Layout.processSize).pointee.wrappingAdd(
            1, ordering: .sequentiallyConsistent
        ).newValue
        return Owner(entry: entry, generation: generation)
    }

    /// Whether an entry has been taken over by another process since.
    func isSuperseded(_ owner: Owner) -> Bool {
        guard owner.entry >= 0, owner.entry < Layout.processesMax else { return true }
        return word(Layout.processes + owner.entry * Layout.processSize).pointee.load(
            ordering: .sequentiallyConsistent) != owner.generation
    }
}
