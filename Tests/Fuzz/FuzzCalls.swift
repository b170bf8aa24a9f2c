import CZeroDB
import Glibc

/// Makes the calls of `zerodb.h` that the input says, with the library's own files below `/dev/shm`, and
/// compares what they return with models.
private struct FuzzCalls {
    private let directory: String
    private let secondThread = CallThread()

    init() {
        let parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
        directory = "\(parent)/zerodb-fuzz-\(getpid())"
        mkdir(directory, 0o700)
    }

    func run(_ start: UnsafePointer<UInt8>?, _ count: Int) {
        CallProgram(FuzzInput(start, count), in: directory, secondThread).run()
        for number in 0..<3 { remove("\(directory)/\(number)") }
    }

    private func remove(_ path: String) {
        for part in ["log", ""] {
            let directory = part.isEmpty ? path : "\(path)/\(part)"
            guard let stream = opendir(directory) else { continue }
            while let entry = readdir(stream) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                unlink("\(directory)/\(name)")
            }
            closedir(stream)
            rmdir(directory)
        }
    }
}

private let target = FuzzCalls()

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    target.run(start, count)
    return 0
}

private let suppressions: StaticString = "leak:StoreState\nleak:DatabaseNames"

/// What LeakSanitizer asks for at its start. A thread may still look at the state of an environment whose
/// readers were ended by its closing, so that state is never used again, nor are its names given back.
@_cdecl("__lsan_default_suppressions")
public func leakSuppressions() -> UnsafePointer<CChar> {
    UnsafeRawPointer(suppressions.utf8Start).assumingMemoryBound(to: CChar.self)
}
