@testable import Simulator
@testable import ZeroDB

extension DatabaseType {
    /// Keys and values in every order, one value a key.
    static let single = [
        DatabaseType(), DatabaseType(.reverseKeys), DatabaseType(.integerKeys, keyWidth: 4),
        DatabaseType(.integerKeys, keyWidth: 8), DatabaseType(.counted),
        DatabaseType([.counted, .reverseKeys]),
        DatabaseType([.counted, .integerKeys], keyWidth: 8),
    ]

    /// The same with several.
    static let several: [DatabaseType] = {
        let fixed: DatabaseFlags = [.duplicates, .fixedSizeDuplicates]
        return [
            DatabaseType(.duplicates),
            DatabaseType([.duplicates, .reverseDuplicates, .reverseKeys]),
            DatabaseType(fixed, valueWidth: 3),
            DatabaseType(fixed, valueWidth: 200),
            DatabaseType(
                fixed.union([.reverseDuplicates, .integerKeys]), keyWidth: 4, valueWidth: 9),
            DatabaseType(fixed.union(.integerDuplicates), valueWidth: 4),
            DatabaseType(
                fixed.union([.integerDuplicates, .integerKeys]), keyWidth: 8, valueWidth: 8),
        ]
    }()

    static let severalCounted = several.map {
        DatabaseType($0.flags.union(.counted), keyWidth: $0.keyWidth, valueWidth: $0.valueWidth)
    }
}
