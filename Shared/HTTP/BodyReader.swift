/// How the end of a body is known (RFC 9112 section 6.3).
enum BodyFraming: Sendable, Equatable {
    case none
    case length(Int)
    case chunked
    /// Answers only.
    case untilClose
}

/// Collects a body, chunked or not, up to a cap. Trailers are checked and thrown away.
struct BodyReader: Sendable {
    private enum Stage {
        case fixed(remaining: Int)
        case untilClose
        case chunkSize(value: Int, digits: Int)
        /// After the size, up to its CR: spaces before `;`, then anything a field may hold.
        case chunkExtension(began: Bool)
        case chunkLineFeed(size: Int)
        case chunkData(remaining: Int)
        case chunkDataReturn
        case chunkDataLineFeed
        case trailers
    }

    private(set) var bytes: [UInt8] = []
    private let limitBytes: Int
    private var stage: Stage
    private var trailers: HeadReader
    private var chunkSize = 0
    private var chunkLineBytes = 0
    /// No sender needs more for a size and its extensions.
    private static let maxChunkLineBytes = 256
    private static let maxSizeDigits = 15

    /// Fails with 413 when a known length is over the limit.
    init(_ framing: BodyFraming, limitBytes: Int, limits: HTTPHeadLimits) throws(HTTPRefusal) {
        self.limitBytes = limitBytes
        trailers = HeadReader(limits, hasStartLine: false)
        switch framing {
        case .none: stage = .fixed(remaining: 0)
        case .length(let count):
            guard count <= limitBytes else { throw Self.tooLarge(limitBytes) }
            stage = .fixed(remaining: count)
            // A length is only a claim: more is set aside as bytes come.
            bytes.reserveCapacity(min(count, 64 * 1024))
        case .chunked: stage = .chunkSize(value: 0, digits: 0)
        case .untilClose: stage = .untilClose
        }
    }

    var endsWithConnection: Bool { if case .untilClose = stage { true } else { false } }

    private static func tooLarge(_ limitBytes: Int) -> HTTPRefusal {
        HTTPRefusal(413, "the body is larger than \(limitBytes) bytes")
    }

    private static let malformed = HTTPRefusal(400, "the chunked body is malformed")

    /// Takes bytes up to the end of the body; true when it is complete.
    mutating func feed(_ input: Span<UInt8>, consumed: inout Int) throws(HTTPRefusal) -> Bool {
        while true {
            switch stage {
            case .fixed(let remaining):
                let count = min(remaining, input.count - consumed)
                take(count, of: input, &consumed)
                stage = .fixed(remaining: remaining - count)
                return remaining == count
            case .untilClose:
                guard input.count - consumed <= limitBytes - bytes.count else {
                    throw Self.tooLarge(limitBytes)
                }
                take(input.count - consumed, of: input, &consumed)
                return false
            case .chunkData(let remaining):
                let count = min(remaining, input.count - consumed)
                take(count, of: input, &consumed)
                guard remaining == count else {
                    stage = .chunkData(remaining: remaining - count)
                    return false
                }
                stage = .chunkDataReturn
            case .trailers:
                guard case .complete = try trailers.feed(input, consumed: &consumed) else { return false }
                return true
            default:
                guard consumed < input.count else { return false }
                let byte = input[consumed]
                consumed += 1
                try step(byte)
            }
        }
    }

    private mutating func take(_ count: Int, of input: Span<UInt8>, _ consumed: inout Int) {
        bytes.append(input, consumed..<consumed + count)
        consumed += count
    }

    /// One byte of what stands around the chunks' data.
    private mutating func step(_ byte: UInt8) throws(HTTPRefusal) {
        switch stage {
        case .chunkSize(let value, let digits):
            if let digit = Ascii.hexValue(byte) {
                guard digits < Self.maxSizeDigits else { throw Self.tooLarge(limitBytes) }
                stage = .chunkSize(value: value << 4 | Int(digit), digits: digits + 1)
                return
            }
            guard digits > 0 else { throw Self.malformed }
            guard value <= limitBytes - bytes.count else { throw Self.tooLarge(limitBytes) }
            chunkSize = value
            chunkLineBytes = digits
            stage = .chunkExtension(began: false)
            try step(byte)
        case .chunkExtension(let began):
            chunkLineBytes += 1
            guard chunkLineBytes <= Self.maxChunkLineBytes else { throw Self.malformed }
            switch byte {
            case Ascii.carriageReturn: stage = .chunkLineFeed(size: chunkSize)
            case UInt8(ascii: ";"): stage = .chunkExtension(began: true)
            case Ascii.space, Ascii.tab: break
            default: guard began, Ascii.isFieldContent(byte) else { throw Self.malformed }
            }
        case .chunkLineFeed(let size):
            guard byte == Ascii.lineFeed else { throw Self.malformed }
            stage = size == 0 ? .trailers : .chunkData(remaining: size)
        case .chunkDataReturn:
            guard byte == Ascii.carriageReturn else { throw Self.malformed }
            stage = .chunkDataLineFeed
        case .chunkDataLineFeed:
            guard byte == Ascii.lineFeed else { throw Self.malformed }
            stage = .chunkSize(value: 0, digits: 0)
        case .fixed, .untilClose, .chunkData, .trailers: break
        }
    }
}
