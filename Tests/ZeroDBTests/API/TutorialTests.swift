// The code of the articles in Sources/ZeroDB/ZeroDB.docc, as a program sees the library. What is
// between `snippet-begin: Article` and `snippet-end` is the article's next block of Swift, word
// for word; the suite "The articles' code" compares them.
import Testing
import ZeroDB

@Suite("The code of the articles does what they say")
struct TutorialTests {
    private let directory: TemporaryDirectory
    private var path: String { directory.path }

    init() throws { directory = try TemporaryDirectory() }

    /// What the articles' code has printed.
    private final class Output {
        var lines: [String] = []
    }

    private let output = Output()

    /// In place of the standard library's, so that what is printed can be looked at.
    private func print(_ items: Any...) {
        output.lines.append(items.map { "\($0)" }.joined(separator: " "))
    }

    /// What has been printed since the last call.
    private func printed() -> [String] {
        defer { output.lines = [] }
        return output.lines
    }

    // snippet-begin: KeepingContacts
    func text(_ bytes: RawSpan) -> String {
        bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    }
    // snippet-end

    @Test("Keeping contacts")
    func keepsContacts() throws {
        // snippet-begin: KeepingContacts
        let environment = try Environment(path: path)
        // snippet-end

        // snippet-begin: KeepingContacts
        try environment.write { transaction in
            let people = try transaction.createDatabase("people", flags: .counted)
            try transaction.put("ada", "Ada Lovelace", in: people)
            try transaction.put("alan", "Alan Turing", in: people)
            try transaction.put("edsger", "Edsger Dijkstra", in: people)
            try transaction.put("grace", "Grace Hopper", in: people)
            try transaction.put("tony", "Tony Hoare", in: people)
        }
        // snippet-end

        // snippet-begin: KeepingContacts
        try environment.read { transaction in
            let people = try transaction.database("people")
            if let name = try transaction.value(for: "ada", in: people) {
                print(text(name))
            }
            print(try transaction.contains("donald", in: people))
        }
        // snippet-end
        #expect(printed() == ["Ada Lovelace", "false"])

        // snippet-begin: KeepingContacts
        try environment.read { transaction in
            let people = try transaction.database("people")
            var entries = try transaction.entries(KeyRange(from: "a", to: "b"), in: people)
            while let entry = try entries.next() {
                print(text(entry.key), "is", text(entry.value))
            }
            var backwards = try transaction.entries(in: people, reversed: true)
            while let entry = try backwards.next() {
                print(text(entry.key))
            }
        }
        // snippet-end
        #expect(
            printed() == [
                "ada is Ada Lovelace", "alan is Alan Turing",
                "tony", "grace", "edsger", "alan", "ada",
            ])

        // snippet-begin: KeepingContacts
        let phones = try environment.write { transaction in
            let phones = try transaction.createDatabase("phones", flags: .duplicates)
            try transaction.put("ada", "+44 20 7946 0002", in: phones)
            try transaction.put("ada", "+44 20 7946 0001", in: phones)
            try transaction.put("grace", "+1 202 555 0143", in: phones)
            return phones
        }
        try environment.read { transaction in
            for number in try transaction.values(for: "ada", in: phones) {
                print(String(decoding: number, as: UTF8.self))
            }
            var cursor = try transaction.cursor(in: phones)
            while try cursor.nextKey() != nil {
                let count = try cursor.valueCount()
                if let entry = try cursor.current() {
                    print(text(entry.key), "has", count)
                }
            }
        }
        // snippet-end
        #expect(
            printed() == ["+44 20 7946 0001", "+44 20 7946 0002", "ada has 2", "grace has 1"])

        // snippet-begin: KeepingContacts
        try environment.write { transaction in
            try transaction.deletePair("ada", "+44 20 7946 0002", in: phones)
        }
        // snippet-end

        // snippet-begin: KeepingContacts
        try environment.read { transaction in
            let people = try transaction.database("people")
            print(try transaction.rank(of: "grace", in: people), "come before grace")
            var cursor = try transaction.cursor(in: people)
            if let entry = try cursor.seek(toRank: 2) {
                print("the third is", text(entry.key))
            }
            for part in try transaction.split(into: 2, in: people) {
                print("a part of", try transaction.count(part, in: people))
            }
        }
        // snippet-end
        #expect(
            printed() == [
                "3 come before grace", "the third is edsger", "a part of 2", "a part of 3",
            ])

        // snippet-begin: KeepingContacts
        struct SecondThoughts: Error {}
        // snippet-end

        // snippet-begin: KeepingContacts
        try environment.write { transaction in
            let people = try transaction.database("people")
            try transaction.put("barbara", "Barbara Liskov", in: people)
            do {
                try transaction.nested { attempt in
                    try attempt.delete(KeyRange.all, in: phones)
                    throw SecondThoughts()
                }
            } catch is SecondThoughts {
                print(try transaction.count(in: phones), "numbers are still there")
            }
        }
        // snippet-end
        #expect(printed() == ["2 numbers are still there"])

        // snippet-begin: KeepingContacts
        do throws(DatabaseError) {
            let transaction = try environment.beginRead()
            _ = try transaction.database("letters")
        } catch {
            print(error.code == .notFound, error.message)
        }
        // snippet-end
        #expect(printed().first?.hasPrefix("true") == true)

        // snippet-begin: KeepingContacts
        let report = try environment.verify()
        print(report.entries, "entries,", report.problems, "problems")
        try environment.close()
        // snippet-end
        #expect(printed() == ["8 entries, 0 problems"])
    }

    @Test("Transactions and lifetimes")
    func showsLifetimes() throws {
        let environment = try Environment(path: path)

        // snippet-begin: TransactionsAndLifetimes
        try environment.write { transaction in
            try transaction.put("visits", "1")
        }
        let visits = try environment.read { transaction in
            try transaction.get("visits")
        }
        // snippet-end
        #expect(visits == Array("1".utf8))

        // snippet-begin: TransactionsAndLifetimes
        var writer = try environment.beginWrite(durability: .relaxed)
        let reader = try environment.beginRead()
        try writer.put("visits", "2")
        try writer.commit()
        print(try reader.get("visits") == Array("1".utf8))
        // snippet-end
        #expect(printed() == ["true"])

        // snippet-begin: TransactionsAndLifetimes
        try environment.write { transaction in
            var length = 0
            if let value = try transaction.value(for: "visits") {
                length = value.byteCount
            }
            try transaction.put("length", "\(length)")
        }
        // snippet-end
        #expect(try environment.read { try $0.get("length") } == Array("1".utf8))
    }

    @Test("The first example")
    func showsFirstExample() throws {
        // snippet-begin: ZeroDB
        let environment = try Environment(path: path)
        try environment.write { transaction in
            try transaction.put("greeting", "hello, world")
        }
        try environment.read { transaction in
            if let greeting = try transaction.value(for: "greeting") {
                print(greeting.byteCount)
            }
        }
        // snippet-end
        #expect(printed() == ["12"])
    }
}
