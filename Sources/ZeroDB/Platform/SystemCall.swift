import CZeroDBPlatform
import Glibc

/// What every use of the operating system needs.
enum SystemCall {
    /// The system's text for an errno.
    static func describe(_ error: Int32) -> String {
        guard let text = strerror(error) else { return "error \(error)" }
        return String(cString: text)
    }

    /// Repeats a call that returns -1 and EINTR.
    ///
    /// - Returns: the call's result, or the errno negated.
    @inline(__always)
    static func retryingInterrupts(_ call: () -> Int) -> Int {
        while true {
            let result = call()
            if result >= 0 { return result }
            let error = errno
            if error != EINTR { return -Int(error) }
        }
    }

    /// Fills a buffer from the kernel's random source.
    static func fillRandom(_ buffer: UnsafeMutableRawBufferPointer) throws(DatabaseError) {
        let error = zp_fill_random(buffer.baseAddress, buffer.count)
        guard error == 0 else { throw DatabaseError(systemError: error, "read random bytes") }
    }

    /// Nanoseconds since 1970, by the wall clock.
    static func wallClockNanoseconds() -> UInt64 {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return UInt64(max(0, now.tv_sec)) &* 1_000_000_000 &+ UInt64(max(0, now.tv_nsec))
    }

    /// Nanoseconds by a clock that is never put back.
    static func monotonicNanoseconds() -> UInt64 {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
    }

    /// A number of this start of the machine; 0 where the system does not tell.
    static let boot: UInt64 = {
        // By random(4), 36 characters that the kernel draws anew when it starts.
        let file = zp_open_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", O_RDONLY, 0)
        guard file >= 0 else { return 0 }
        defer { Glibc.close(file) }
        return withUnsafeTemporaryAllocation(byteCount: 36, alignment: 1) { text in
            let count = retryingInterrupts { Glibc.read(file, text.baseAddress, text.count) }
            guard count == text.count else { return 0 }
            return zp_xxh3_64(text.baseAddress, text.count, 0)
        }
    }()

    /// Bytes in a page of the operating system's.
    static var memoryPageSize: Int { max(4096, sysconf(Int32(_SC_PAGESIZE))) }
}
