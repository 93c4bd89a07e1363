import Core
import Testing

@Suite struct IdentifierTests {
    @Test func textAndBytesAreTheSameThing() throws {
        let entropy = (0..<16).map { UInt8($0 * 17) }
        let id = TunnelID(entropy: entropy)
        #expect(id.text.hasPrefix("tun_"))
        #expect(id.text.utf8.count == 26)
        #expect(id.entropy == entropy)
        #expect(TunnelID(id.text) == id)
        #expect(
            TunnelID(entropy: [UInt8](repeating: 0xFF, count: 16)).entropy
                == [UInt8](repeating: 0xFF, count: 16))
    }

    @Test(arguments: [
        "", "tun_", "acc_0000000000000000000000", "tun_000000000000000000000", "tun_00000000000000000000000",
        "tun_zzzzzzzzzzzzzzzzzzzzzz", "tun_000000000000000000000-",
    ])
    func foreignTextIsRefused(_ text: String) { #expect(TunnelID(text) == nil) }
}
