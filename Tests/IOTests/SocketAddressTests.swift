import Core
import IO
import Testing

struct SocketAddressTests {
    @Test(arguments: ["203.0.113.7:25565", "[2001:db8::1]:7000", "[::1]:0"])
    func addressesReadAndWriteAlike(_ text: String) throws {
        let address = try #require(SocketAddress(text))
        #expect(address.description == text)
    }

    @Test(arguments: [
        "", "203.0.113.7", "example.com:1", "1.2.3.4:65536", "::1:25565", "1.2.3.4:+5", "1.2.3:4:5",
    ])
    func otherTextIsNoAddress(_ text: String) {
        #expect(SocketAddress(text) == nil)
    }

    @Test func loopbackIsKnownInAllItsForms() throws {
        for text in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            #expect(try #require(SocketAddress(text)).isLoopback, "\(text)")
        }
        for text in ["128.0.0.1:1", "[::2]:1", "[::ffff:10.0.0.1]:1", "0.0.0.0:1"] {
            #expect(try !#require(SocketAddress(text)).isLoopback, "\(text)")
        }
    }
}
