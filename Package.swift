// swift-tools-version: 6.2
import Foundation
import PackageDescription

let strict: [SwiftSetting] = [
    .enableExperimentalFeature("Lifetimes"), .treatAllWarnings(as: .error),
]

// For the program only: a package that depends on the library does not get it. A source tarball (`make
// dist`) carries it, so that it can be built without git and without a network.
let vendored = "\(Context.packageDirectory)/vendor/swift-argument-parser"
let argumentParser: Package.Dependency =
    FileManager.default.fileExists(atPath: vendored)
    ? .package(path: vendored)
    : .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")

let package = Package(
    name: "zerodb",
    products: [
        // For Swift programs: `import ZeroDB`.
        .library(name: "ZeroDB", targets: ["ZeroDB", "ZeroDBErrors"]),
        // The C library, installed as libzerodb.so (see the Makefile for the link flags).
        .library(name: "zerodb-c", type: .dynamic, targets: ["CZeroDBABI"]),
        // The command-line program, installed as zerodb, zerodb-check and so on.
        .executable(name: "zerodb", targets: ["ZeroDBTool"]),
    ],
    dependencies: [argumentParser],
    targets: [
        // include/zerodb.h, the truth about the C ABI.
        .systemLibrary(name: "CZeroDB", path: "include"),
        // The few things Swift cannot say itself: thread-local storage, variadic system calls,
        // and libxxhash compiled for each instruction set.
        .target(
            name: "CZeroDBPlatform",
            // glibc checks the sizes of buffers. It can do so only in code that is optimised.
            cSettings: [.define("_FORTIFY_SOURCE", to: "3", .when(configuration: .release))]),
        .target(name: "ZeroDB", dependencies: ["CZeroDBPlatform"], swiftSettings: strict),
        // What errors say through Foundation. The C library does without it.
        .target(name: "ZeroDBErrors", dependencies: ["ZeroDB"], swiftSettings: strict),
        .target(
            name: "CZeroDBABI", dependencies: ["ZeroDB", "CZeroDB", "CZeroDBPlatform"],
            swiftSettings: strict),
        // Reads the files of LMDB, for `zerodb load --lmdb`. It knows nothing of ZeroDB.
        .target(name: "LMDBFile", swiftSettings: strict),
        .executableTarget(
            name: "ZeroDBTool",
            dependencies: [
                "ZeroDB", "CZeroDB", "LMDBFile",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),
        // What the tests simulate crashes with. It has no tests of its own, and is a test target so
        // that only tests build it: it uses the engine through `@testable`.
        .testTarget(
            name: "Simulator", dependencies: ["ZeroDB", "CZeroDBPlatform"], exclude: ["README.md"],
            swiftSettings: strict),
        .testTarget(
            name: "ZeroDBTests",
            dependencies: ["ZeroDB", "ZeroDBErrors", "CZeroDBPlatform", "LMDBFile", "Simulator"],
            swiftSettings: strict),
    ]
)
