import ArgumentParser
@preconcurrency import Glibc
import Synchronization
import ZeroDB

/// `zerodb backup follow`: archives what is committed, until it is ended.
struct BackupFollow: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "follow",
        abstract: "Archive an environment's transactions as they are committed, until interrupted.",
        discussion: """
            Begins with a copy if the archive has none. SIGINT and SIGTERM end it when everything that was \
            committed before is archived. From the first time on the environment logs every transaction and \
            keeps its log until that is archived, also while this does not run; stop ends that.

            While the archive cannot be written, this tries again and again, and says so. Programs that \
            write are never held up. If the log that is kept becomes longer than --log-kept, what is \
            beyond is lost to the archive, which then has a gap and goes on with a copy of what has changed.
            """)

    @OptionGroup var arguments: EnvironmentArguments

    @Argument(
        help: "The directory of the archive; made if it is not there. Not with --command.",
        completion: .directory)
    var archive: String?

    @Option(
        help: ArgumentHelp(
            """
            Give each file to this command on its standard input instead, with the file's name in \
            ZERODB_FILE, such as 'rclone rcat "remote:backup/$ZERODB_FILE"'.
            """, valueName: "command"))
    var command: String?

    @Option(help: ArgumentHelp("Seconds between two files of the log.", valueName: "seconds"))
    var interval = 5.0

    @Option(
        help: ArgumentHelp(
            "Copy what has changed after so long, so that restores have less log to replay; 0 for never.",
            valueName: "time"))
    var copyEvery = DurationArgument(seconds: 86400)

    @Option(
        help: ArgumentHelp(
            "Bytes of log that are kept for the archive at most.", valueName: "bytes"))
    var logKept = SizeArgument(bytes: ArchiveOptions().logKeptMax)

    @Option(
        help: ArgumentHelp(
            "Copies write so many bytes a second at most, such as 50MiB.", valueName: "bytes"))
    var rate: SizeArgument?

    @Flag(name: .shortAndLong, help: "Print no files.")
    var quiet = false

    private static let isInterrupted = Atomic<Bool>(false)

    /// Seconds after which a file that could not be written is tried again, at most.
    private static let retryMax = 60.0

    func validate() throws {
        guard (archive == nil) != (command == nil) else {
            throw ValidationError("give the directory of the archive, or --command")
        }
        guard interval >= 0.01, interval <= 86400 else {
            throw ValidationError("--interval takes a number of seconds from 0.01 to 86400.")
        }
        guard logKept.bytes >= 1 << 20 else {
            throw ValidationError("--log-kept takes at least 1MiB.")
        }
    }

    func run() throws {
        // Not restarted: a signal ends a pause. The second ends the program, whatever it waits for.
        var action = sigaction()
        action.sa_flags = Int32(bitPattern: UInt32(SA_RESETHAND))
        action.__sigaction_handler.sa_handler = { _ in
            BackupFollow.isInterrupted.store(true, ordering: .relaxed)
        }
        sigaction(SIGINT, &action, nil)
        sigaction(SIGTERM, &action, nil)
        do throws(DatabaseError) {
            try follow()
        } catch {
            throw arguments.fail(error, "backup follow")
        }
        throw ExitStatus.success
    }

    private func follow() throws(DatabaseError) {
        let environment = try EnvironmentOpening.forArchive(arguments.environment)
        var options = ArchiveOptions()
        options.logKeptMax = logKept.bytes
        options.bytesPerSecond = rate?.bytes ?? 0
        let archiver: Archiver
        if let command {
            archiver = try environment.archiver(command: command, options)
        } else {
            archiver = try environment.archiver(to: archive ?? "", options)
        }
        try patiently { () throws(DatabaseError) in try archiver.follow() }
        var copied = (time: Self.now(), transaction: UInt64.max)
        var failures = 0
        while !Self.isInterrupted.load(ordering: .relaxed) {
            do throws(DatabaseError) {
                let isDue =
                    copyEvery.seconds > 0 && Self.now() - copied.time >= Double(copyEvery.seconds)
                if isDue {
                    try archiver.step { _ in Self.goesOn }.forEach(tell)
                    if archiver.transaction != copied.transaction {
                        tell(try archiver.copy(onlyChanges: true) { _ in Self.goesOn })
                    }
                    copied = (Self.now(), archiver.transaction)
                }
                try archiver.step { _ in Self.goesOn }.forEach(tell)
                failures = 0
                pause(interval)
            } catch {
                guard Self.goesOn else { break }
                // Another program is at it.
                guard error.code != .busy else {
                    pause(interval)
                    continue
                }
                // What does not become better by waiting.
                guard ![.corrupted, .incompatible, .badHandle, .panic].contains(error.code) else {
                    throw error
                }
                failures += 1
                let seconds = min(
                    Self.retryMax, max(interval, 0.1) * Double(1 << min(failures, 10)))
                Output.write(
                    "zerodb backup follow: \(error.message); the next try is in "
                        + "\(Int(seconds.rounded(.up))) s",
                    to: stderr)
                pause(seconds)
            }
        }
        try patiently { () throws(DatabaseError) in try archiver.finish(tell) { _ in true } }
        try environment.close()
    }

    /// Waits while another program writes to the archive.
    private func patiently(_ body: () throws(DatabaseError) -> Void) throws(DatabaseError) {
        var hasSaid = false
        while true {
            do throws(DatabaseError) {
                return try body()
            } catch {
                guard error.code == .busy else { throw error }
                if !hasSaid { Output.write("zerodb backup follow: \(error.message)", to: stderr) }
                hasSaid = true
                usleep(100_000)
            }
        }
    }

    private static var goesOn: Bool { !isInterrupted.load(ordering: .relaxed) }

    private func tell(_ file: ArchivedFile) {
        guard !quiet else { return }
        if arguments.json {
            JSON.printLine(ArchivedFileResult(file))
        } else {
            Output.write(ArchivedFileResult.describe(file))
        }
        fflush(stdout)
    }

    private func pause(_ seconds: Double) {
        let until = Self.now() + seconds
        while Self.goesOn, case let left = until - Self.now(), left > 0 {
            // A signal may come between the question and the pause.
            usleep(UInt32(min(left, 0.2) * 1e6) + 1)
        }
    }

    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

/// `zerodb backup stop`
struct BackupStop: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop",
        abstract: "Have an environment keep no log for an archive any more.",
        discussion: "The archive stays as it is. A later follow goes on with a copy of all pages.")

    @OptionGroup var arguments: EnvironmentArguments

    func run() throws {
        do throws(DatabaseError) {
            let environment = try EnvironmentOpening.forArchive(arguments.environment)
            try environment.stopArchiving()
            try environment.close()
        } catch {
            throw arguments.fail(error, "backup stop")
        }
        throw ExitStatus.success
    }
}
