import RelayCore

/// A TLS client's first bytes: a decision stands when more follow, it asks for no more bytes than it may hold, and a
/// name that comes out of it stands in the input.
@Sendable func fuzzClientHello(_ input: [UInt8]) {
    var decided: ClientHello.Answer?
    input.forSomeBeginnings { beginning in
        let answer = ClientHello.serverName(in: beginning)
        if let decided { precondition(answer == decided, "a decision changed when more bytes followed") }
        switch answer {
        case .needMore: precondition(beginning.count < ClientHello.maxBytes, "asks for more than it may hold")
        case .none: decided = answer
        case .serverName(let name):
            precondition((1...255).contains(name.utf8.count), "an impossible name")
            decided = answer
        }
    }
}
