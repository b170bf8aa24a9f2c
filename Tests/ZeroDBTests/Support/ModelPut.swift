@testable import Simulator
@testable import ZeroDB

/// The ways to put a pair.
enum ModelPut: CaseIterable {
    case overwrite
    case noOverwrite
    case append
    case noDuplicate
    case appendValue

    var mode: PutMode {
        switch self {
        case .overwrite: .overwrite
        case .noOverwrite: .noOverwrite
        case .append: .append
        case .noDuplicate: .noDuplicate
        case .appendValue: .appendValue
        }
    }

    /// What should come of it.
    enum Outcome: Equatable {
        case stored
        /// Nothing is put, as this value is there.
        case exists(ModelValue)
        case notSorted

        init(_ put: ModelPut, _ key: [UInt8], _ value: ModelValue, _ model: ReferenceModel) {
            switch put {
            case .overwrite: self = .stored
            case .noOverwrite: self = model.value(for: key).map { .exists($0) } ?? .stored
            case .append:
                let isAfter = model.last.map { model.compareKeys(key, $0.key) > 0 } ?? true
                self = isAfter ? .stored : .notSorted
            case .noDuplicate:
                let isThere = model.type.hasDuplicates && model.find(key, value) != nil
                self = isThere ? .exists(value) : .stored
            case .appendValue:
                let isAfter =
                    !model.type.hasDuplicates
                    || model.values(of: key).last.map { model.compareValues(value, $0) > 0 } ?? true
                self = isAfter ? .stored : .notSorted
            }
        }
    }
}

extension ModelTest {
    /// Runs a put and compares what comes of it.
    ///
    /// - Parameter body: returns the value that is there already.
    func expect(
        _ outcome: ModelPut.Outcome, _ what: @autoclosure () -> String,
        _ body: () throws(DatabaseError) -> [UInt8]?
    ) throws {
        let existing: [UInt8]?
        do throws(DatabaseError) {
            existing = try body()
        } catch {
            try expect(
                error.code == .notSorted && outcome == .notSorted, "\(what()): \(error)")
            return
        }
        switch outcome {
        case .notSorted: throw failure("\(what()) succeeded, expected notSorted")
        case .exists(let old):
            try expect(
                existing.map { found in found.withUnsafeBytes { old.matches($0) } } == true,
                "\(what()) returned \(show(existing)), expected \(show(old.bytes))")
        case .stored: try expect(existing == nil, "\(what()) returned \(show(existing))")
        }
    }
}
