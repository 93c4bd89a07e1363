import Core
import Crypto
import Testing

@Suite struct TypedKeyTests {
    @Test(arguments: TypedKey.Prefix.allCases)
    func aFreshKeyIsReadBack(prefix: TypedKey.Prefix) throws {
        let key = TypedKey.generate(prefix: prefix)
        #expect(key.text.hasPrefix(prefix.rawValue))
        #expect(key.text.utf8.count == 42)
        let read = try #require(TypedKey(parsing: key.text, prefix: prefix))
        #expect(read.text == key.text && read.hash == key.hash)
        #expect(TypedKey(parsing: key.text)?.prefix == prefix)
        for other in TypedKey.Prefix.allCases where other != prefix {
            #expect(TypedKey(parsing: key.text, prefix: other) == nil)
        }
    }

    @Test func twoKeysDiffer() {
        #expect(TypedKey.generate(prefix: .agent).text != TypedKey.generate(prefix: .agent).text)
    }

    @Test func aTypingErrorIsNoticed() {
        let text = Array(TypedKey.generate(prefix: .agent).text.utf8)
        for index in text.indices {
            for other in [UInt8(ascii: "0"), UInt8(ascii: "z"), UInt8(ascii: "-")] where other != text[index]
            {
                var changed = text
                changed[index] = other
                #expect(TypedKey(parsing: String(decoding: changed, as: UTF8.self)) == nil)
            }
        }
        for index in 4..<text.count - 1 where text[index] != text[index + 1] {
            var swapped = text
            swapped.swapAt(index, index + 1)
            #expect(TypedKey(parsing: String(decoding: swapped, as: UTF8.self)) == nil)
        }
    }

    @Test func theChecksumOfOneKindDoesNotFitAnother() {
        let text = TypedKey.generate(prefix: .agent).text
        #expect(TypedKey(parsing: "mco_" + text.dropFirst(4)) == nil)
    }

    @Test(arguments: ["", "mca_", "mca", "xyz_00000000000000000000000000000000000000", "ééé"])
    func anotherTextIsNoKey(text: String) {
        #expect(TypedKey(parsing: text) == nil)
    }

    @Test func spaceAroundAKeyIsNotTaken() {
        let text = TypedKey.generate(prefix: .account).text
        #expect(TypedKey(parsing: text + " ") == nil)
        #expect(TypedKey(parsing: " " + text) == nil)
        #expect(TypedKey(parsing: text + "\n") == nil)
    }

    @Test func theFormatIsStable() {
        let body = "mca_" + String(repeating: "0", count: 32)
        let text = body + Base62.encode(UInt64(CRC32.checksum(body.utf8)), width: 6)
        let key = TypedKey(parsing: text)
        #expect(key?.hash == SHA256.hash(Array(text.utf8)))
    }

    @Test func theSecretStaysOutOfTextAndDumps() {
        let key = TypedKey.generate(prefix: .operator)
        var dumped = ""
        dump(key, to: &dumped)
        #expect("\(key)" == "mco_…")
        #expect(!dumped.contains(key.text) && !String(reflecting: key).contains(key.text))
    }
}
