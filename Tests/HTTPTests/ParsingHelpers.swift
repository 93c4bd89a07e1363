import HTTP

/// What a parser said of some bytes, in a form that compares.
enum Read: Equatable {
    case request(method: String, target: String, body: String)
    case continueExpected
    case refused(Int)
}

/// Reads all of the text, handed over in the given pieces.
func read(
    _ pieces: [[UInt8]], bodyLimit: Int = 1000, limits: HTTPHeadLimits = HTTPHeadLimits()
) -> [Read] {
    var parser = RequestParser(limits: limits)
    var found: [Read] = []
    var waiting: [UInt8] = []
    for piece in pieces {
        waiting += piece
        var consumed = 0
        while let event = parser.feed(waiting.span, consumed: &consumed, bodyLimit: { _ in bodyLimit }) {
            switch event {
            case .request(let head, let body):
                found.append(
                    .request(
                        method: head.method, target: head.target,
                        body: String(decoding: body, as: UTF8.self)))
            case .continueExpected: found.append(.continueExpected)
            case .refused(let refusal): found.append(.refused(refusal.status))
            }
        }
        waiting.removeFirst(consumed)
    }
    return found
}

func read(_ text: String, bodyLimit: Int = 1000, limits: HTTPHeadLimits = HTTPHeadLimits()) -> [Read] {
    read([Array(text.utf8)], bodyLimit: bodyLimit, limits: limits)
}

func parsedHead(_ text: String) -> HTTPRequestHead? {
    let bytes = Array(text.utf8)
    var parser = RequestParser(limits: HTTPHeadLimits())
    var consumed = 0
    guard case .request(let head, _) = parser.feed(bytes.span, consumed: &consumed, bodyLimit: { _ in 0 })
    else { return nil }
    return head
}

extension [UInt8] {
    /// Every way to cut the bytes in two, and each byte on its own.
    var fragmentations: [[[UInt8]]] {
        indices.map { [Array(self[..<$0]), Array(self[$0...])] } + [map { [$0] }]
    }
}
