import Core
import Domain
import Store

/// Reads the members of a request body or query, collecting everything that is wrong; `finish` tells it at once.
/// Members that nobody asked for are wrong too, so that a typing error does not pass silently.
struct Fields {
    private enum Origin { case body, query }

    private let origin: Origin
    private var members: JSONObject
    private var errors: [Problem.FieldError] = []
    private var known: Set<String> = []

    /// An empty body counts as an empty object.
    init(body: [UInt8]) throws(Problem) {
        origin = .body
        guard !body.isEmpty else {
            members = JSONObject()
            return
        }
        let value: JSON
        do throws(JSONError) {
            value = try JSON.parse(body)
        } catch {
            throw Problem(400, "malformed", "The body is not valid JSON: \(error).")
        }
        guard case .object(let object) = value else {
            throw Problem(400, "malformed", "The body must be a JSON object.")
        }
        members = object
    }

    init(query: [(String, String)]) throws(Problem) {
        origin = .query
        members = JSONObject()
        for (name, value) in query {
            if members[name] != nil { errors.append(.init("?\(name)", "is given more than once")) }
            members[name] = .string(value)
        }
    }

    mutating func reject(_ name: String, _ detail: String) {
        errors.append(.init(pointer(name), detail))
    }

    /// A required text of `length` Unicode scalars.
    mutating func text(_ name: String, length: ClosedRange<Int> = 1...256) -> String {
        if let value = optionalText(name, length: length) { return value }
        requireUnlessRejected(name)
        return ""
    }

    mutating func optionalText(_ name: String, length: ClosedRange<Int> = 1...256) -> String? {
        guard let value = take(name) else { return nil }
        guard let text = value.stringValue else {
            reject(name, "must be a text")
            return nil
        }
        let count = text.unicodeScalars.count
        guard length.contains(count) else {
            reject(
                name,
                count < length.lowerBound
                    ? "must have at least \(length.lowerBound) characters"
                    : "must have at most \(length.upperBound) characters")
            return nil
        }
        guard !Self.holdsControlCharacters(text) else {
            reject(name, "must not hold control characters")
            return nil
        }
        return text
    }

    private static func holdsControlCharacters(_ text: String) -> Bool {
        text.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F }
    }

    mutating func integer(_ name: String, in range: ClosedRange<Int64>) -> Int64 {
        if let value = optionalInteger(name, in: range) { return value }
        requireUnlessRejected(name)
        return range.lowerBound
    }

    mutating func optionalInteger(_ name: String, in range: ClosedRange<Int64>) -> Int64? {
        guard let value = take(name) else { return nil }
        let number = origin == .query ? value.stringValue.flatMap { Int64($0) } : value.integerValue
        guard let number, range.contains(number) else {
            reject(name, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return number
    }

    /// A number, null for no limit, or nothing at all to leave it as it is.
    mutating func override(_ name: String, in range: ClosedRange<Int64>) -> Override {
        if isNull(name) { return .unlimited }
        return optionalInteger(name, in: range).map { .limit(Int($0)) } ?? .plan
    }

    /// Whether a member is there and null; elsewhere that counts as absent.
    mutating func isNull(_ name: String) -> Bool {
        known.insert(name)
        return members[name]?.isNull ?? false
    }

    /// For members of which "none" makes no sense.
    mutating func refuseNull(_ names: String...) {
        for name in names where isNull(name) { reject(name, "must not be null: leave it out to keep it") }
    }

    mutating func optionalBool(_ name: String) -> Bool? {
        guard let value = take(name) else { return nil }
        guard let truth = value.boolValue else {
            reject(name, "must be true or false")
            return nil
        }
        return truth
    }

    /// A list of texts; absent means empty.
    mutating func texts(_ name: String, maxCount: Int, length: ClosedRange<Int> = 1...256) -> [String] {
        guard let value = take(name) else { return [] }
        guard let items = value.arrayValue else {
            reject(name, "must be a list of texts")
            return []
        }
        let texts = items.compactMap(\.stringValue)
        guard texts.count == items.count, texts.allSatisfy({ length.contains($0.unicodeScalars.count) }),
            !texts.contains(where: Self.holdsControlCharacters)
        else {
            reject(
                name,
                "must hold texts of \(length.lowerBound) to \(length.upperBound) characters only, none of them a control character"
            )
            return []
        }
        guard items.count <= maxCount else {
            reject(name, "must hold at most \(maxCount) entries")
            return []
        }
        return texts
    }

    /// A list of an enumeration's words, or nothing at all.
    mutating func words<Word: CaseIterable & RawRepresentable<String> & Hashable>(
        _ name: String, of type: Word.Type
    ) -> Set<Word>? {
        guard let value = take(name) else { return nil }
        guard let items = value.arrayValue, items.count <= type.allCases.count else {
            reject(name, "must be a list of at most \(type.allCases.count) words")
            return nil
        }
        let words = items.compactMap { $0.stringValue.flatMap { Word(rawValue: $0) } }
        guard words.count == items.count else {
            reject(name, "must hold only \(Self.choices(of: type))")
            return nil
        }
        return Set(words)
    }

    /// One word of an enumeration, or of a part of it.
    mutating func word<Word: CaseIterable & RawRepresentable<String>>(
        _ name: String, of type: Word.Type, among words: [Word]? = nil
    ) -> Word? {
        let text = text(name, length: 1...64)
        if let word = optionalWord(text, among: words ?? Array(type.allCases)) { return word }
        if !text.isEmpty { rejectWord(name, words ?? Array(type.allCases)) }
        return nil
    }

    /// The same for a member that need not be there.
    mutating func optionalWord<Word: CaseIterable & RawRepresentable<String>>(
        _ name: String, of type: Word.Type
    ) -> Word? {
        guard let text = optionalText(name, length: 1...64) else { return nil }
        if let word = optionalWord(text, among: Array(type.allCases)) { return word }
        rejectWord(name, Array(type.allCases))
        return nil
    }

    private func optionalWord<Word: RawRepresentable<String>>(_ text: String, among words: [Word]) -> Word? {
        words.first { $0.rawValue == text }
    }

    private mutating func rejectWord<Word: RawRepresentable<String>>(_ name: String, _ words: [Word]) {
        reject(name, "must be one of \(words.map(\.rawValue).joined(separator: ", "))")
    }

    private static func choices<Word: CaseIterable & RawRepresentable<String>>(of type: Word.Type) -> String {
        type.allCases.map(\.rawValue).joined(separator: ", ")
    }

    /// A list of objects, each read by its own `Fields` rules; absent means empty.
    mutating func objects(_ name: String, maxCount: Int) -> [JSONObject] {
        guard let value = take(name) else { return [] }
        guard let items = value.arrayValue, items.count <= maxCount,
            items.allSatisfy({ $0.objectValue != nil })
        else {
            reject(name, "must be a list of at most \(maxCount) objects")
            return []
        }
        return items.compactMap(\.objectValue)
    }

    /// Declares a member without reading it.
    mutating func allow(_ name: String) { known.insert(name) }

    /// Without a word about members that nobody asked for.
    func finishLeniently() throws(Problem) {
        guard errors.isEmpty else { throw Problem.invalid(errors) }
    }

    func finish() throws(Problem) {
        var all = errors
        for member in members.members where !known.contains(member.name) {
            let name = String(String.UnicodeScalarView(member.name.unicodeScalars.prefix(64)))
            all.append(
                .init(
                    pointer(name),
                    known.isEmpty
                        ? "is not expected here"
                        : "is not known here; known are \(known.sorted().joined(separator: ", "))"))
        }
        guard all.isEmpty else { throw Problem.invalid(all) }
    }

    private mutating func take(_ name: String) -> JSON? {
        known.insert(name)
        guard let value = members[name], !value.isNull else { return nil }
        return value
    }

    private mutating func requireUnlessRejected(_ name: String) {
        let pointer = pointer(name)
        if !errors.contains(where: { $0.pointer == pointer }) { reject(name, "is required") }
    }

    /// RFC 6901 for the body; a mark of our own for the query.
    private func pointer(_ name: String) -> String {
        guard origin == .body else { return "?\(name)" }
        var escaped = "/"
        for character in name {
            switch character {
            case "~": escaped += "~0"
            case "/": escaped += "~1"
            default: escaped.append(character)
            }
        }
        return escaped
    }
}

extension Fields {
    /// `limit` and `cursor` of a list.
    mutating func page() -> Page {
        let range = Int64(Page.limits.lowerBound)...Int64(Page.limits.upperBound)
        let limit = optionalInteger("limit", in: range).map { Int($0) } ?? Page.standardLimit
        guard let cursor = optionalText("cursor", length: 1...64) else { return Page(limit: limit) }
        guard let page = Page(limit: limit, cursor: cursor) else {
            reject("cursor", "must be the next_cursor of an earlier answer")
            return Page(limit: limit)
        }
        return page
    }

    /// An identifier of ours.
    mutating func id<Kind: IdentifierKind>(_ name: String) -> Identifier<Kind>? {
        let text = text(name, length: 1...64)
        return text.isEmpty ? nil : identifier(name, text)
    }

    mutating func optionalID<Kind: IdentifierKind>(_ name: String) -> Identifier<Kind>? {
        optionalText(name, length: 1...64).flatMap { identifier(name, $0) }
    }

    private mutating func identifier<Kind: IdentifierKind>(_ name: String, _ text: String) -> Identifier<
        Kind
    >? {
        if let id = Identifier<Kind>(text) { return id }
        reject(name, "must be an identifier that begins with \(Kind.prefix)_")
        return nil
    }

    /// An address in the plain form; whether it exists is for the mail server to say.
    mutating func email(_ name: String) -> String {
        let text = text(name, length: 1...254)
        guard text.isEmpty || EmailAddress(text) != nil else {
            reject(name, "must be an e-mail address such as you@example.com")
            return ""
        }
        return text
    }

    /// A password that is there already.
    mutating func password(_ name: String) -> String { text(name, length: 1...256) }

    /// A password to be.
    mutating func newPassword(_ name: String, email: String) -> String {
        let text = text(name, length: PasswordRule.length)
        if !text.isEmpty, let problem = PasswordRule.problem(text, email: email) { reject(name, problem) }
        return text
    }
}
