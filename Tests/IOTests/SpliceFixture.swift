import IO

/// client — [left splice right] — home, all on one loop. `prepare` gets the splice before it starts.
func withSplice(
    _ loop: EventLoop, pool: SplicePool = SplicePool(), toRight: [UInt8] = [],
    prepare: @escaping (Splice) -> Void = { _ in }, onEnd: @escaping (SpliceReport) -> Void = { _ in },
    _ body: @escaping (Stream, Handler, Stream, Handler) -> Void
) throws {
    let ends = Ends()
    func check() {
        guard let client = ends.client, let home = ends.home, let left = ends.left.take(),
            let right = ends.right.take()
        else { return }
        body(client, ends.clientHandler, home, ends.homeHandler)
        let splice = Splice(
            loop: loop, pool: pool, left: left, right: right, toRight: toRight, onEnd: onEnd)
        prepare(splice)
        splice.start()
        client.start()
        home.start()
    }
    try withPair(loop) { client, left in
        ends.client = Stream(loop: loop, descriptor: client, handler: ends.clientHandler)
        ends.left = consume left
        check()
    }
    try withPair(loop) { home, right in
        ends.home = Stream(loop: loop, descriptor: home, handler: ends.homeHandler)
        ends.right = consume right
        check()
    }
}

private final class Ends {
    var client: Stream?
    var home: Stream?
    var left: Descriptor?
    var right: Descriptor?
    let clientHandler = Handler()
    let homeHandler = Handler()
}
