@preconcurrency import Glibc
import ZeroDB

/// A map of pages with so many cells that it fits.
struct PageMapCells {
    let columns: Int
    let pagesPerCell: Int
    private(set) var cells: [PageUse] = []

    init(_ map: PageMap, columns: Int, rows: Int) {
        self.columns = max(1, columns)
        let room = max(1, self.columns * max(1, rows))
        let count = map.uses.count
        pagesPerCell = max(1, (count + room - 1) / room)
        cells.reserveCapacity(count / pagesPerCell + 1)
        for start in stride(from: 0, to: count, by: pagesPerCell) {
            cells.append(
                Self.dominant(map.uses[start..<min(start + pagesPerCell, count)]))
        }
    }

    /// What a cell shows: damage, however little of it there is; otherwise what most pages are for.
    private static func dominant(_ uses: ArraySlice<PageUse>) -> PageUse {
        var counts = [Int](repeating: 0, count: PageUse.allCases.count)
        for use in uses { counts[Int(use.rawValue)] += 1 }
        for use in [PageUse.damaged, .unreached] where counts[Int(use.rawValue)] > 0 { return use }
        return PageUse.allCases.max { counts[Int($0.rawValue)] < counts[Int($1.rawValue)] }
            ?? .unreached
    }

    /// The map as text: a character a cell.
    ///
    /// - Parameter isColored: with commands to a terminal for colors.
    func lines(isColored: Bool) -> [String] {
        stride(from: 0, to: cells.count, by: columns).map { start in
            var line = ""
            var last: PageUse?
            for use in cells[start..<min(start + columns, cells.count)] {
                if isColored, use != last { line += "\u{1b}[\(use.colorCode)m" }
                last = use
                line += use.symbol
            }
            return isColored ? line + "\u{1b}[0m" : line
        }
    }
}

/// Where the text goes.
struct Terminal {
    var columns: Int
    /// Lines that a map may have.
    var mapRows: Int
    var isColored: Bool

    /// Standard output: a terminal, or something else, which gets lines of 64 characters.
    static var current: Terminal {
        guard isatty(STDOUT_FILENO) == 1 else {
            return Terminal(columns: 64, mapRows: 64, isColored: false)
        }
        var size = winsize()
        let isKnown = ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        let wantsColor =
            getenv("NO_COLOR") == nil
            && getenv("TERM").map { String(cString: $0) != "dumb" } ?? false
        return Terminal(
            columns: isKnown ? min(Int(size.ws_col), 1000) : 80,
            mapRows: isKnown && size.ws_row > 0 ? max(4, Int(size.ws_row) / 2) : 12,
            isColored: wantsColor)
    }
}

extension PageUse {
    /// One character, in the map.
    var symbol: String {
        switch self {
        case .unreached: "?"
        case .meta: "M"
        case .branch: "B"
        case .leaf: "L"
        case .valueLeaf: "V"
        case .overflow: "O"
        case .catalog: "C"
        case .freeTree: "F"
        case .available: "."
        case .waiting: ":"
        case .damaged: "!"
        case .behind: "-"
        }
    }

    /// Of a terminal's: letter and background.
    fileprivate var colorCode: String {
        switch self {
        case .unreached: "30;43"
        case .meta: "37;45"
        case .branch: "37;44"
        case .leaf: "30;42"
        case .valueLeaf: "30;102"
        case .overflow: "30;46"
        case .catalog, .freeTree: "37;45"
        case .available: "90;49"
        case .waiting: "33;49"
        case .damaged: "97;41"
        case .behind: "90;49"
        }
    }

    /// In a picture.
    var color: String {
        switch self {
        case .unreached: "#f0b429"
        case .meta: "#6b21a8"
        case .branch: "#1d4ed8"
        case .leaf: "#16a34a"
        case .valueLeaf: "#86c34a"
        case .overflow: "#0891b2"
        case .catalog: "#a21caf"
        case .freeTree: "#7c7f93"
        case .available: "#e5e7eb"
        case .waiting: "#fcd9a5"
        case .damaged: "#dc2626"
        case .behind: "#f8fafc"
        }
    }
}
