/// The request target of RFC 9112 section 3.2, checked and taken apart.
struct RequestTarget {
    /// Path and query as sent, without scheme and authority; or `*`.
    let text: String
    /// Percent-decoded; an encoded slash stays `%2F`.
    let path: String
    /// Of an absolute-form target only.
    let authority: String?

    init(_ bytes: Span<UInt8>, _ range: Range<Int>, isOptions: Bool) throws(HTTPRefusal) {
        var start = range.lowerBound
        var authority: String?
        if range.isEmpty { throw HTTPRefusal(400, "the request target is empty") }
        if bytes[start] != UInt8(ascii: "/") {
            if isOptions, range.count == 1, bytes[start] == UInt8(ascii: "*") {
                self.text = "*"
                self.path = "*"
                self.authority = nil
                return
            }
            let found = try Self.absolute(bytes, range)
            authority = bytes.text(found)
            start = found.upperBound
        }
        var pathEnd: Int?
        var isEncoded = false
        let allowed = CharacterSet.pathAndQuery
        for index in start..<range.upperBound {
            let byte = bytes[index]
            guard allowed.contains(byte) else {
                throw HTTPRefusal(400, "the request target holds a character that must be percent-encoded")
            }
            if byte == UInt8(ascii: "%") { isEncoded = true }
            if byte == UInt8(ascii: "?"), pathEnd == nil { pathEnd = index }
        }
        let hasPath = start < (pathEnd ?? range.upperBound)
        let text = (hasPath ? "" : "/") + bytes.text(start..<range.upperBound)
        self.text = text
        self.authority = authority
        let rawPath = pathEnd == nil ? text : Self.rawPath(of: text)
        guard isEncoded else {
            path = rawPath
            return
        }
        guard let path = PercentEncoding.decode(rawPath, keepSlash: true),
            Self.query(of: text).allSatisfy({ PercentEncoding.decode($0, keepSlash: false) != nil })
        else { throw HTTPRefusal(400, "the percent-encoding of the request target is wrong") }
        self.path = path
    }

    /// The authority's range in `http://authority/…`.
    private static func absolute(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(HTTPRefusal) -> Range<Int>
    {
        let http = range.lowerBound + 7
        let https = range.lowerBound + 8
        let start: Int
        if http <= range.upperBound, bytes.spells("http://", range.lowerBound..<http) {
            start = http
        } else if https <= range.upperBound, bytes.spells("https://", range.lowerBound..<https) {
            start = https
        } else {
            throw HTTPRefusal(400, "the request target must be a path or an http URL")
        }
        var end = start
        while end < range.upperBound, bytes[end] != UInt8(ascii: "/"), bytes[end] != UInt8(ascii: "?") {
            end += 1
        }
        guard isAuthority(bytes, start..<end) else {
            throw HTTPRefusal(400, "the request target names no valid host")
        }
        return start..<end
    }

    static func rawPath(of text: String) -> String {
        guard let mark = text.utf8.firstIndex(of: UInt8(ascii: "?")) else { return text }
        return String(text[..<mark])
    }

    /// The query's `&`-separated members, not decoded.
    static func query(of text: String) -> [Substring] {
        guard let mark = text.utf8.firstIndex(of: UInt8(ascii: "?")) else { return [] }
        return text[text.utf8.index(after: mark)...].split(separator: "&")
    }

    /// `uri-host [ ":" port ]` with a host (RFC 9110 section 7.2).
    static func isAuthority(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        guard !range.isEmpty else { return false }
        var end = range.lowerBound
        if bytes[end] == UInt8(ascii: "[") {
            guard let close = bytes.index(of: UInt8(ascii: "]"), from: end), close < range.upperBound,
                close > end + 1, bytes.holdsOnly(.ipv6Literal, end + 1..<close)
            else { return false }
            end = close + 1
        } else {
            while end < range.upperBound, bytes[end] != UInt8(ascii: ":") { end += 1 }
            guard end > range.lowerBound, bytes.holdsOnly(.registeredName, range.lowerBound..<end) else {
                return false
            }
        }
        if end == range.upperBound { return true }
        guard bytes[end] == UInt8(ascii: ":"), range.upperBound - end <= 6 else { return false }
        for index in end + 1..<range.upperBound where !Ascii.isDigit(bytes[index]) { return false }
        return true
    }
}

/// Percent-encoding of RFC 3986 section 2.1.
public enum PercentEncoding {
    /// nil for a malformed escape, bytes that are not UTF-8, or control characters.
    static func decode(_ text: some StringProtocol, keepSlash: Bool, plusIsSpace: Bool = false) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8.makeIterator()
        while let byte = rest.next() {
            if byte == UInt8(ascii: "+"), plusIsSpace {
                bytes.append(Ascii.space)
                continue
            }
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.next().flatMap(Ascii.hexValue),
                let low = rest.next().flatMap(Ascii.hexValue)
            else { return nil }
            let decoded = high << 4 | low
            guard decoded >= 0x20, decoded != 0x7F else { return nil }
            if keepSlash, decoded == UInt8(ascii: "/") {
                bytes += "%2F".utf8
            } else {
                bytes.append(decoded)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    /// Everything but unreserved characters escaped: fit for one path segment or one query value.
    public static func encode(_ text: String) -> String {
        var bytes: [UInt8] = []
        let digits = Array("0123456789ABCDEF".utf8)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: "~"):
                bytes.append(byte)
            default: bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 0xF)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
