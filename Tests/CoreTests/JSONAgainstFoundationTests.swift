import Core
import Foundation
import Testing

/// The codec says what Foundation's says, on many made-up values and on texts broken at random.
@Suite struct JSONAgainstFoundationTests {
    /// Without U+FEFF, which Foundation drops at the beginning of a string.
    static let strings = [
        "", "a", "name", "é", "e\u{301}", "😀", "日本", "\"", "\\", "/", "\n", "\r\n", "\t", "\0", "\u{1F}",
        "\u{7F}", "\u{2028}", "\u{10FFFF}", "sleepy-creeper.eu.dvv.one",
    ]
    static let numbers = [
        0.1, -0.5, 1e300, 1e-300, 2.2250738585072014e-308, 1.7976931348623157e308, 123456.789, 1e21, 1e15,
        1e16, -1e-7, 3.0,
    ]

    func value(_ generator: inout SeededGenerator, depth: Int = 0) -> JSON {
        switch Int.random(in: 0..<(depth < 5 ? 9 : 6), using: &generator) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &generator))
        case 2: return .integer(Int64.random(in: .min ... .max, using: &generator))
        case 3: return .integer(Int64.random(in: -100...100, using: &generator))
        case 4: return .number(Self.numbers.randomElement(using: &generator) ?? 0)
        case 5: return .string(string(&generator))
        case 6:
            return .array(
                (0..<Int.random(in: 0..<6, using: &generator)).map { _ in
                    value(&generator, depth: depth + 1)
                })
        default:
            var object = JSONObject()
            for _ in 0..<Int.random(in: 0..<6, using: &generator) {
                object[string(&generator)] = value(&generator, depth: depth + 1)
            }
            return .object(object)
        }
    }

    func string(_ generator: inout SeededGenerator) -> String {
        (0..<Int.random(in: 0..<4, using: &generator)).map { _ in
            Self.strings.randomElement(using: &generator) ?? ""
        }.joined()
    }

    /// nil where both say the same.
    func difference(_ ours: JSON, _ theirs: Any) -> String? {
        switch (ours, theirs) {
        case (.null, is NSNull): return nil
        case (.bool(let value), let number as NSNumber):
            return number.boolValue == value && isBool(number) ? nil : "\(value) and \(number)"
        case (.integer(let value), let number as NSNumber):
            return number.int64Value == value && !isBool(number) ? nil : "\(value) and \(number)"
        case (.number(let value), let number as NSNumber):
            let other = number.doubleValue
            return abs(value - other) <= abs(value) * 1e-15 ? nil : "\(value) and \(other)"
        case (.string(let value), let text as String):
            return value.utf8.elementsEqual(text.utf8)
                ? nil : "\(value.debugDescription) and \(text.debugDescription)"
        case (.array(let values), let others as [Any]):
            guard values.count == others.count else { return "arrays of \(values.count) and \(others.count)" }
            return zip(values, others).lazy.compactMap { difference($0, $1) }.first
        case (.object(let object), let others as [String: Any]):
            guard object.count == others.count else {
                return "objects of \(object.count) and \(others.count)"
            }
            return object.members.lazy.compactMap { member in
                others[member.name].map { difference(member.value, $0) }
                    ?? "no \(member.name.debugDescription)"
            }.first
        default: return "\(ours) and \(theirs)"
        }
    }

    func isBool(_ number: NSNumber) -> Bool { String(cString: number.objCType) == "c" }

    func foundation(_ bytes: [UInt8]) -> Any? {
        try? JSONSerialization.jsonObject(with: Data(bytes), options: [.fragmentsAllowed])
    }

    @Test func foundationReadsWhatWeWrite() throws {
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<3000 {
            let value = value(&generator)
            let theirs = try #require(foundation(value.bytes), "\(value.text)")
            #expect(difference(value, theirs) == nil, "\(value.text)")
        }
    }

    @Test func weReadWhatWeWrite() throws {
        var generator = SeededGenerator(seed: 2)
        for _ in 0..<3000 {
            let value = value(&generator)
            #expect(try JSON.parse(value.bytes) == value)
            #expect(try JSON.parse(value.bytes).bytes == value.bytes)
        }
    }

    @Test func weReadWhatFoundationWrites() throws {
        var generator = SeededGenerator(seed: 3)
        let options: [JSONSerialization.WritingOptions] = [
            [.fragmentsAllowed], [.fragmentsAllowed, .prettyPrinted],
            [.fragmentsAllowed, .sortedKeys, .withoutEscapingSlashes],
        ]
        for round in 0..<2000 {
            let object = try #require(foundation(value(&generator).bytes))
            let written = try JSONSerialization.data(
                withJSONObject: object, options: options[round % options.count])
            let ours = try JSON.parse(Array(written))
            #expect(difference(ours, object) == nil, "\(String(decoding: written, as: UTF8.self))")
        }
    }

    /// Where Foundation takes a text and we do not, one of our stricter rules must be why.
    static let stricter: Set = [
        "the member name occurs twice", "lone surrogate", "the number is too large", "a string is not UTF-8",
    ]

    /// Foundation takes a comma before the closing bracket.
    func isTrailingComma(_ text: [UInt8], _ offset: Int) -> Bool {
        guard offset < text.count, "]}".utf8.contains(text[offset]) else { return false }
        return text[..<offset].last { !" \n\r\t".utf8.contains($0) } == UInt8(ascii: ",")
    }

    @Test func onBrokenTextsWeAgreeOrAreStricter() throws {
        var generator = SeededGenerator(seed: 4)
        let alphabet =
            Array("{}[]\",:\\/ \n\t0123456789.eE+-truefalsnb\u{1}x".utf8) + [0x80, 0xC3, 0xED, 0xFF]
        var taken = 0
        for _ in 0..<50_000 {
            var text = value(&generator, depth: 3).bytes
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let byte = alphabet.randomElement(using: &generator) ?? 0
                let place = Int.random(in: 0...text.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: text.insert(byte, at: place)
                case 1 where place < text.count: text[place] = byte
                case 2 where place < text.count: text.remove(at: place)
                default: break
                }
            }
            let theirs = foundation(text)
            do throws(JSONError) {
                let ours = try JSON.parse(text)
                taken += 1
                if let theirs {
                    #expect(difference(ours, theirs) == nil, "\(Hex.encode(text))")
                } else {
                    Issue.record("only we take \(String(decoding: text, as: UTF8.self)) \(Hex.encode(text))")
                }
            } catch {
                if theirs != nil, !Self.stricter.contains(error.reason), !isTrailingComma(text, error.offset)
                {
                    Issue.record(
                        "only Foundation takes \(String(decoding: text, as: UTF8.self)): \(error)")
                }
            }
        }
        #expect(taken > 1000)
    }
}
