import Core
import IO
import Reconcilers
import Redis

/// The load subscriber, reached from outside its loop.
struct LoadFeed: Sendable {
    private let mailbox: Mailbox
    private let subscriber: LoopBound<LoadSubscriber>

    static func start(url: RedisURL, board: LoadBoard, leadership: Leadership, on mailbox: Mailbox) async
        -> LoadFeed
    {
        await withCheckedContinuation { continuation in
            mailbox.post { loop in
                let subscriber = LoadSubscriber(loop: loop, url: url, board: board) { state in
                    leadership.redisIs(ready: state == .ready)
                }
                continuation.resume(
                    returning: LoadFeed(mailbox: mailbox, subscriber: LoopBound(subscriber, loop)))
            }
        }
    }

    func follow(_ regions: [String]) {
        let subscriber = subscriber
        mailbox.post { subscriber.get($0).follow(regions) }
    }

    func close() {
        let subscriber = subscriber
        mailbox.post { subscriber.get($0).close() }
    }
}
