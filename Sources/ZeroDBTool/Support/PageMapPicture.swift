@preconcurrency import Glibc
import ZeroDB

/// A map of pages as an SVG file.
struct PageMapPicture {
    private let map: PageMap

    private static let columns = 128
    private static let rows = 128
    private static let cell = 6
    private static let margin = 12
    private static let lineHeight = 18

    init(_ map: PageMap) { self.map = map }

    /// Writes it to a file. One that is there is replaced if it is a picture of this format.
    ///
    /// - Returns: what is wrong; nil if it is written.
    func write(to path: String, _ environment: String) -> String? {
        if let problem = OutputPlace.problem(path, environment) { return problem }
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o666)
        guard descriptor >= 0 else {
            return "cannot write \(path): \(String(cString: strerror(errno)))"
        }
        defer { close(descriptor) }
        guard Self.isPicture(descriptor) else {
            return "\(path) is there and is no SVG file; remove it, or choose another name"
        }
        var bytes = Array(text(environment).utf8)[...]
        guard ftruncate(descriptor, 0) == 0, lseek(descriptor, 0, SEEK_SET) == 0 else {
            return "cannot write \(path): \(String(cString: strerror(errno)))"
        }
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                return "cannot write \(path): \(String(cString: strerror(errno)))"
            }
            bytes = bytes.dropFirst(count)
        }
        return nil
    }

    /// Whether a file is empty or begins as these pictures do.
    private static func isPicture(_ descriptor: Int32) -> Bool {
        let start = Array("<svg".utf8)
        var bytes = [UInt8](repeating: 0, count: start.count)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        return count == 0 || bytes == start
    }

    // MARK: SVG

    private func text(_ environment: String) -> String {
        let cells = PageMapCells(map, columns: Self.columns, rows: Self.rows)
        let uses = PageUse.allCases.filter { map.count($0) > 0 }
        let lines = (cells.cells.count + Self.columns - 1) / Self.columns
        let mapTop = Self.margin + 2 * Self.lineHeight
        let legendTop = mapTop + lines * Self.cell + Self.lineHeight
        let width = 2 * Self.margin + Self.columns * Self.cell
        let height = legendTop + uses.count * Self.lineHeight + Self.margin
        var svg = """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(height)" \
            viewBox="0 0 \(width) \(height)" font-family="sans-serif" font-size="12">
            <title>Pages of \(Self.escaped(environment))</title>
            <rect width="100%" height="100%" fill="#ffffff"/>
            <text x="\(Self.margin)" y="\(Self.margin + 12)">\(Self.escaped(environment)): \
            \(map.filePages) pages of \(map.pageSize) bytes, transaction \(map.transaction), \
            \(cells.pagesPerCell) to a square</text>

            """
        for run in Self.runs(cells) {
            svg += rectangle(
                x: Self.margin + run.column * Self.cell, y: mapTop + run.row * Self.cell,
                width: run.count * Self.cell - 1, height: Self.cell - 1, run.use)
        }
        for (index, use) in uses.enumerated() {
            let y = legendTop + index * Self.lineHeight
            svg += rectangle(x: Self.margin, y: y, width: 12, height: 12, use)
            svg +=
                "<text x=\"\(Self.margin + 20)\" y=\"\(y + 11)\">\(Self.escaped(use.title)): "
                + "\(map.count(use))</text>\n"
        }
        return svg + "</svg>\n"
    }

    private func rectangle(x: Int, y: Int, width: Int, height: Int, _ use: PageUse) -> String {
        "<rect x=\"\(x)\" y=\"\(y)\" width=\"\(width)\" height=\"\(height)\" fill=\"\(use.color)\"/>\n"
    }

    private typealias Run = (row: Int, column: Int, count: Int, use: PageUse)

    /// Cells of one use beside each other.
    private static func runs(_ cells: PageMapCells) -> [Run] {
        var runs: [Run] = []
        for (index, use) in cells.cells.enumerated() {
            let (row, column) = index.quotientAndRemainder(dividingBy: columns)
            if let last = runs.last, last.row == row, last.use == use {
                runs[runs.count - 1].count += 1
            } else {
                runs.append((row, column, 1, use))
            }
        }
        return runs
    }

    private static func escaped(_ text: String) -> String {
        var shown = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "<": shown += "&lt;"
            case ">": shown += "&gt;"
            case "&": shown += "&amp;"
            default:
                shown +=
                    scalar.properties.generalCategory == .control ? "\u{fffd}" : String(scalar)
            }
        }
        return shown
    }
}
