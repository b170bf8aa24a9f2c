import Glibc
import Testing

@testable import Simulator
@testable import ZeroDB

/// Two processes with short programs, in all orders that change once from one to the other, in some that
/// change twice, and with each call failing in turn.
///
/// `make fuzz` runs longer programs in orders that change more often.
@Suite("Orders of two processes")
struct ScheduleTests {
    typealias Step = ScheduledPrograms.Step

    struct Pair: Sendable, CustomTestStringConvertible {
        var first: [Step]
        var second: [Step]
        var isMade = true

        var testDescription: String {
            "\(first) beside \(second)\(isMade ? "" : ", which make it")"
        }
    }

    /// Around opening and closing, segments, checkpoints and commits of each durability.
    static let pairs = [
        Pair(first: [.open, .commitFull], second: [.open, .commitFull], isMade: false),
        Pair(first: [.open, .commitFull], second: [.open, .read, .commitFull]),
        Pair(first: [.open, .commitFull, .checkpoint], second: [.open, .commitFull]),
        Pair(first: [.open, .commitRelaxed, .sync], second: [.open, .commitUnlogged]),
        Pair(first: [.open, .commitUnlogged, .commitFull], second: [.open, .commitRelaxed]),
        Pair(
            first: [.open, .commitLarge, .commitLarge, .commitLarge], second: [.open, .checkpoint]),
        Pair(
            first: [.open, .commitLarge, .commitLarge], second: [.open, .commitLarge, .commitFull]),
        Pair(first: [.open, .commitUnlogged, .commitRelaxed], second: [.open]),
        Pair(first: [.open], second: [.open, .commitFull], isMade: false),
        Pair(
            first: [.open, .hold, .release, .hold, .checkpoint],
            second: [.open, .commitFull, .commitFull, .commitFull, .commitFull, .commitFull]),
        Pair(
            first: [.open, .hold, .commitFull, .hold, .commitFull, .release, .commitFull],
            second: [.open, .commitRelaxed, .checkpoint, .commitRelaxed, .commitRelaxed]),
    ]

    /// Calls that another process can notice, or that can be told from one before by what others did.
    private static let noticed: Set<SeamCall> = [
        .open, .makeDirectory, .rename, .remove, .syncDirectory, .write, .sync, .truncate, .lock,
        .isLocked,
    ]

    /// Runs a pair of programs once.
    ///
    /// - Parameters:
    ///   - switches: the numbers of calls before which the other process steps.
    ///   - fault: the number of a call and what happens to it.
    /// - Returns: the calls that were made.
    private func run(
        _ pair: Pair, switches: [Int], fault: (call: Int, trap: Trap)? = nil
    ) throws -> [SeamCall] {
        let programs = try ScheduledPrograms([pair.first, pair.second], isMade: pair.isMade)
        var calls: [SeamCall] = []
        var left = switches
        programs.run { decision in
            if left.first == decision.number, let other = decision.others.first {
                left.removeFirst()
                return .letStep(other)
            }
            calls.append(decision.call)
            if let fault, fault.call == decision.number { return .interfere(fault.trap) }
            return .goOn
        }
        // The power is cut at a place that differs from run to run, often at the end.
        let number = switches.reduce(fault?.call ?? 7) { $0 &* 31 &+ $1 } &* 7919 & 0xffff
        programs.check(cuts: [(number % 3 == 0 ? 65535 : number, UInt64(number))], openings: 1)
        if let problem = programs.problem {
            let story = fault.map { ", with call \($0.call) hit by \($0.trap.effect)" } ?? ""
            Issue.record(
                "\(pair.testDescription), switching before \(switches)\(story): \(problem)")
        }
        return calls
    }

    @Test(
        "Every order with one change, and some with two, keep what was acknowledged",
        arguments: pairs)
    func keepsPromisesInEveryOrder(_ pair: Pair) throws {
        let calls = try run(pair, switches: [])
        for (index, call) in calls.enumerated() where Self.noticed.contains(call) {
            let first = index + 1
            _ = try run(pair, switches: [first])
            _ = try run(pair, switches: [first, first + [1, 2, 3, 5, 8, 13][first % 6]])
        }
    }

    @Test("No call that fails loses what was acknowledged", arguments: pairs)
    func keepsPromisesWhateverFails(_ pair: Pair) throws {
        let calls = try run(pair, switches: [])
        let errors: [Int32] = [ENOSPC, EIO, EMFILE, EINTR, ENOMEM, EDQUOT, EACCES]
        for (index, call) in calls.enumerated() {
            let number = index + 1
            let fails = Trap(
                number: 1, effect: .fail(errors[number % errors.count]),
                storedPercent: [0, 50, 99][number % 3])
            _ = try run(pair, switches: [], fault: (number, fails))
            guard [.write, .sync, .rename].contains(call) else { continue }
            // Where the other process steps just before the call or after it, and where this one dies.
            _ = try run(pair, switches: [number], fault: (number, fails))
            _ = try run(pair, switches: [number + 1], fault: (number, fails))
            let dies: Trap.Effect = number % 2 == 0 ? .killBefore : .killAfter
            _ = try run(pair, switches: [], fault: (number, Trap(number: 1, effect: dies)))
        }
    }
}
