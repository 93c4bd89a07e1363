import HTTP

/// Requests and answers: however the bytes arrive in pieces, the same messages come out of them, and nothing is
/// larger than its limit.
@Sendable func fuzzHTTP(_ input: [UInt8]) {
    let whole = requests(in: [input])
    let pieces = requests(in: input.inPieces)
    precondition(whole == pieces, "requests read differently in pieces")
    readAnswers(input)
}

private let bodyLimitBytes = 1024

private func requests(in pieces: [[UInt8]]) -> [String] {
    var parser = RequestParser(limits: HTTPHeadLimits())
    var found: [String] = []
    for piece in pieces {
        var consumed = 0
        while let event = parser.feed(piece.span, consumed: &consumed, bodyLimit: { _ in bodyLimitBytes }) {
            switch event {
            case .request(let head, let body):
                precondition(body.count <= bodyLimitBytes, "a body is longer than its limit")
                found.append("\(head.method) \(head.target) \(body)")
            // Told only when the body has not come along with the head.
            case .continueExpected: continue
            case .refused(let refusal): return found + ["\(refusal)"]
            }
        }
        precondition(consumed == piece.count, "bytes were left although nothing came of them")
    }
    return found
}

private func readAnswers(_ input: [UInt8]) {
    var parser = ResponseParser(bodyLimitBytes: bodyLimitBytes)
    for piece in input.inPieces {
        var consumed = 0
        let event = parser.feed(piece.span, consumed: &consumed)
        precondition(consumed <= piece.count, "consumed what is not there")
        if event != nil { return }
    }
    _ = parser.inputEnded()
}

extension Array where Element == UInt8 {
    fileprivate var inPieces: [[UInt8]] {
        var pieces: [[UInt8]] = []
        var start = 0
        while start < count {
            let end = Swift.min(count, start + 1 + Int(self[start]) % 13)
            pieces.append(Array(self[start..<end]))
            start = end
        }
        return pieces
    }
}
