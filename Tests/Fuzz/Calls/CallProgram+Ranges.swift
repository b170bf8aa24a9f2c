import CZeroDB

@testable import ZeroDB

/// Ranges of keys, and ranks.
extension CallProgram {
    private func pickEnd(_ target: Target) -> CallBytes {
        input.byte() % 4 == 0
            ? CallBytes([], fault: .missing) : pickKey(target.model, max: target.keyMax)
    }

    /// The errors of a range's ends.
    private func rangeErrors(_ target: Target, _ ends: [CallBytes]) -> Set<Int32> {
        var errors = target.errors
        for end in ends where end.fault != .missing {
            errors.formUnion(
                target.model?.errors(ofKey: end, max: target.keyMax) ?? end.unknownErrors)
        }
        let given = ends.filter { $0.fault == nil }
        let isOfIntegers = target.model?.type.flags.contains(.integerKeys) == true
        if isOfIntegers, given.count == 2, given[0].bytes.count != given[1].bytes.count {
            errors.insert(ZDB_BAD_VALSIZE)
        }
        return errors
    }

    func ranges() {
        var target = pickTarget()
        let from = pickEnd(target)
        let to = pickEnd(target)
        let isDeletion = input.byte() % 2 == 0
        if isDeletion { target.write() }
        let errors = rangeErrors(target, [from, to])
        var count: UInt64 = 99
        let code = from.with { from in
            to.with { to in
                call(
                    isDeletion ? "zdb_del_range" : "zdb_count_range", errors,
                    or: isDeletion ? limits(target) : []
                ) {
                    isDeletion
                        ? zdb_del_range(target.handle, target.database, from, to, &count)
                        : zdb_count_range(target.handle, target.database, from, to, &count)
                }
            }
        }
        if isDeletion { note(code, of: target.transaction) }
        guard code == ZDB_OK, var model = target.model else { return }
        let first = from.fault == .missing ? nil : from.bytes
        let last = to.fault == .missing ? nil : to.bytes
        let range = model.range(from: first, to: last)
        let expected = model.distance(from: range.lowerBound, to: range.upperBound)
        check(count == expected, "a range has \(count) entries of \(expected)")
        guard isDeletion else { return }
        model.deleteRange(from: first, to: last)
        target.store(model)
    }

    func ranks() {
        let target = pickTarget()
        guard input.byte() % 4 != 0 else { return splitRange(target) }
        let key = pickKey(target.model, max: target.keyMax)
        var errors = target.errors.union(
            target.model?.errors(ofKey: key, max: target.keyMax) ?? key.unknownErrors)
        if let model = target.model, !model.type.isCounted { errors.insert(ZDB_INCOMPATIBLE) }
        let isThere = errors.isEmpty && target.model?.contains(key.bytes) == true
        let isAnswered = errors.isEmpty
        if isAnswered, !isThere { errors = [ZDB_NOT_FOUND] }
        var rank: UInt64 = 99
        key.with { key in
            _ = call("zdb_rank", errors) { zdb_rank(target.handle, target.database, key, &rank) }
        }
        guard isAnswered, let model = target.model else { return }
        check(rank == model.rank(key.bytes), "zdb_rank says \(rank), not \(model.rank(key.bytes))")
    }

    private func splitRange(_ target: Target) {
        let from = pickEnd(target)
        let to = pickEnd(target)
        let parts = [1, 2, 3, 7, 64, 1 << 20, 0, (1 << 20) + 1][input.below(8)]
        var errors = rangeErrors(target, [from, to])
        if let model = target.model, !model.type.isCounted { errors.insert(ZDB_INCOMPATIBLE) }
        if parts == 0 || parts > 1 << 20 { errors.insert(ZDB_BAD_ARGUMENT) }
        // A million searches take their time.
        if parts == 1 << 20, (target.model?.count ?? 0) > 0 { return }
        var count = 0
        let code = from.with { from in
            to.with { to in
                call("zdb_split_range", errors) {
                    zdb_split_range(
                        target.handle, target.database, from, to, UInt32(parts),
                        { context, _ in
                            context?.assumingMemoryBound(to: Int.self).pointee += 1
                            return 0
                        }, &count)
                }
            }
        }
        check(code != ZDB_OK || count < parts, "\(parts) parts have \(count) borders")
    }
}
