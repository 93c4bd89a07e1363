import Core
import Foundation
import Testing

@Suite struct EncodingsTests {
    func random(_ count: Int, _ generator: inout SeededGenerator) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    @Test func base64URLIsFoundationsBase64InTheOtherAlphabet() {
        var generator = SeededGenerator(seed: 5)
        for count in 0..<200 {
            let bytes = random(count, &generator)
            let theirs = Data(bytes).base64EncodedString().replacing("+", with: "-")
                .replacing("/", with: "_").replacing("=", with: "")
            #expect(Base64URL.encode(bytes) == theirs)
            #expect(Base64URL.decode(theirs) == bytes)
        }
    }

    @Test(arguments: ["A", "AAAAA", "AB", "AAB", "AA==", "AA=", "+A", "/A", "A A", " AA", "AA\n", "é", "A.A"])
    func base64URLTakesOneTextForEachByteString(text: String) {
        #expect(Base64URL.decode(text) == nil)
    }

    @Test func base64URLMatchesRFC4648() {
        #expect(Base64URL.encode("foobar".utf8) == "Zm9vYmFy")
        #expect(Base64URL.encode("fooba".utf8) == "Zm9vYmE")
        #expect(Base64URL.encode("foob".utf8) == "Zm9vYg")
        #expect(Base64URL.decode("") == [])
    }

    @Test func hexIsReadBack() {
        var generator = SeededGenerator(seed: 6)
        for count in 0..<50 {
            let bytes = random(count, &generator)
            #expect(Hex.decode(Hex.encode(bytes)) == bytes)
            #expect(Hex.decode(Hex.encode(bytes).uppercased()) == bytes)
        }
        #expect(Hex.encode([0x00, 0x0F, 0xFF]) == "000fff")
        for text in ["0", "000", "0g", " 00", "0x", "é0"] { #expect(Hex.decode(text) == nil) }
    }

    @Test func base62HasAFixedWidth() {
        #expect(Base62.encode(0, width: 6) == "000000")
        #expect(Base62.encode(61, width: 2) == "0z")
        #expect(Base62.encode(62, width: 2) == "10")
        #expect(Base62.encode(UInt64(UInt32.max), width: 6) == "4gfFC3")
        #expect(Base62.encode(62 * 62, width: 2) == "00")
        #expect(Base62.alphabet.count == 62 && Base62.alphabet.allSatisfy(Base62.contains))
        #expect((0...255).count(where: { Base62.contains($0) }) == 62)
    }

    @Test func crc32MatchesItsCheckValue() {
        #expect(CRC32.checksum("123456789".utf8) == 0xCBF4_3926)
        #expect(CRC32.checksum([]) == 0)
        #expect(CRC32.checksum([0]) == 0xD202_EF8D)
    }
}
