@testable import Simulator
@testable import ZeroDB

extension ModelRun {
    private struct TakenBack: Error {}

    /// A transaction nested in another, which commits or aborts.
    func runNested(
        _ operations: Int, _ transaction: inout WriteTransaction, _ draft: inout Databases,
        depth: Int
    ) throws {
        nestedMost = max(nestedMost, depth)
        var inner = draft
        let isKept = random.chance(60)
        let size = random.chance(90) ? min(operations, random.within(0...40)) : operations
        do {
            try transaction.nested { nested throws in
                try makeChanges(size, &nested, &inner, depth: depth)
                if !isKept { throw TakenBack() }
            }
            draft = inner
        } catch is TakenBack {}
    }
}
