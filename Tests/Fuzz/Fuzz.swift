import Core

/// libFuzzer's door: each made-up input goes to the target that the environment variable FUZZ_TARGET names. A target
/// traps when a promise does not hold; `infra/fuzz` builds and runs them.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ byteCount: Int) -> Int32 {
    chosenTarget(Array(UnsafeBufferPointer(start: start, count: byteCount)))
    return 0
}

private let targets: [String: @Sendable ([UInt8]) -> Void] = [
    "handshake": fuzzHandshake, "hello": fuzzClientHello, "link": fuzzLink, "mesh": fuzzMesh,
    "http": fuzzHTTP, "json": fuzzJSON,
    "jwt": fuzzJWT,
    "dns": fuzzDNS,
]

private let chosenTarget: @Sendable ([UInt8]) -> Void = {
    let name = Settings.ofProcess().string("FUZZ_TARGET", default: "")
    guard let target = targets[name] else {
        fatalError("FUZZ_TARGET must be one of \(targets.keys.sorted().joined(separator: ", "))")
    }
    return target
}()

extension Array where Element == UInt8 {
    /// Calls `body` with each beginning of the bytes that a few cuts make, the whole last. The cuts come from the
    /// bytes themselves, so that an input always behaves the same.
    func forSomeBeginnings(_ body: ([UInt8]) -> Void) {
        var cut = Int(last ?? 0) % 7
        while cut < count {
            body(Array(self[..<cut]))
            cut += 1 + Int(self[cut]) % 61
        }
        body(self)
    }
}
