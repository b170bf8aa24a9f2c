import Glibc

/// The writer's lock: one write transaction at a time, in all processes together.
extension Store {
    /// Waits for the writer before this one, in this process and in others. Any thread may give
    /// either lock back, and the kernel drops the file's lock if its holder dies. It is asked for
    /// that only if another process may write.
    func lockWriter() throws(DatabaseError) {
        let error = writerSemaphore.wait()
        guard error == 0 else {
            throw DatabaseError(systemError: error, "wait for the writer of \(path)")
        }
        let isAlone = shared.beginAlone(process)
        writesAlone.store(isAlone, ordering: .relaxed)
        if isAlone { return }
        // Left behind by nothing but damage to shared memory: this process would wait for itself.
        shared.forgetLoneWriter(process)
        do throws(DatabaseError) {
            _ = try lockFile?.lock(byte: LockByte.writer, .exclusive, wait: true)
        } catch {
            unlockWriter()
            throw error
        }
        // A process that was alone until this one came ends its transaction first.
        while shared.hasLoneWriter(isLocked: isAlive) { usleep(100) }
    }

    func unlockWriter() {
        writerThread.store(0, ordering: .relaxed)
        if writesAlone.exchange(false, ordering: .relaxed) {
            shared.endAlone()
        } else {
            // An unlock of a lock that is held does not fail.
            _ = try? lockFile?.lock(byte: LockByte.writer, .unlocked, wait: false)
        }
        writerSemaphore.signal()
    }

    /// Whether the process of an entry lives. Where the kernel cannot be asked, it is taken to.
    func isAlive(entry: Int) -> Bool {
        // Of its own locks the kernel does not tell.
        if entry == process.entry { return true }
        return (try? lockFile?.isLocked(byte: LockByte.firstProcess + UInt64(entry))) ?? true
    }
}
