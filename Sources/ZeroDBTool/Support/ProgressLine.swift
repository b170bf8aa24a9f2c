@preconcurrency import Glibc
import ZeroDB

/// A line on standard error that says how far a command is; none if that is no terminal.
final class ProgressLine {
    private let isShown: Bool
    private let pageSize: UInt64
    private let began = ProgressLine.now()
    private var hasLine = false

    init(isShown: Bool, pageSize: UInt64) {
        self.isShown = isShown && isatty(STDERR_FILENO) == 1
        self.pageSize = pageSize
    }

    func show(_ progress: VerifyProgress) { show(progress.pagesDone, of: progress.pagesTotal) }

    func show(_ done: UInt64, of total: UInt64) {
        guard isShown, total > 0 else { return }
        let percent = done * 100 / total
        let bytes = done * pageSize
        let seconds = Self.now() - began
        var line =
            "\(percent) % of \(Output.bytes(total * pageSize)), page \(done) of \(total)"
        if seconds > 0.5 { line += ", \(Output.bytes(UInt64(Double(bytes) / seconds)))/s" }
        show(line)
    }

    private func show(_ line: String) {
        // Back to the start of the line, and what is behind it away.
        fputs("\r\(line)\u{1b}[K", stderr)
        fflush(stderr)
        hasLine = true
    }

    func show(bytes done: UInt64, of total: UInt64) {
        guard isShown, total > 0 else { return }
        let seconds = Self.now() - began
        var line = "\(done * 100 / total) % of \(Output.bytes(total))"
        if seconds > 0.5 { line += ", \(Output.bytes(UInt64(Double(done) / seconds)))/s" }
        show(line)
    }

    /// Takes the line away.
    func clear() {
        guard hasLine else { return }
        fputs("\r\u{1b}[K", stderr)
        fflush(stderr)
        hasLine = false
    }

    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
