import Glibc

@testable import ZeroDB

/// Two processes that run short programs in the order that the input says, with calls that fail as it
/// says, and a power cut.
private struct FuzzProcesses {
    private static let stepsMax = 6
    private static let errors: [Int32] = [ENOSPC, EIO, EMFILE, EINTR, ENOMEM, EDQUOT, EACCES]

    private var input: FuzzInput
    /// Calls before the next event.
    private var gap = 0

    init(_ input: FuzzInput) {
        self.input = input
        gap = 0
    }

    mutating func run() {
        let start = input.byte()
        let programs = (0..<2).map { _ in steps() }
        let cuts = (0..<2).map { _ in (point: input.word(), seed: UInt64(input.word())) }
        gap = Int(input.byte())
        guard let run = try? ScheduledPrograms(programs, isMade: start % 4 != 0) else {
            return check(false, "the environment cannot be made")
        }
        var scheduler = self
        run.run { scheduler.choose($0) }
        run.check(cuts: cuts)
        check(run.problem == nil, run.problem ?? "")
    }

    private mutating func steps() -> [ScheduledPrograms.Step] {
        let all = ScheduledPrograms.Step.allCases
        return [.open] + (0..<input.below(Self.stepsMax)).map { _ in all[input.below(all.count)] }
    }

    /// What happens before a call. An event is a number of calls that go on first, and what it is.
    private mutating func choose(_ decision: ProcessSchedule.Decision) -> ProcessSchedule.Choice {
        guard !input.isAtEnd else { return .goOn }
        guard gap == 0 else {
            gap -= 1
            return .goOn
        }
        let event = input.byte()
        gap = Int(input.byte()) % 64
        if event < 160 {
            return decision.others.first.map { .letStep($0) } ?? .goOn
        }
        if event >= 250 {
            return .interfere(Trap(number: 1, effect: event % 2 == 0 ? .killBefore : .killAfter))
        }
        let error = Self.errors[Int(event) % Self.errors.count]
        return .interfere(
            Trap(
                number: 1, effect: .fail(error), isLasting: false,
                storedPercent: [0, 50, 99][Int(event) % 3]))
    }
}

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var target = FuzzProcesses(FuzzInput(start, count))
    target.run()
    return 0
}
