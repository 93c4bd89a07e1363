import Core

/// Each connection has one small message under way: it is sent again when it has come back whole.
struct PingPong: Load {
    let connections: Int
    let messages: Int
    let messageBytes: Int
    private let message: [UInt8]

    init(connections: Int, messages: Int, messageBytes: Int) {
        self.connections = connections
        self.messages = messages
        self.messageBytes = messageBytes
        message = [UInt8](repeating: 0x61, count: messageBytes)
    }

    var order: Order { .echo }
    private var messagesEach: Int { max(1, messages / connections) }

    func start(_ client: Client) {
        client.left = messagesEach
        client.expected = messageBytes
        client.send(message)
    }

    func ready(_ client: Client) -> Bool {
        while true {
            let count = client.receive(discard: true)
            if count == 0 { return false }
            client.expected -= count
            guard client.expected <= 0 else { continue }
            client.left -= 1
            if client.left == 0 { return true }
            client.expected = messageBytes
            client.send(message)
        }
    }

    func result(after elapsed: Milliseconds) -> JSON {
        [
            "round_trips": .integer(Int64(messagesEach * connections)),
            "elapsed_ms": .integer(Int64(elapsed.count)),
        ]
    }
}

/// Each connection downloads its share as fast as it comes.
struct Bulk: Load {
    let connections: Int
    let bytes: Int

    var order: Order { .bulk }
    private var bytesEach: Int { bytes / connections }

    func start(_ client: Client) {
        client.left = bytesEach
        client.send((0..<8).map { UInt8(truncatingIfNeeded: bytesEach >> (56 - 8 * $0)) })
    }

    func ready(_ client: Client) -> Bool {
        while client.left > 0 {
            let count = client.receive(discard: true)
            if count == 0 { return false }
            client.left -= count
        }
        return true
    }

    func result(after elapsed: Milliseconds) -> JSON {
        ["bytes": .integer(Int64(bytesEach * connections)), "elapsed_ms": .integer(Int64(elapsed.count))]
    }
}
