import Glibc

@testable import ZeroDB

/// Reserves address space that holds no memory and may not be touched yet.
private func reserve(_ length: Int, _ flags: Int32, _ descriptor: Int32) -> UnsafeMutableRawPointer
{
    let address = mmap(nil, length, PROT_NONE, flags | Int32(MAP_NORESERVE), descriptor, 0)
    guard let address, address != MAP_FAILED else {
        fatalError("a simulated file gets no address space: \(SystemCall.describe(errno))")
    }
    return address
}

/// A file without a name, which lives in memory.
private func makeAnonymousFile(_ length: Int) -> Int32 {
    // The C library's header that declares it is hidden from Swift.
    typealias Create = @convention(c) (UnsafePointer<CChar>, UInt32) -> Int32
    guard let symbol = dlsym(nil, "memfd_create") else {
        fatalError("the C library has no memfd_create")
    }
    let descriptor = unsafeBitCast(symbol, to: Create.self)("simulated file", 0)
    guard descriptor >= 0, ftruncate(descriptor, off_t(length)) == 0 else {
        fatalError("a simulated file cannot be made: \(SystemCall.describe(errno))")
    }
    return descriptor
}

/// A file's bytes as the programs of a simulated machine see them, flushed or not.
///
/// A map of the file is this memory itself. What lies past the file's end may not be touched, as
/// with real files: an access there ends the process. The disk's lock guards `size`.
final class SimulatedMemory: @unchecked Sendable {
    /// Address space of one file; no map of it may be longer.
    static let capacity = 1 << 30

    let base: UnsafeMutableRawPointer
    private(set) var size = 0

    init() { base = reserve(Self.capacity, MAP_PRIVATE | Int32(MAP_ANONYMOUS), -1) }

    /// Memory that has a file's durable bytes and shares those that are not changed.
    init(_ durable: DurableBytes) {
        base = reserve(Self.capacity, MAP_PRIVATE, durable.descriptor)
        resize(to: durable.size)
    }

    deinit { munmap(base, Self.capacity) }

    private static func roundUp(_ size: Int) -> Int { (size + 4095) / 4096 * 4096 }

    /// Makes the file longer by zeros, or shorter.
    func resize(to new: Int) {
        precondition(new <= Self.capacity, "a simulated file has grown too large")
        let oldEnd = Self.roundUp(size)
        let newEnd = Self.roundUp(new)
        // What is cut off must read as zeros if the file grows again.
        if new < size { memset(base + new, 0, size - new) }
        if newEnd > oldEnd {
            mprotect(base + oldEnd, newEnd - oldEnd, PROT_READ | PROT_WRITE)
        } else if newEnd < oldEnd {
            mprotect(base + newEnd, oldEnd - newEnd, PROT_NONE)
        }
        size = new
    }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: size) }

    /// Makes these the file's bytes.
    func store(_ bytes: [UInt8]) {
        resize(to: bytes.count)
        bytes.withUnsafeBytes { bytes in
            if let start = bytes.baseAddress { memcpy(base, start, bytes.count) }
        }
    }
}

/// A file's bytes on the medium: what a power cut leaves at least.
final class DurableBytes {
    let descriptor: Int32
    private let base: UnsafeMutableRawPointer
    private(set) var size = 0

    init() {
        descriptor = makeAnonymousFile(SimulatedMemory.capacity)
        base = reserve(SimulatedMemory.capacity, MAP_SHARED, descriptor)
        mprotect(base, SimulatedMemory.capacity, PROT_READ | PROT_WRITE)
    }

    convenience init(_ bytes: UnsafeRawBufferPointer) {
        self.init()
        UnsafeMutableRawBufferPointer(start: base, count: bytes.count).copyMemory(from: bytes)
        size = bytes.count
    }

    deinit {
        munmap(base, SimulatedMemory.capacity)
        close(descriptor)
    }

    func apply(_ write: SectorWrite) {
        write.copy(write.sectors, to: base)
        size = max(size, write.end)
    }

    /// Applies one sector of a write.
    func apply(_ write: SectorWrite, sector: Int) {
        write.copy(sector..<(sector + 1), to: base)
        size = max(size, write.end(of: sector))
    }

    func resize(to new: Int) {
        if new < size { memset(base + new, 0, size - new) }
        size = new
    }
}

/// The bytes of `lock.zdb`: shared by processes through maps, without a meaning after a crash.
///
/// Each process has a map of its own, so that a dead one's can be cut off from the others.
final class VolatileMemory: @unchecked Sendable {
    private struct Map {
        var process: Int
        var address: UnsafeMutableRawPointer
        var length: Int
    }

    private let descriptor: Int32
    var size = 0
    private var maps: [Map] = []
    private static let capacity = 1 << 24

    init(_ bytes: [UInt8]) {
        descriptor = makeAnonymousFile(Self.capacity)
        size = bytes.count
        bytes.withUnsafeBytes { _ = pwrite(descriptor, $0.baseAddress, $0.count, 0) }
    }

    deinit { close(descriptor) }

    var bytes: [UInt8] {
        Array(unsafeUninitializedCapacity: size) { buffer, initialized in
            initialized = max(0, pread(descriptor, buffer.baseAddress, size, 0))
        }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
        let count = min(buffer.count, max(0, size - offset))
        return max(0, pread(descriptor, buffer.baseAddress, count, off_t(offset)))
    }

    func map(_ length: Int, for process: Int) -> UnsafeMutableRawPointer {
        let address = reserve(length, MAP_SHARED, descriptor)
        mprotect(address, length, PROT_READ | PROT_WRITE)
        maps.append(Map(process: process, address: address, length: length))
        return address
    }

    /// - Returns: false if the address is no map of this memory.
    func unmap(_ address: UnsafeMutableRawPointer) -> Bool {
        guard let index = maps.firstIndex(where: { $0.address == address }) else { return false }
        munmap(address, maps[index].length)
        maps.remove(at: index)
        return true
    }

    /// Cuts the maps of a process that has died off from those of the others.
    func detach(_ process: Int) {
        for map in maps where map.process == process {
            mmap(
                map.address, map.length, PROT_READ | PROT_WRITE, MAP_PRIVATE | Int32(MAP_FIXED),
                descriptor, 0)
        }
    }
}
