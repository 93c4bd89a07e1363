import CLinux
import Core
import IO
import Testing

struct ConnectorTests {
    /// A port where nothing listens: taken and given back.
    private func closedPort(_ loop: EventLoop) throws -> Endpoint {
        let address = try #require(anyLoopbackPort)
        let listener = try Listener(loop: loop, address: address) { _, _ in }
        defer { listener.close() }
        return Endpoint(listener.localAddress)
    }

    @Test func aNameIsLookedUpAndConnected() throws {
        try withLoop { loop in
            let address = try #require(anyLoopbackPort)
            let listener = try Listener(loop: loop, address: address) { _, _ in }
            let endpoint = Endpoint(host: "localhost", port: listener.localAddress.port)
            loop.connect(endpoint, timeout: .seconds(10)) { result in
                switch consume result {
                case .success(let socket):
                    #expect(SocketAddress.peer(of: socket.rawValue)?.port == endpoint.port)
                case .failure(let error): Issue.record("\(error)")
                }
                listener.close()
                loop.stop()
            }
        }
    }

    @Test func aRefusalNamesTheAddress() throws {
        try withLoop { loop in
            let endpoint = try closedPort(loop)
            loop.connect(endpoint, timeout: .seconds(10)) { result in
                switch consume result {
                case .success: Issue.record("connected to a closed port")
                case .failure(let error):
                    #expect(error == .refused(endpoint))
                    #expect(error.description.contains(endpoint.description))
                }
                loop.stop()
            }
        }
    }

    @Test func anUnknownNameIsAnError() throws {
        try withLoop { loop in
            loop.connect(Endpoint(host: "nowhere.invalid", port: 1), timeout: .seconds(15)) { result in
                guard case .failure(.unknownHost("nowhere.invalid", _)) = consume result else {
                    Issue.record("not an unknown host")
                    return loop.stop()
                }
                loop.stop()
            }
        }
    }

    @Test func silenceEndsAtTheTimeout() throws {
        try withLoop { loop in
            // A full backlog leaves further SYNs unanswered.
            let address = try #require(anyLoopbackPort)
            let socket = try SocketOptions.tcpSocket(ipv6: false)
            let raw = socket.rawValue
            #expect(address.withSockaddr { bind(raw, $0, $1) } == 0)
            #expect(listen(raw, 0) == 0)
            let bound = try #require(SocketAddress.local(of: raw))
            let kept = Kept(consume socket)
            let endpoint = Endpoint(bound)
            for _ in 0..<3 {
                loop.connect(endpoint, timeout: .seconds(15)) { result in
                    if case .success(let filler) = consume result { kept.keep(filler) }
                }
            }
            loop.schedule(after: Milliseconds(50)) {
                loop.connect(endpoint, timeout: Milliseconds(100)) { result in
                    guard case .failure(.timedOut(endpoint)) = consume result else {
                        Issue.record("not a timeout")
                        return loop.stop()
                    }
                    loop.stop()
                }
            }
        }
    }

    @Test func aSourceAddressIsUsed() throws {
        try withLoop { loop in
            let address = try #require(anyLoopbackPort)
            let listener = try Listener(loop: loop, address: address) { _, peer in
                #expect(peer.host == "127.9.8.7")
                loop.stop()
            }
            loop.connect(
                Endpoint(listener.localAddress), timeout: .seconds(5),
                source: SocketAddress(octets: [127, 9, 8, 7], port: 0)
            ) { _ in }
        }
    }
}

/// Holds descriptors until the test is over.
private final class Kept {
    private var raw: [Int32]

    init(_ first: consuming Descriptor) { raw = [first.release()] }

    func keep(_ descriptor: consuming Descriptor) { raw.append(descriptor.release()) }

    deinit { for descriptor in raw { close(descriptor) } }
}
