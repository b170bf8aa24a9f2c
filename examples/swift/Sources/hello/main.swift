// The smallest complete program: open an environment, put, get, walk, close.
//
//     swift run --package-path examples/swift
//
// SPDX-License-Identifier: Apache-2.0
import Glibc
import ZeroDB

func text(_ bytes: RawSpan) -> String {
    bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
}

do {
    // Default options. The directory is created if it is not there.
    let environment = try Environment(path: "hello.zdb")

    // Commits when the body returns, and is on disk then; an error aborts.
    try environment.write { transaction in
        let people = try transaction.createDatabase("people")
        try transaction.put("ada", "1815", in: people)
        try transaction.put("grace", "1906", in: people)
    }

    try environment.read { transaction in
        let people = try transaction.database("people")
        // `born` points into the database; the compiler keeps it inside the transaction.
        if let born = try transaction.value(for: "ada", in: people) {
            print("ada was born in", text(born))
        }
        var cursor = try transaction.cursor(in: people)
        while let entry = try cursor.next() {
            print(text(entry.key), text(entry.value))
        }
    }

    try environment.close()
} catch {
    print("hello: \(error)")
    exit(1)
}
