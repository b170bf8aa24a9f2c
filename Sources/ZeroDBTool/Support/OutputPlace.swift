@preconcurrency import Glibc

/// Where a command may write a file.
enum OutputPlace {
    /// - Returns: why a file cannot be written for an environment; nil if it can, as far as its
    ///   place says.
    static func problem(_ path: String, _ environment: String) -> String? {
        let isIts = isInside(folder(of: path), environment) || isFile(path, of: environment)
        guard isIts else { return nil }
        return "\(path) is in the environment, in which nothing is written; choose another place"
    }

    private static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Whether a directory is that of the environment or of its log.
    private static func isInside(_ folder: String, _ environment: String) -> Bool {
        [environment, environment + "/log"].contains { isSame(folder, $0) }
    }

    /// Whether a path leads to a file of the environment, by a link.
    private static func isFile(_ path: String, of environment: String) -> Bool {
        ["data.zdb", "lock.zdb"].contains { isSame(path, environment + "/" + $0) }
    }

    private static func isSame(_ path: String, _ other: String) -> Bool {
        var first = stat()
        var second = stat()
        return stat(path, &first) == 0 && stat(other, &second) == 0
            && first.st_dev == second.st_dev && first.st_ino == second.st_ino
    }
}
