@testable import ZeroDB

/// The ways to put a pair.
enum PairPut: CaseIterable {
    case overwrite
    case noOverwrite
    case append
    case noPair
    case appendValue

    var mode: PutMode {
        switch self {
        case .overwrite: .overwrite
        case .noOverwrite: .noOverwrite
        case .append: .append
        case .noDuplicate: .noPair
        case .appendValue: .appendValue
        }
    }

    /// What should come of it.
    enum Outcome: Equatable {
        case stored
        /// Nothing is put, as this value is there.
        case exists([UInt8])
        case notSorted

        init(_ put: PairPut, _ key: [UInt8], _ value: [UInt8], _ model: PairModel) {
            let values = model.values(of: key)
            switch put {
            case .overwrite: self = .stored
            case .noOverwrite: self = values.first.map { .exists($0) } ?? .stored
            case .append:
                let isAfter = model.last.map { model.compareKeys(key, $0.key) > 0 } ?? true
                self = isAfter ? .stored : .notSorted
            case .noDuplicate:
                let isThere = model.kind.hasDuplicates && values.contains(value)
                self = isThere ? .exists(value) : .stored
            case .appendValue:
                let isAfter =
                    !model.kind.hasDuplicates
                    || values.last.map { model.compareValues(value, $0) > 0 } ?? true
                self = isAfter ? .stored : .notSorted
            }
        }
    }
}
