@preconcurrency import Glibc
import Synchronization

/// Doing something again and again until the program is interrupted.
struct Watch {
    let seconds: Double

    private static let isInterrupted = Atomic<Bool>(false)

    /// - Parameter body: what is done.
    /// - Returns: what it said last; `notDone` at once if it cannot be done the first time.
    func run(_ body: () -> ExitStatus) -> ExitStatus {
        signal(SIGINT) { _ in Watch.isInterrupted.store(true, ordering: .relaxed) }
        signal(SIGTERM) { _ in Watch.isInterrupted.store(true, ordering: .relaxed) }
        let isTerminal = isatty(STDOUT_FILENO) == 1
        var status = ExitStatus.success
        var isFirst = true
        while true {
            // The cursor to the upper left, and all behind it away.
            if isTerminal { fputs("\u{1b}[H\u{1b}[J", stdout) }
            status = body()
            guard fflush(stdout) == 0 else { return .notDone }
            if isFirst, status == .notDone { return status }
            isFirst = false
            pause()
            if Self.isInterrupted.load(ordering: .relaxed) { return status }
        }
    }

    private func pause() {
        let whole = seconds.rounded(.down)
        var time = timespec(tv_sec: Int(whole), tv_nsec: Int((seconds - whole) * 1e9))
        // A signal ends it.
        if !Self.isInterrupted.load(ordering: .relaxed) { nanosleep(&time, nil) }
    }
}
