import Glibc

@testable import ZeroDB

/// Short programs of two processes that share an environment, run in an order of choice with calls that
/// fail, and what must hold whatever the order and the failures.
///
/// Each transaction stores its number, and knows the number that it found: so what is there at any time
/// says by itself which transactions are in it.
final class ScheduledPrograms: @unchecked Sendable {
    enum Step: CaseIterable, Sendable {
        case open
        case commitFull
        case commitRelaxed
        case commitUnlogged
        /// So large that the log needs its next segment soon.
        case commitLarge
        /// What does not fit in the log.
        case commitGiant
        case checkpoint
        case sync
        case read
        case close
        /// Begins a reader that stays.
        case hold
        /// Ends the reader that has stayed longest, which must see what it saw at first.
        case release
    }

    /// A reader that stays, and the transactions that it saw when it began.
    private final class HeldReader {
        let transaction: ReadTransaction
        let seen: Set<Int>

        init(_ transaction: consuming ReadTransaction, seen: Set<Int>) {
            self.transaction = transaction
            self.seen = seen
        }
    }

    private static let directory = "/machine/environment"
    private static let lockPath = directory + "/lock.zdb"
    private static let lastKey: [UInt8] = [0]

    let disk: SimulatedDisk
    private let programs: [[Step]]
    // All below by the process whose turn it is.
    /// The number that each transaction found.
    private var bases: [Int: Int] = [:]
    private var numbers = 0
    /// Those that must be there, as the engine has said.
    private var durable: Set<Int> = []
    /// Those that must not.
    private var undone: Set<Int> = []
    /// Those whose commits have returned.
    private var committed: Set<Int> = []
    /// Calls that were made to fail: which, and of which process.
    private var faults: [(process: Int, call: SeamCall, step: Step)] = []
    /// What each process is doing.
    private var current: [Step] = [.open, .open]
    private(set) var problem: String?

    /// - Parameter isMade: whether the environment is there before the programs begin.
    init(_ programs: [[Step]], isMade: Bool) throws {
        self.programs = programs
        disk = SimulatedDisk(directories: ["/machine"], isRecording: true)
        guard isMade else { return }
        let environment = try Environment(
            path: Self.directory, options: Self.options,
            fileSystem: SimulatedProcess(disk, number: 100))
        try commit(environment, size: 40)
        try environment.close()
    }

    private static var options: EnvironmentOptions {
        var options = EnvironmentOptions()
        // Room for all that two programs can put, and for what a checkpoint has yet to give back.
        options.maxSize = 192 << 20
        options.logSize = 1 << 20
        // More than the programs can hold, and one for looking what there is.
        options.maxReaders = 256
        options.usesThread = false
        return options
    }

    private func fail(_ problem: String) { self.problem = self.problem ?? problem }

    /// Runs the programs.
    ///
    /// - Returns: the calls that they have made.
    @discardableResult
    func run(_ choose: @escaping (ProcessSchedule.Decision) -> ProcessSchedule.Choice) -> Int {
        let schedule = ProcessSchedule(on: disk) { decision in
            let choice = choose(decision)
            if case .interfere = choice {
                self.faults.append(
                    (decision.process, decision.call, self.current[decision.process]))
            }
            return choice
        }
        schedule.run(
            programs.indices.map { process in
                { self.run(self.programs[process], process, schedule) }
            })
        disk.arm(nil)
        if let problem = schedule.problem { fail(problem) }
        return schedule.calls
    }

    // MARK: Steps

    private func run(_ steps: [Step], _ process: Int, _ schedule: ProcessSchedule) {
        var environment: Environment?
        var held: [HeldReader] = []
        let fileSystem = ScheduledProcess(process, on: disk, schedule)
        for step in steps + [.close] {
            if disk.isDead(process) { break }
            let faultsBefore = faults.count
            current[process] = step
            do {
                try take(step, &environment, &held, fileSystem)
            } catch let error as DatabaseError {
                check(
                    error, of: step, process,
                    faults[faultsBefore...].contains { $0.process == process })
            } catch {
                fail("\(error)")
            }
        }
        // A process that has died lets go of its files as far as this one is concerned.
        held = []
        try? environment?.close()
    }

    /// Whether what is on disk may be unknown since a call failed: a flush or a write, or any call of a
    /// commit, which may be the tip already and not be durable.
    private var mayPanic: Bool {
        faults.contains {
            [.sync, .write, .syncDirectory].contains($0.call)
                || [
                    .commitFull, .commitRelaxed, .commitUnlogged, .commitLarge, .commitGiant,
                ].contains($0.step)
        }
    }

    /// An error is due to a call that failed: one of this process now, or for PANIC one of any process
    /// before.
    private func check(_ error: DatabaseError, of step: Step, _ process: Int, _ hasFault: Bool) {
        if disk.isDead(process) || problem != nil { return }
        if error.code == .panic {
            if !mayPanic {
                fail("\(step) of process \(process) panics though nothing was lost: \(error)")
            }
            return
        }
        if error.code != .system || !hasFault {
            fail("\(step) of process \(process) fails with \(error.code): \(error)")
        }
    }

    private func take(
        _ step: Step, _ environment: inout Environment?, _ held: inout [HeldReader],
        _ fileSystem: ScheduledProcess
    ) throws {
        if step == .open {
            guard environment == nil else { return }
            environment = try Environment(
                path: Self.directory, options: Self.options, fileSystem: fileSystem)
            return
        }
        guard let open = environment else { return }
        let before = try [.checkpoint, .sync, .close].contains(step) ? seen(in: open) : []
        switch step {
        case .open: break
        case .commitFull: try commit(open, size: 40)
        case .commitRelaxed: try commit(open, .relaxed, size: 40)
        case .commitUnlogged: try commit(open, Durability.none, size: 40)
        case .commitLarge: try commit(open, size: 150_000)
        case .commitGiant: try commit(open, size: 9 << 20)
        case .checkpoint:
            try open.checkpoint()
            promise(before)
        case .sync:
            try open.sync()
            promise(before)
        case .read:
            let reader = try open.beginRead()
            try compare(reader)
        case .hold:
            let reader = try open.beginRead()
            let seen = try compare(reader)
            held.append(HeldReader(reader, seen: seen))
        case .release:
            try release(&held)
        case .close:
            while !held.isEmpty { try release(&held) }
            environment = nil
            try open.close()
            // After a failed flush closing writes nothing.
            if !mayPanic { promise(before) }
        }
    }

    private func release(_ held: inout [HeldReader]) throws {
        guard !held.isEmpty else { return }
        let reader = held.removeFirst()
        let seen = try compare(reader.transaction)
        if seen != reader.seen {
            fail("a reader saw \(reader.seen.sorted()), and then \(seen.sorted())")
        }
    }

    /// The transactions whose commits have returned and that a reader of this process sees.
    private func seen(in environment: Environment) throws -> Set<Int> {
        committed.intersection(try compare(environment.beginRead()))
    }

    private func promise(_ transactions: Set<Int>) {
        for number in transactions.subtracting(durable).sorted() {
            durable.insert(number)
            disk.note(.durable(number))
        }
    }

    private func commit(
        _ environment: Environment, _ durability: Durability = .full, size: Int
    ) throws {
        var transaction = try environment.beginWrite(durability: durability)
        numbers += 1
        let number = numbers
        let base = try Self.last(transaction)
        try transaction.put(Self.lastKey, Self.bytes(number))
        try transaction.put(Self.key(number), [UInt8](repeating: UInt8(number & 0xff), count: size))
        bases[number] = base
        disk.note(.committing(number))
        do throws(DatabaseError) {
            try transaction.commit()
        } catch {
            // With PANIC the outcome is unknown. What a dead process was told counts for nothing.
            if error.code != .panic, error.systemError != ESHUTDOWN {
                undone.insert(number)
                disk.note(.undone(number))
            }
            throw error
        }
        committed.insert(number)
        if durability == .full { promise([number]) }
    }

    private static func isThere(
        _ number: Int, _ reader: borrowing some Transaction & ~Copyable
    ) throws -> Bool {
        guard let value = try reader.value(for: key(number)) else { return false }
        return value.withUnsafeBytes { $0.first == UInt8(number & 0xff) }
    }

    private static func bytes(_ number: Int) -> [UInt8] {
        withUnsafeBytes(of: UInt64(number).bigEndian) { Array($0) }
    }

    /// The number of the last transaction that one sees; 0 if there is none.
    private static func last(_ reader: borrowing some Transaction & ~Copyable) throws -> Int {
        guard let value = try reader.value(for: lastKey) else { return 0 }
        return value.withUnsafeBytes { $0.reduce(0) { $0 << 8 | Int($1) } }
    }

    private static func key(_ number: Int) -> [UInt8] { [1] + bytes(number) }

    // MARK: Checks

    /// Looks what the next opening finds on the disk as it is, and on disks that a power cut leaves.
    ///
    /// - Parameter cuts: the point of the journal of each, from 0 to 65535 for all of it, and its seed.
    func check(cuts: [(point: Int, seed: UInt64)], openings: Int = 2) {
        guard problem == nil else { return }
        let journal = disk.journal
        for cut in cuts {
            let end = journal.count * min(cut.point, 65535) / 65535
            checkPowerCut(journal[..<end], seed: cut.seed, openings: openings)
            if problem != nil { return }
        }
        disk.stopRecording()
        check(
            disk, durable, undone, all: faults.isEmpty ? committed : [],
            openings: openings, "the end")
    }

    private func checkPowerCut(
        _ journal: ArraySlice<DiskEvent>, seed: UInt64, openings: Int
    ) {
        let image = DiskImage(
            directories: ["", "/machine"], lockPath: Self.lockPath,
            staleLock: disk.volatileBytes(Self.lockPath))
        var promised: Set<Int> = []
        var refused: Set<Int> = []
        for event in journal {
            switch event {
            case .note(.durable(let number)): promised.insert(number)
            case .note(.undone(let number)): refused.insert(number)
            default: break
            }
            image.apply(event)
        }
        var survival = Survival(seed: seed, position: journal.count)
        let left = image.makeDisk(&survival, isRecording: false)
        check(
            left, promised, refused, all: [], openings: openings,
            "a power cut at \(journal.count)")
    }

    private func check(
        _ disk: SimulatedDisk, _ durable: Set<Int>, _ undone: Set<Int>, all: Set<Int>,
        openings: Int, _ when: String
    ) {
        do {
            for opening in 0..<openings {
                let environment = try Environment(
                    path: Self.directory, options: Self.options,
                    fileSystem: SimulatedProcess(disk, number: 200 + opening))
                var problems: [String] = []
                let report = try environment.verify { problems.append($0.message) }
                if report.problems > 0 { fail("after \(when): \(problems.prefix(3))") }
                let found = try compare(environment.beginRead())
                let lost = durable.union(all).subtracting(found)
                if !lost.isEmpty { fail("after \(when) transactions \(lost.sorted()) are lost") }
                let unwanted = undone.intersection(found)
                if !unwanted.isEmpty {
                    fail(
                        "after \(when) transactions \(unwanted.sorted()) are there, which had failed"
                    )
                }
                if opening + 1 < openings {
                    try environment.write { try $0.put([2], [2]) }
                }
                try environment.close()
            }
        } catch {
            fail("after \(when): \(error)")
        }
    }

    /// Compares all that a reader sees with the transactions that lead to the last one.
    ///
    /// - Returns: these.
    @discardableResult
    private func compare(_ reader: borrowing ReadTransaction) throws -> Set<Int> {
        var found: Set<Int> = []
        var next = try Self.last(reader)
        while next != 0, let base = bases[next] {
            found.insert(next)
            if try !Self.isThere(next, reader) { fail("transaction \(next) is there in part") }
            next = base
        }
        if next != 0 { fail("transaction \(next) is there, which never was") }
        let count = try reader.count()
        let extra = try reader.contains([2]) ? 1 : 0
        let expected = found.isEmpty ? 0 : found.count + 1
        if Int(count) != expected + extra {
            fail("there are \(count) entries instead of \(expected + extra)")
        }
        return found
    }
}
