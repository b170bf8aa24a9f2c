@testable import ZeroDB

/// A sound environment to be damaged, with all that is known about it.
final class DamageSubject {
    let seed: UInt64
    let pageSize: Int
    let files: EnvironmentFiles
    /// What it held after each transaction.
    let models: [UInt64: EnvironmentModel]
    /// The transaction whose state an opening shows, after a replay if there is one.
    let newest: UInt64
    let layout: DataLayout
    let log: LogLayout
    /// Older versions of pages, by their numbers, the newest last.
    let versions: [Int: [[UInt8]]]
    /// The data file before the last commit, and before the last checkpoint.
    let imageBeforeCommit: [UInt8]
    let imageBeforeCheckpoint: [UInt8]
    /// All records that each meta page ever had.
    let metaRecords: [Set<[UInt8]>]

    /// - Throws: if the environment does not hold what it should, undamaged.
    init(seed: UInt64, pageSize: Int? = nil) throws {
        self.seed = seed
        let builder = try SubjectBuilder(seed: seed, pageSize: pageSize)
        try builder.run()
        self.pageSize = builder.pageSize
        files = try builder.finish()
        models = builder.models
        layout = DataLayout(files.data)
        log = LogLayout(files, layout)
        newest = log.tail.last { !$0.isMark }?.transaction ?? layout.transaction
        versions = builder.versions
        imageBeforeCommit = builder.imageBeforeCommit
        imageBeforeCheckpoint = builder.imageBeforeCheckpoint
        metaRecords = builder.metaRecords
        formerKeys = Self.formerKeys(builder.models, newest)
    }

    private static func formerKeys(
        _ models: [UInt64: EnvironmentModel], _ newest: UInt64
    ) -> [String: [[UInt8]]] {
        var former: [String: [[UInt8]]] = [:]
        for (transaction, model) in models.sorted(by: { $0.key > $1.key })
        where transaction != newest {
            for (name, entries) in model.databases {
                let now = models[newest]?.databases[name]
                guard now?.type.flags == entries.type.flags, former[name, default: []].count < 20
                else { continue }
                let gone = entries.lazy.map(\.key).filter { now?.contains($0) == false }
                former[name, default: []] += gone.prefix(5)
            }
        }
        return former
    }

    /// Holds the walk of the data file against what is known to be in it.
    ///
    /// - Throws: `DamageFailure`, if the walk is wrong or does not find all entries.
    func checkLayout() throws {
        guard let model = models[layout.transaction] else {
            throw DamageFailure("the data file has the state of transaction \(layout.transaction)")
        }
        for (name, entries) in model.databases {
            let found = layout.entries[name] ?? []
            guard found.count == entries.count else {
                throw DamageFailure(
                    "a walk finds \(found.count) of \(entries.count) entries of \"\(name)\"")
            }
            for (expected, entry) in zip(entries, found)
            where expected.key != entry.key
                || (entry.value != nil && expected.value != entry.value.map { .bytes($0) })
            {
                throw DamageFailure(
                    "a walk finds \(show(entry.key)) where \(show(expected.key)) is")
            }
        }
    }

    /// Some keys of each database that it had once, and may have still.
    let formerKeys: [String: [[UInt8]]]

    /// The newest state.
    var model: EnvironmentModel { models[newest] ?? EnvironmentModel() }

    var description: String {
        let databases = model.databases.sorted { $0.key < $1.key }
            .map { "\"\($0.key)\" (\($0.value.type)): \($0.value.count) entries" }
        return "an environment of \(layout.pageCount) pages of \(pageSize) bytes, "
            + "\(log.tail.count) records to replay; \(databases.joined(separator: ", "))"
    }
}

/// A database of a subject, and what is put into it.
struct SubjectDatabase {
    enum Keys: CaseIterable {
        case short
        case withCommonBeginning
        case long
    }

    enum Values: CaseIterable {
        case tiny
        /// Some ten to a page.
        case medium
        /// Some in overflow runs, where there are no duplicates.
        case large
    }

    /// Empty for the main database.
    let name: String
    let type: DatabaseType
    let keys: Keys
    let values: Values
    let keyCount: Int
    /// Whether a few keys get most of the values.
    let isHot: Bool
    let pageSize: Int

    init(_ name: String, pageSize: Int, _ random: inout SeededGenerator) {
        self.name = name
        self.pageSize = pageSize
        type = Self.type(&random)
        keys = random.chance(60) ? .short : random.pick(Keys.allCases)
        values = random.pick(Values.allCases)
        keyCount = random.pick([5, 40, 150, 150, 400])
        isHot = random.chance(60)
    }

    private static func type(_ random: inout SeededGenerator) -> DatabaseType {
        var type = DatabaseType()
        switch random.below(5) {
        case 0: type.flags.insert(.reverseKeys)
        case 1:
            type.flags.insert(.integerKeys)
            type.keyWidth = random.pick([4, 8])
        default: break
        }
        if random.chance(35) { type.flags.insert(.counted) }
        guard random.chance(50) else { return type }
        type.flags.insert(.duplicates)
        let isReversed = random.chance(25)
        if isReversed { type.flags.insert(.reverseDuplicates) }
        guard random.chance(55) else { return type }
        type.flags.insert(.fixedSizeDuplicates)
        type.valueWidth = random.pick([3, 8, 40, 200])
        if !isReversed, random.chance(40) {
            type.flags.insert(.integerDuplicates)
            type.valueWidth = random.pick([4, 8])
        }
        return type
    }

    func key(_ random: inout SeededGenerator) -> [UInt8] {
        let isCommon = type.hasDuplicates && isHot && random.chance(70)
        let number = random.below(isCommon ? 2 : keyCount)
        if type.keyWidth > 0 {
            return ModelOrder.bytes(of: UInt64(number * 977), width: type.keyWidth)
        }
        let text = Array("key \(number)".utf8)
        let longest = Format.keySizeMax(pageSize: pageSize)
        let dash = UInt8(ascii: "-")
        switch keys {
        case .short: return text
        case .withCommonBeginning:
            return Array(repeating: dash, count: 30 + number % 3) + text
        case .long:
            let count = number % 5 == 0 ? longest - text.count : number * 37 % 300
            let filler = Array(repeating: dash, count: count)
            return number % 2 == 0 ? filler + text : text + filler
        }
    }

    func value(_ random: inout SeededGenerator) -> ModelValue {
        if type.valueWidth > 0 {
            var bytes = random.bytes(type.valueWidth)
            // Some that differ in their last bytes only.
            if random.chance(30) {
                for index in 0..<(bytes.count / 2) { bytes[index] = 7 }
            }
            return .bytes(bytes)
        }
        if type.hasDuplicates {
            let longest = Format.keySizeMax(pageSize: pageSize)
            let count =
                values == .tiny || random.chance(70)
                ? random.below(30) : random.below(min(longest, 600) + 1)
            return .bytes(random.bytes(count))
        }
        var count = random.below(50)
        if values != .tiny, random.chance(60) { count = random.below(pageSize / 8) }
        if values == .large, random.chance(15) {
            count = random.within(pageSize / 2...3 * pageSize)
        }
        return .recipe(
            ValueRecipe(seed: UInt32(truncatingIfNeeded: random.next()), count: count))
    }
}
