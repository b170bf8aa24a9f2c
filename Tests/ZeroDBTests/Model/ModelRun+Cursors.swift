@testable import Simulator
@testable import ZeroDB

extension ModelRun {
    private enum Action: CaseIterable {
        case first
        case last
        case next
        case previous
        case current
        case seek
        case seekAtOrAfter
        case put
        case putNew
        case replace
        case delete
    }

    /// One use of one of a few cursors that stay open through the transaction's other writes.
    func useCursor(
        _ database: Int, _ transaction: borrowing WriteTransaction, _ handle: Database,
        _ model: inout ReferenceModel, _ cursors: inout [ModelCursor]
    ) throws {
        if cursors.count < 6, random.chance(20) {
            cursors.append(ModelCursor(transaction.access.claim, database, handle))
        }
        let candidates = cursors.filter { $0.database == database }
        guard !candidates.isEmpty else { return }
        let cursor = random.pick(candidates)
        let steps: [Action] = [.next, .next, .next, .previous, .previous, .previous]
        let action = random.chance(50) ? random.pick(steps) : random.pick(Action.allCases)
        switch action {
        case .first: try move(cursor, .first, model)
        case .last: try move(cursor, .last, model)
        case .next: try move(cursor, .next, model)
        case .previous: try move(cursor, .previous, model)
        case .current: try move(cursor, .current, model)
        case .seek, .seekAtOrAfter:
            let key = someKey(database, model, known: 60)
            try seek(cursor, key, exact: action == .seek, model)
        case .put, .putNew:
            let key = someKey(database, model, known: 50)
            let value = ModelValue.recipe(random.valueRecipe(pageSize: scenario.pageSize))
            try put(cursor, action == .putNew ? .noOverwrite : .overwrite, key, value, &model)
        case .replace:
            let recipe = random.valueRecipe(pageSize: scenario.pageSize)
            try replace(cursor, .recipe(recipe), &model)
        case .delete: try delete(cursor, allValues: false, &model)
        }
    }
}
