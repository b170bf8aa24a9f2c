import Glibc

@testable import ZeroDB

/// Runs the programs of several simulated processes in an order that is chosen call by call: one goes on
/// while the others stand before their next call of the seam.
final class ProcessSchedule: @unchecked Sendable {
    /// What is asked before each call.
    struct Decision {
        /// The process that is about to make the call.
        var process: Int
        var call: SeamCall
        var name: String
        /// Calls before this one, of all processes.
        var number: Int
        /// The others that could go on in its place.
        var others: [Int]
    }

    enum Choice {
        case goOn
        /// Another process steps first. This one is asked again before its call.
        case letStep(Int)
        /// The call fails, or its process dies.
        case interfere(Trap)
    }

    /// Chooses what happens next. Runs on the thread of the process that is asked.
    private let choose: (Decision) -> Choice
    private let disk: SimulatedDisk
    private let mutex = Mutex()
    private let changed = Condition()
    // All below under `mutex`, or by the process whose turn it is.
    private var turn = 0
    private var isFinished: [Bool] = []
    /// Processes that wait for another to do something.
    private var isWaiting: [Bool] = []
    /// The last call of a process, if no other process has stepped since.
    private var lastCall: [String] = []
    /// Calls of a process since the last that was no look at a lock.
    private var polls: [Int] = []
    /// Looks at locks, one after the other, after which a process is taken to wait for another.
    private static let pollsMax = 16
    private(set) var calls = 0
    /// What no order may lead to: a deadlock, or a wait without an end.
    private(set) var problem: String?
    /// Calls after which two processes are taken to wait for each other forever.
    private static let callsMax = 20_000

    /// - Parameter disk: the one that the processes share.
    init(on disk: SimulatedDisk, choose: @escaping (Decision) -> Choice) {
        self.disk = disk
        self.choose = choose
    }

    /// Runs the program of each process to its end. The first begins.
    func run(_ programs: [@Sendable () -> Void]) {
        turn = 0
        isFinished = programs.map { _ in false }
        isWaiting = isFinished
        lastCall = programs.map { _ in "" }
        polls = programs.map { _ in 0 }
        _ = runOnThreads(programs.count) { process in
            self.awaitTurn(process)
            programs[process]()
            self.finish(process)
        }
    }

    private func awaitTurn(_ process: Int) {
        mutex.lock()
        while turn != process { changed.wait(with: mutex) }
        mutex.unlock()
    }

    private func giveTurn(to process: Int) {
        mutex.lock()
        turn = process
        changed.broadcast()
        mutex.unlock()
    }

    private func others(than process: Int, evenWaiting: Bool = false) -> [Int] {
        isFinished.indices.filter {
            $0 != process && !isFinished[$0] && (evenWaiting || !isWaiting[$0])
        }
    }

    private func finish(_ process: Int) {
        isFinished[process] = true
        noteStep(process)
        if let next = others(than: process).first { giveTurn(to: next) }
    }

    /// What a process has done may be what others wait for.
    private func noteStep(_ process: Int) {
        for other in isWaiting.indices where other != process {
            isWaiting[other] = false
            lastCall[other] = ""
        }
    }

    private func switchTo(_ next: Int, from process: Int) {
        giveTurn(to: next)
        awaitTurn(process)
    }

    /// Ends what cannot go on: all calls from now on fail, as in dead processes.
    private func giveUp(_ problem: String) {
        self.problem = self.problem ?? problem
        for process in isFinished.indices { disk.kill(process) }
    }

    /// Stands before a call until it is this process's turn to make it.
    ///
    /// - Parameter place: tells the call from others of its kind, to know a poll.
    func beforeCall(_ process: Int, _ call: SeamCall, _ name: String, _ place: UInt64) {
        guard problem == nil else { return }
        let description = "\(call) \(name) \(place)"
        let isPoll = call == .lock || call == .isLocked
        polls[process] = isPoll ? polls[process] + 1 : 0
        if isPoll, lastCall[process] == description { waitForOthers(process) }
        if polls[process] > Self.pollsMax, let next = others(than: process).first {
            polls[process] = 0
            switchTo(next, from: process)
        }
        calls += 1
        if calls > Self.callsMax { return giveUp("the processes go on forever") }
        var trap: Trap?
        asking: while problem == nil {
            let decision = Decision(
                process: process, call: call, name: name, number: calls,
                others: others(than: process))
            switch choose(decision) {
            case .goOn: break asking
            case .letStep(let other):
                guard decision.others.contains(other) else { break asking }
                switchTo(other, from: process)
            case .interfere(let chosen):
                trap = chosen
                break asking
            }
        }
        lastCall[process] = description
        disk.arm(trap)
        noteStep(process)
    }

    /// Lets others step, as this process cannot go on before they do.
    func waitForOthers(_ process: Int) {
        guard problem == nil, !disk.isDead(process) else { return }
        isWaiting[process] = true
        guard let next = others(than: process).first else {
            // Alone, it may only be a call that is made twice.
            if others(than: process, evenWaiting: true).isEmpty {
                isWaiting[process] = false
                return
            }
            return giveUp("the processes wait for each other")
        }
        switchTo(next, from: process)
        isWaiting[process] = false
    }
}
