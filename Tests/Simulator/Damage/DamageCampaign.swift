import Glibc
import Synchronization

@testable import ZeroDB

/// What the environment variables of a run ask of the damage campaign.
///
/// - `ZERODB_DAMAGE_CASES`: cases to run, for long runs.
/// - `ZERODB_DAMAGE_SEED`: run the case of this seed only, and tell about it.
enum DamageSettings {
    static let cases = variable("ZERODB_DAMAGE_CASES").flatMap { Int($0) }
    static let seed = variable("ZERODB_DAMAGE_SEED").flatMap { UInt64($0) }

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }
}

/// Damages many environments and looks what becomes of them. One thread uses a campaign.
final class DamageCampaign {
    /// Cases that share an environment. Making one takes as long as some cases do.
    static let casesEach: UInt64 = 16

    private(set) var outcomes: [DamageOutcome: Int] = [:]
    private(set) var cases = 0
    /// Cases that a repair has made sound.
    private(set) var repaired = 0
    private var subject: DamageSubject?
    private var strangers: [Int: DamageSubject] = [:]
    private let watch: DamageWatch

    /// - Parameter lane: a number that no campaign beside it has.
    init(lane: Int) { watch = DamageWatch(lane: lane) }

    /// Runs the case of a seed.
    ///
    /// - Throws: `DamageFailure` with how to run it again, or what keeps a subject from being made.
    func run(seed: UInt64) throws {
        watch.begin(seed)
        defer { watch.end() }
        let subjectSeed = seed / Self.casesEach
        let subject: DamageSubject
        if let known = self.subject, known.seed == subjectSeed {
            subject = known
        } else {
            do {
                subject = try Self.makeSubject(subjectSeed)
            } catch {
                throw DamageFailure(
                    "the environment cannot be made: \(error)\n\(Self.rerun(seed))")
            }
            self.subject = subject
        }
        var damager = Damager(subject, try stranger(subject.pageSize), seed: seed)
        damager.damage()
        var check = DamageCheck(damager, seed: seed)
        do {
            let outcome = try check.run()
            outcomes[outcome, default: 0] += 1
            cases += 1
            if try RepairCheck(damager, check.expectation).run() { repaired += 1 }
            if DamageSettings.seed != nil {
                print("\(outcome.rawValue): \(Self.describe(damager))")
            }
        } catch {
            throw DamageFailure("\(error)\n\(Self.describe(damager))\n\(Self.rerun(seed))")
        }
    }

    private static func describe(_ damager: Damager) -> String {
        damager.story.joined(separator: "; ") + "\nin " + damager.subject.description
    }

    private static func rerun(_ seed: UInt64) -> String {
        "rerun with ZERODB_DAMAGE_SEED=\(seed) swift test --filter DamageCampaignTests"
    }

    /// Makes an environment, and sees to it that it is sound before it is damaged.
    private static func makeSubject(_ seed: UInt64) throws -> DamageSubject {
        let subject = try DamageSubject(seed: seed)
        var check = DamageCheck(Damager(subject, subject, seed: seed), seed: seed)
        let outcome = try check.run()
        guard outcome == .withoutEffect else {
            throw DamageFailure("undamaged, it is \(outcome.rawValue)")
        }
        try subject.checkLayout()
        return subject
    }

    private func stranger(_ pageSize: Int) throws -> DamageSubject {
        if let known = strangers[pageSize] { return known }
        // The first of some that has something in it.
        for seed in UInt64(0)... {
            let made = try DamageSubject(seed: ~seed, pageSize: pageSize)
            guard made.log.tail.isEmpty, made.layout.treePages.count > 4 else { continue }
            strangers[pageSize] = made
            return made
        }
        throw DamageFailure("there is no other environment")
    }

    var summary: String {
        let counts = DamageOutcome.allCases.map { "\(outcomes[$0] ?? 0) \($0.rawValue)" }
        return "\(cases) cases: " + counts.joined(separator: ", ") + "; \(repaired) repaired"
    }
}

/// Ends a run whose case does not come to its end, and leaves the number of a case that ends the process
/// in a file of the directory for temporary files.
private final class DamageWatch: @unchecked Sendable {
    /// Of the longest case.
    private static let secondsMax = 120

    private let path: String
    private let descriptor: Int32
    private let state: State

    private final class State: Sendable {
        let seed = Atomic<UInt64>(0)
        /// In seconds; 0 between cases.
        let began = Atomic<Int>(0)
        let isOver = Atomic<Bool>(false)
    }

    init(lane: Int) {
        let directory = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        path = "\(directory)/zerodb-damage-\(getpid())-\(lane)"
        descriptor = Glibc.open(path, O_CREAT | O_TRUNC | O_WRONLY, 0o600)
        let state = State()
        self.state = state
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let state = Unmanaged<State>.fromOpaque(argument).takeRetainedValue()
                while !state.isOver.load(ordering: .relaxed) {
                    let began = state.began.load(ordering: .relaxed)
                    if began > 0, time(nil) - began > DamageWatch.secondsMax {
                        fatalError(
                            "the case of seed \(state.seed.load(ordering: .relaxed)) does not come to "
                                + "its end")
                    }
                    usleep(200_000)
                }
                return nil
            }, Unmanaged.passRetained(state).toOpaque())
        pthread_detach(thread)
    }

    deinit {
        state.isOver.store(true, ordering: .relaxed)
        close(descriptor)
        unlink(path)
    }

    func begin(_ seed: UInt64) {
        state.seed.store(seed, ordering: .relaxed)
        state.began.store(time(nil), ordering: .relaxed)
        let text = Array("\(seed)                    ".utf8.prefix(20)) + [UInt8(ascii: "\n")]
        _ = text.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
    }

    func end() { state.began.store(0, ordering: .relaxed) }
}
