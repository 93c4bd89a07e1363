import Core
import Testing

@testable import Crypto

@Suite struct ScryptTests {
    @Test(arguments: [
        (
            "", "", Scrypt.Cost(logN: 4, r: 1, p: 1),
            "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"
        ),
        (
            "password", "NaCl", Scrypt.Cost(logN: 10, r: 8, p: 16),
            "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"
        ),
        (
            "pleaseletmein", "SodiumChloride", Scrypt.Cost(logN: 14, r: 8, p: 1),
            "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
        ),
    ])
    func derivesAsRFC7914Does(password: String, salt: String, cost: Scrypt.Cost, key: String) throws {
        let derived = Scrypt.derive(
            Array(password.utf8), salt: Array(salt.utf8), cost: cost, byteCount: 64)
        #expect(Hex.encode(try #require(derived)) == key)
    }

    @Test func aPasswordFitsItsHashAndNoOther() {
        let hash = Scrypt.hash(password: "correct horse battery staple")
        #expect(hash.hasPrefix("$scrypt$ln=15,r=8,p=3$"))
        #expect(Scrypt.verify(password: "correct horse battery staple", hash: hash))
        #expect(!Scrypt.verify(password: "correct horse battery stapl", hash: hash))
        #expect(!Scrypt.verify(password: "", hash: hash))
        #expect(!hash.contains("horse"))
    }

    @Test func equalPasswordsHaveDifferentHashes() {
        #expect(Scrypt.hash(password: "same") != Scrypt.hash(password: "same"))
    }

    @Test func textInOtherScriptsAndZeroBytesCount() {
        let hash = Scrypt.hash(password: "pass\0wörd🔑")
        #expect(Scrypt.verify(password: "pass\0wörd🔑", hash: hash))
        #expect(!Scrypt.verify(password: "pass", hash: hash))
    }

    @Test func theDummyIsAHashOfTheSameCostThatNothingMatches() {
        let real = Scrypt.hash(password: "x").split(separator: "$")
        let dummy = Scrypt.dummyHash.split(separator: "$")
        #expect(dummy.count == real.count && dummy[1] == real[1])
        #expect(dummy[2].count == real[2].count && dummy[3].count == real[3].count)
        #expect(!Scrypt.verify(password: "", hash: Scrypt.dummyHash))
        #expect(!Scrypt.verify(password: "password", hash: Scrypt.dummyHash))
    }

    static let salt = "AAAAAAAAAAAAAAAAAAAAAA"
    static let key = String(repeating: "A", count: 43)

    @Test(arguments: [
        "", "$", "plain", "$scrypt$", "$argon2id$ln=4,r=1,p=1$\(salt)$\(key)",
        "$scrypt$ln=4,r=1$\(salt)$\(key)", "$scrypt$ln=4,r=1,p=1$\(salt)$", "$scrypt$ln=4,r=1,p=1$$\(key)",
        "$scrypt$ln=4,r=1,p=1$\(salt)$\(key)$", "$scrypt$ln=0,r=1,p=1$\(salt)$\(key)",
        "$scrypt$ln=21,r=8,p=1$\(salt)$\(key)", "$scrypt$ln=17,r=8,p=1$\(salt)$\(key)",
        "$scrypt$ln=-4,r=1,p=1$\(salt)$\(key)", "$scrypt$ln=99999999999999999999,r=1,p=1$\(salt)$\(key)",
        "$scrypt$ln=4,r=0,p=1$\(salt)$\(key)", "$scrypt$ln=4,r=1,p=17$\(salt)$\(key)",
        "$scrypt$ln=4,r=1,p=1$\(salt)=$\(key)",
    ])
    func aHashOfAnotherFormMatchesNothing(hash: String) {
        #expect(!Scrypt.verify(password: "", hash: hash))
    }
}
