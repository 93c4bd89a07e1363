import DNS

/// A name server's answer: reading it ends, and what comes out of it is within the protocol's limits.
@Sendable func fuzzDNS(_ input: [UInt8]) {
    guard let answer = try? DNSAnswer(input) else { return }
    precondition(answer.records.count <= input.count / 11, "more records than bytes for them")
    check(answer.question)
    for record in answer.records {
        check(record.owner)
        switch record.data {
        case .cname(let target): check(target)
        case .txt(let text): precondition(text.count < input.count, "more text than bytes")
        }
    }
}

private func check(_ name: DNSName) {
    precondition(name.labels.allSatisfy { (1...63).contains($0.count) }, "an impossible label")
    precondition(name.labels.reduce(1) { $0 + $1.count + 1 } <= 255, "an impossible name")
}
