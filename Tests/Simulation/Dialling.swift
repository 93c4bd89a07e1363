import Core

extension Node {
    /// TCP and TLS: two ways there and back. nil when nobody listens, or nobody answers in time.
    func connect(to relay: Relay, patience: Milliseconds, _ done: @escaping (Cable?) -> Void) {
        guard !world.network.isCut(self, relay), !world.network.isCut(relay, self) else {
            return after(patience) { done(nil) }
        }
        let run = run
        var time_us = 0
        for _ in 0..<2 {
            time_us +=
                world.network.time_us(self, relay, &world.random)
                + world.network.time_us(relay, self, &world.random)
        }
        world.after(us: time_us) { [self] in
            guard relay.isUp else { return enter(run) { done(nil) } }
            guard !world.network.isCut(self, relay), !world.network.isCut(relay, self) else {
                return after(patience) { done(nil) }
            }
            guard run == self.run, isUp else { return }
            // The kernel of a stopped relay accepts too.
            let cable = Cable(world, from: self, to: relay)
            relay.accept(cable)
            enter(run) { done(cable) }
        }
    }
}
