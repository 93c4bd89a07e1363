// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

func room(_ name: String, _ path: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, path: path, swiftSettings: strict)
}

func program(_ name: String, _ path: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies, path: path, swiftSettings: strict)
}

func suite(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(
        name: name, dependencies: dependencies, path: "Tests/\(name)", swiftSettings: strict)
}

// Dependencies point one way: programs, then what they decide with, then Core.
let package = Package(
    name: "minecart",
    products: [
        .executable(name: "minecart-control", targets: ["App"]),
        .executable(name: "minecart-relay", targets: ["Relay"]),
        .executable(name: "minecart", targets: ["Agent"]),
        .executable(name: "simulate", targets: ["Simulate"]),
    ],
    targets: [
        .systemLibrary(name: "CLinux", path: "Shared/CLinux"),
        .systemLibrary(name: "COpenSSL", path: "Shared/COpenSSL"),
        .systemLibrary(name: "CPostgres", path: "Shared/CPostgres", pkgConfig: "libpq"),
        .systemLibrary(name: "CRedis", path: "Shared/CRedis"),

        room("Core", "Shared/Core", ["CLinux"]),
        room("Crypto", "Shared/Crypto", ["Core", "COpenSSL"]),
        room("Wire", "Shared/Wire", ["Core", "Crypto"]),
        room("IO", "Shared/IO", ["Core", "CLinux"]),
        room("TLS", "Shared/TLS", ["Core", "Crypto", "IO", "COpenSSL"]),
        room("HTTP", "Shared/HTTP", ["Core", "IO", "TLS", "CLinux"]),
        room("HTTPCalls", "Shared/HTTPCalls", ["Core", "IO", "TLS", "HTTP"]),
        room("DNS", "Shared/DNS", ["Core", "IO", "CLinux"]),
        room("Postgres", "Shared/Postgres", ["Core", "CPostgres", "CLinux"]),
        room("Redis", "Shared/Redis", ["Core", "IO", "TLS", "CRedis", "CLinux"]),

        room("Domain", "ControlPlane/Domain", ["Core", "Crypto", "Wire"]),
        room(
            "Stripe", "ControlPlane/Stripe", ["Core", "Crypto", "IO", "TLS", "HTTP", "HTTPCalls", "Domain"]),
        room("Store", "ControlPlane/Store", ["Core", "Crypto", "Wire", "Domain", "Postgres"]),
        room(
            "API", "ControlPlane/API",
            ["Core", "Crypto", "Wire", "IO", "HTTP", "Domain", "Postgres", "Store", "Stripe", "Reconcilers"]),
        room(
            "Reconcilers", "ControlPlane/Reconcilers",
            [
                "Core", "CLinux", "Crypto", "Wire", "IO", "HTTP", "HTTPCalls", "DNS", "Redis", "Domain",
                "Store", "Stripe",
            ]),
        program(
            "App", "ControlPlane/App",
            [
                "CLinux", "Core", "Crypto", "IO", "HTTP", "HTTPCalls", "DNS", "Redis", "Postgres", "Domain",
                "Store", "Reconcilers", "API", "Stripe",
            ]),

        room("RelayCore", "DataPlane/RelayCore", ["Core", "Crypto", "Wire"]),
        program("Relay", "DataPlane/Relay", ["RelayCore", "IO", "TLS", "HTTP", "Redis", "CLinux"]),
        room("AgentCore", "DataPlane/AgentCore", ["Core", "Wire"]),
        program("Agent", "DataPlane/Agent", ["AgentCore", "Crypto", "IO", "TLS", "HTTP", "CLinux"]),

        .target(
            name: "Simulation", dependencies: ["Core", "Wire", "Domain", "RelayCore", "AgentCore"],
            path: "Tests/Simulation", exclude: ["Program"], swiftSettings: strict),
        program("Simulate", "Tests/Simulation/Program", ["Simulation"]),

        program("BenchLoad", "infra/bench/load", ["HTTP", "IO", "Core", "CLinux"]),
        program("FaultTool", "infra/bench/faults", ["Support", "Redis", "IO", "Core", "CLinux"]),
        program(
            "AgentCrowd", "infra/bench/agents", ["AgentCore", "HTTP", "TLS", "IO", "Wire", "Core", "CLinux"]),
        program("HealthzBench", "infra/bench/healthz", ["HTTP", "IO", "Core", "CLinux"]),

        suite("CoreTests", ["Core", "CLinux"]),
        suite("CryptoTests", ["Crypto", "Core"]),
        suite("WireTests", ["Wire"]),
        suite("IOTests", ["IO", "Core", "CLinux"]),
        suite("TLSTests", ["TLS", "Core", "Crypto", "IO", "COpenSSL"]),
        suite("HTTPTests", ["HTTP", "HTTPCalls", "IO", "TLS", "Crypto", "Core", "CLinux"]),
        suite("DNSTests", ["DNS", "Core", "IO", "CLinux", "Support"]),
        suite("PostgresTests", ["Core", "CLinux", "Postgres", "Support"]),
        suite("RedisTests", ["Core", "IO", "Redis", "Support"]),
        suite("RelayCoreTests", ["RelayCore", "Core", "Wire"]),
        suite("AgentTests", ["Agent", "AgentCore", "Core", "Crypto", "HTTP", "IO", "TLS", "Wire"]),
        suite("AgentCoreTests", ["AgentCore", "Core", "Wire"]),
        suite("DomainTests", ["Core", "Crypto", "Wire", "Domain"]),
        suite("StripeTests", ["Core", "Crypto", "Domain", "HTTP", "IO", "Stripe"]),
        suite("StoreTests", ["Core", "Crypto", "Wire", "Domain", "Postgres", "Store", "Support"]),
        suite(
            "APITests",
            [
                "Core", "Crypto", "Wire", "IO", "HTTP", "HTTPCalls", "DNS", "Redis", "Postgres", "Domain",
                "Store",
                "Reconcilers", "API", "Support", "Stripe",
            ]),
        suite("AppTests", ["API", "Core", "Crypto", "Domain", "HTTP", "IO", "Reconcilers", "App"]),
        suite(
            "RelayTests",
            ["Relay", "RelayCore", "Wire", "IO", "TLS", "Crypto", "Core", "CLinux", "Support"]),
        suite("EndToEnd", ["Core", "Crypto", "IO", "CLinux", "Postgres", "Redis", "Support"]),
        suite("SimulationTests", ["Simulation"]),
        suite("Tidy", []),
        // Starts the private Postgres and Redis that the suites above talk to, and harms connections.
        room("Support", "Tests/Support", ["Core", "IO", "Postgres", "Redis", "CLinux"]),
    ],
    swiftLanguageModes: [.v6]
)

// Whoever works on one room builds only its tests:
//     MINECART_SUITES=RelayCoreTests,WireTests swift build --product minecartPackageTests
if let wanted = Context.environment["MINECART_SUITES"] {
    let suites = wanted.split(separator: ",").map { String($0) }
    package.targets.removeAll { $0.isTest && !suites.contains($0.name) }
}

// libFuzzer brings its own main, so this target exists only when infra/fuzz asks for it.
if Context.environment["MINECART_FUZZ"] != nil {
    package.targets.append(
        .executableTarget(
            name: "Fuzz", dependencies: ["Core", "Crypto", "Wire", "HTTP", "DNS", "RelayCore"],
            path: "Tests/Fuzz", exclude: ["Seeds"], swiftSettings: strict))
}
