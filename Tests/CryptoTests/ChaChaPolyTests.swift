import Core
import Testing

@testable import Crypto

@Suite struct ChaChaPolyTests {
    /// RFC 8439, section 2.8.2.
    private let key = Array(UInt8(0x80)...0x9F)
    private let nonce: [UInt8] = [7, 0, 0, 0, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47]
    private let context: [UInt8] = [0x50, 0x51, 0x52, 0x53, 0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7]
    private let plain = Array(
        "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."
            .utf8)
    private let sealed = """
        d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b\
        1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc\
        3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691
        """

    @Test func sealsAsTheRFCDoes() throws {
        #expect(
            try Hex.encode(ChaChaPoly.seal(plain, key: key, nonce: nonce, context: context)) == sealed)
    }

    /// RFC 8439, appendix A.5.
    @Test func opensAsTheRFCDoes() throws {
        let text = try #require(
            Hex.decode(
                """
                64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d26b0\
                bdb7b73c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855\
                9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4b9166c767b804d46a59b5216cde7a4e9\
                9040c5a40433225ee282a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a\
                0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a1049e617d91d361094fa68f0ff77987130\
                305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709beead9d67890cbb22392336fea1851f38
                """))
        let key = try #require(
            Hex.decode("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0"))
        let opened = try ChaChaPoly.open(
            text, key: key, nonce: try #require(Hex.decode("000000000102030405060708")),
            context: try #require(Hex.decode("f33388860000000000004e91")))
        let words = String(decoding: try #require(opened), as: UTF8.self)
        #expect(words.hasPrefix("Internet-Drafts are draft documents valid for a maximum of six months"))
        #expect(words.hasSuffix("other than as /\u{201C}work in progress./\u{201D}"))
    }

    @Test func opensNothingThatWasChanged() throws {
        let good = try #require(Hex.decode(sealed))
        func opens(
            _ sealed: [UInt8], key: [UInt8]? = nil, nonce: [UInt8]? = nil, context: [UInt8]? = nil
        ) throws -> Bool {
            try ChaChaPoly.open(
                sealed, key: key ?? self.key, nonce: nonce ?? self.nonce, context: context ?? self.context)
                == plain
        }
        #expect(try opens(good))
        for place in good.indices {
            var bad = good
            bad[place] ^= 1
            #expect(try !opens(bad))
        }
        #expect(try !opens(Array(good.dropLast())))
        #expect(try !opens([]))
        #expect(try !opens(good, key: self.key.reversed()))
        #expect(try !opens(good, nonce: nonce.reversed()))
        #expect(try !opens(good, context: context + [0]))
        #expect(throws: CryptoError.self) { try opens(good, key: [1, 2, 3]) }
        #expect(throws: CryptoError.self) { try opens(good, nonce: []) }
    }

    @Test func aBoxOpensWhatItsOldKeysSealed() throws {
        let old = SecureRandom.bytes(32)
        let new = SecureRandom.bytes(32)
        let secret = SecureRandom.bytes(32)
        let sealed = try SecretBox(keys: [old]).seal(secret, name: "kid-1")
        #expect(try SecretBox(keys: [new, old]).open(sealed, name: "kid-1") == secret)
        #expect(try SecretBox(keys: [new]).open(sealed, name: "kid-1") == nil)
        #expect(try SecretBox(keys: [old]).open(sealed, name: "kid-2") == nil)
        #expect(try SecretBox(keys: [old]).open([], name: "kid-1") == nil)
        // Twice the same secret is not twice the same text.
        #expect(try SecretBox(keys: [old]).seal(secret, name: "kid-1") != sealed)
        #expect(throws: CryptoError.self) { try SecretBox(keys: []) }
        #expect(throws: CryptoError.self) { try SecretBox(keys: [[1]]) }
        #expect("\(try SecretBox(keys: [[UInt8](repeating: 0x41, count: 32)]))" == "SecretBox")
    }
}
