// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "hello",
    dependencies: [
        // A program in another repository names the URL and a version here.
        .package(name: "zerodb", path: "../..")
    ],
    targets: [
        .executableTarget(
            name: "hello",
            dependencies: [.product(name: "ZeroDB", package: "zerodb")])
    ]
)
