import Glibc
import Testing

/// Compares the blocks of Swift in the articles with the code that `TutorialTests` runs.
@Suite("The articles' code")
struct ArticleTests {
    private static let root = String(
        #filePath.dropLast("Tests/ZeroDBTests/API/ArticleTests.swift".count))
    private static let catalog = root + "Sources/ZeroDB/ZeroDB.docc/"

    private static func lines(of path: String) throws -> [String] {
        let file = try #require(fopen(path, "r"), "\(path) cannot be read")
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 {
            bytes += buffer[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
            .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    /// The names of the articles, without their extension.
    private static func articles() throws -> [String] {
        let directory = try #require(opendir(catalog), "\(catalog) cannot be read")
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasSuffix(".md") { names.append(String(name.dropLast(3))) }
        }
        return names
    }

    /// The blocks of Swift in an article.
    private static func blocks(of article: String) throws -> [[String]] {
        var blocks: [[String]] = []
        var block: [String]?
        for line in try lines(of: catalog + article + ".md") {
            if let open = block {
                if line == "```" {
                    blocks.append(open)
                    block = nil
                } else {
                    block?.append(line)
                }
            } else if line == "```swift" {
                block = []
            }
        }
        #expect(block == nil, "a block of \(article) has no end")
        return blocks
    }

    /// The marked pieces of `TutorialTests` by article, as they stand in an article: not indented.
    private static func snippets() throws -> [String: [[String]]] {
        var snippets: [String: [[String]]] = [:]
        var open: (article: String, indentation: Int, lines: [String])?
        for line in try lines(of: root + "Tests/ZeroDBTests/API/TutorialTests.swift") {
            let text = line.drop { $0 == " " }
            if text.hasPrefix("// snippet-begin: ") {
                #expect(open == nil, "a snippet begins in another")
                open = (
                    String(text.dropFirst("// snippet-begin: ".count)), line.count - text.count, []
                )
            } else if text == "// snippet-end" {
                let snippet = try #require(open, "a snippet ends that did not begin")
                snippets[snippet.article, default: []].append(snippet.lines)
                open = nil
            } else if let indentation = open?.indentation {
                open?.lines.append(String(line.dropFirst(indentation)))
            }
        }
        #expect(open == nil, "the last snippet has no end")
        return snippets
    }

    @Test("Each block of Swift in an article is a snippet that the tests run, and vice versa")
    func isRun() throws {
        let snippets = try Self.snippets()
        let articles = try Self.articles()
        for article in articles {
            let blocks = try Self.blocks(of: article)
            let run = snippets[article, default: []]
            #expect(blocks.count == run.count, "\(article).md")
            for (block, snippet) in zip(blocks, run) {
                #expect(
                    block == snippet,
                    "\(article).md and TutorialTests.swift differ; make them the same again")
            }
        }
        #expect(Set(snippets.keys).isSubset(of: articles))
        #expect(snippets["KeepingContacts", default: []].count > 5)
    }
}
