import Core

/// One look-up of TXT records: which server to ask next, by which way, and what its answer means. Pure: told what
/// came, it answers what to do.
///
/// UDP first, TCP when an answer is cut or could be forged; every server in turn, twice. A chain of CNAMEs is
/// followed within an answer, and asked for where an answer leaves off.
struct TXTLookup {
    struct Question: Equatable {
        /// Which server, counted from 0.
        var server: Int
        var overTCP: Bool
        var packet: [UInt8]
        /// How long to wait for the answer.
        var patience: Milliseconds
    }

    enum Action: Equatable {
        case ask(Question)
        /// The packet was not the answer: go on waiting.
        case wait
        case done(TXTAnswer)
    }

    static let maxChain = 8
    private static let firstPatience = Milliseconds(1500)
    private static let laterPatience = Milliseconds(2500)
    private static let rounds = 2
    /// However many servers there are.
    private static let maxAttempts = 4
    /// What a customer is shown of a stranger's records.
    private static let maxRecords = 20
    private static let maxRecordBytes = 1024

    private let servers: Int
    private var name: DNSName
    private var chain: Set<DNSName>
    private var attempt = 0
    private var overTCP = false
    private var sent: DNSName
    private var id: UInt16 = 0
    private var lastTrouble = "no server is configured"

    init(_ name: DNSName, servers: Int) {
        self.servers = servers
        self.name = name
        sent = name
        chain = [name]
    }

    mutating func start(using generator: inout some RandomNumberGenerator) -> Action {
        attempt = 0
        overTCP = false
        return ask(using: &generator)
    }

    /// A packet came by the way that was asked for.
    mutating func received(
        _ packet: [UInt8], using generator: inout some RandomNumberGenerator
    ) -> Action {
        guard let answer = try? DNSAnswer(packet) else {
            // By UDP anyone may have sent it.
            return overTCP ? failed("an answer that cannot be read", using: &generator) : .wait
        }
        guard answer.id == id, answer.questionIsTXT, answer.question == sent else {
            return overTCP ? failed("an answer to another question", using: &generator) : .wait
        }
        // A server that does not keep the name's case, or a forger who guessed: TCP tells.
        let isExact = answer.question.labels == sent.labels
        if !overTCP, answer.isTruncated || !isExact {
            overTCP = true
            return ask(using: &generator)
        }
        switch answer.code {
        case .noError: return follow(answer, using: &generator)
        case .nameError: return .done(.none)
        case .serverFailure: return failed("the name server failed (SERVFAIL)", using: &generator)
        case .refused: return failed("the name server refused", using: &generator)
        case .formatError, .notImplemented, .other:
            return failed("the name server did not understand", using: &generator)
        }
    }

    /// No answer in time, no connection, or it ended early.
    mutating func failed(
        _ trouble: String, using generator: inout some RandomNumberGenerator
    ) -> Action {
        lastTrouble = trouble
        attempt += 1
        overTCP = false
        return ask(using: &generator)
    }

    private mutating func ask(using generator: inout some RandomNumberGenerator) -> Action {
        guard servers > 0, attempt < min(servers * Self.rounds, Self.maxAttempts) else {
            return .done(.unavailable(lastTrouble))
        }
        let mixed = name.withRandomCase(using: &generator)
        sent = mixed
        id = UInt16.random(in: 0...UInt16.max, using: &generator)
        return .ask(
            Question(
                server: attempt % servers, overTCP: overTCP, packet: DNSQuery.txt(mixed, id: id),
                patience: attempt < servers && !overTCP ? Self.firstPatience : Self.laterPatience))
    }

    private mutating func follow(
        _ answer: DNSAnswer, using generator: inout some RandomNumberGenerator
    ) -> Action {
        let start = name
        while true {
            let here = answer.records.filter { $0.owner == name }
            let texts = here.compactMap { if case .txt(let text) = $0.data { text } else { nil } }
            if !texts.isEmpty {
                return .done(.records(texts.prefix(Self.maxRecords).map(Self.text)))
            }
            let target = here.lazy.compactMap { record -> DNSName? in
                if case .cname(let target) = record.data { target } else { nil }
            }.first
            guard let target else { break }
            guard chain.count <= Self.maxChain, chain.insert(target).inserted else {
                return .done(.unavailable("its CNAME records go in a circle or too far"))
            }
            name = target
        }
        if name == start { return .done(.none) }
        // The server left off at an alias: ask for what it stands for.
        return self.start(using: &generator)
    }

    private static func text(_ bytes: [UInt8]) -> String {
        String(decoding: bytes.prefix(maxRecordBytes), as: UTF8.self)
    }
}
