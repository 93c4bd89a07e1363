import CLinux
import Core
import Testing

@testable import IO

struct ListenerTests {
    @Test func runningOutOfDescriptorsPausesAcceptingAndItComesBack() throws {
        var failures = 3
        var exhausted = 0
        var accepted = 0
        try withLoop { loop in
            let address = try #require(anyLoopbackPort)
            let listener = try Listener(
                loop: loop, address: address, backlog: 16,
                accept: { descriptor, peer, length in
                    if failures > 0 {
                        failures -= 1
                        mc_set_errno(EMFILE)
                        return -1
                    }
                    return accept4(descriptor, peer, length, Int32(SOCK_NONBLOCK.rawValue))
                }, onExhausted: { exhausted += 1 }
            ) { _, _ in
                accepted += 1
                loop.stop()
            }
            loop.connect(Endpoint(listener.localAddress), timeout: .seconds(5)) { _ in }
        }
        #expect(exhausted == 3)
        #expect(accepted == 1)
    }

    @Test func severalLoopsMayListenAtOneAddress() throws {
        try withLoop { loop in
            let address = try #require(anyLoopbackPort)
            let first = try Listener(loop: loop, address: address) { _, _ in loop.stop() }
            let second = try Listener(loop: loop, address: first.localAddress) { _, _ in loop.stop() }
            #expect(second.localAddress == first.localAddress)
            loop.connect(Endpoint(first.localAddress), timeout: .seconds(5)) { _ in }
        }
    }

    @Test func aDualStackListenerShowsIPv4PeersAsIPv4() throws {
        try withLoop { loop in
            let address = try #require(SocketAddress("[::]:0"))
            let listener = try Listener(loop: loop, address: address) { _, peer in
                #expect(peer.host == "127.0.0.1")
                loop.stop()
            }
            let endpoint = Endpoint(host: "127.0.0.1", port: listener.localAddress.port)
            loop.connect(endpoint, timeout: .seconds(5)) { _ in }
        }
    }
}
