import Core
import Wire

/// How long things take from node to node, and which ways are cut. A cut way loses nothing that a connection
/// carries: it comes when the way is open again, as TCP would have it.
struct Network {
    private var count = 0
    private var cuts: [Bool] = []
    /// One more for each reason that cuts the way.
    private var base_us: [Int] = []
    /// Of a thousand messages, how many are slow, and how slow at most.
    var slowPermille = 5
    var slow_us = 40_000

    private static let width = 64

    init() {
        cuts = [Bool](repeating: false, count: Self.width * Self.width)
        base_us = [Int](repeating: 400, count: Self.width * Self.width)
    }

    mutating func addNode() -> Int {
        count += 1
        precondition(count <= Self.width, "more nodes than the network's table has room for")
        return count - 1
    }

    private func place(_ from: Node, _ to: Node) -> Int { from.index * Self.width + to.index }

    func isCut(_ from: Node, _ to: Node) -> Bool { cuts[place(from, to)] }

    mutating func cut(_ from: Node, _ to: Node) { cuts[place(from, to)] = true }

    mutating func heal(_ from: Node, _ to: Node) { cuts[place(from, to)] = false }

    mutating func healAll() {
        for index in cuts.indices { cuts[index] = false }
    }

    mutating func setBase(_ one: Node, _ other: Node, us: Int) {
        base_us[place(one, other)] = us
        base_us[place(other, one)] = us
    }

    func time_us(_ from: Node, _ to: Node, _ random: inout Chance) -> Int {
        let base = base_us[place(from, to)]
        var time = base + random.below(base)
        if random.happens(slowPermille) { time += random.below(slow_us) }
        return time
    }
}

/// What connections between agents and relays, and between relays, carry.
enum Parcel {
    case frame(LinkFrame)
    case mesh(MeshFrame)
    /// The first bytes of a data connection.
    case preamble(Nonce)
    /// A player waits at the other end: dial home.
    case begin
    case answer(StartAnswer)
}

/// Who holds an end of a connection.
protocol CableEnd: AnyObject {
    func received(_ parcel: Parcel, on cable: Cable)
    /// The other side closed it, or its process is gone.
    func closed(_ cable: Cable)
}

/// A TCP connection: in order, nothing lost, until an end closes it.
final class Cable {
    enum Side: Int {
        case dialler = 0
        case acceptor = 1
        var other: Side { self == .dialler ? .acceptor : .dialler }
    }

    private enum Item {
        case parcel(Parcel)
        case end
    }

    private unowned let world: World
    private let nodes: (Node, Node)
    private let runs: (Int, Int)
    private var ends: ((any CableEnd)?, (any CableEnd)?)
    private var isOpen = (true, true)
    private var lastArrival_us = (0, 0)
    /// On the way to a side while the way there is cut.
    private var held: ([Item], [Item]) = ([], [])

    init(_ world: World, from dialler: Node, to acceptor: Node) {
        self.world = world
        nodes = (dialler, acceptor)
        runs = (dialler.run, acceptor.run)
        dialler.cables.append(self)
        acceptor.cables.append(self)
    }

    func attach(_ end: any CableEnd, _ side: Side) {
        if side == .dialler { ends.0 = end } else { ends.1 = end }
    }

    func node(_ side: Side) -> Node { side == .dialler ? nodes.0 : nodes.1 }
    private func run(_ side: Side) -> Int { side == .dialler ? runs.0 : runs.1 }
    private func isOpen(_ side: Side) -> Bool { side == .dialler ? isOpen.0 : isOpen.1 }

    /// Whether the process that this side was made for still runs.
    func isAlive(_ side: Side) -> Bool { node(side).isUp && node(side).run == run(side) }

    /// Neither end has closed it.
    var isWhole: Bool { isOpen.0 && isOpen.1 }

    func send(_ parcel: Parcel, from side: Side) {
        guard isOpen(side) else { return }
        put(.parcel(parcel), to: side.other)
    }

    /// What was sent before still arrives.
    func close(from side: Side) {
        guard isOpen(side) else { return }
        shut(side)
        put(.end, to: side.other)
    }

    /// The process at this end is gone.
    func breakOff(from node: Node) { close(from: node === nodes.0 ? .dialler : .acceptor) }

    private func shut(_ side: Side) {
        if side == .dialler {
            isOpen.0 = false
            ends.0 = nil
        } else {
            isOpen.1 = false
            ends.1 = nil
        }
        let node = node(side)
        if let index = node.cables.firstIndex(where: { $0 === self }) { node.cables.remove(at: index) }
    }

    private func put(_ item: Item, to side: Side) {
        let from = node(side.other)
        let to = node(side)
        var at_us = world.now_us + world.network.time_us(from, to, &world.random)
        let last = side == .dialler ? lastArrival_us.0 : lastArrival_us.1
        at_us = max(at_us, last + 1)
        if side == .dialler { lastArrival_us.0 = at_us } else { lastArrival_us.1 = at_us }
        world.at(us: at_us) { [self] in arrive(item, side) }
    }

    private func arrive(_ item: Item, _ side: Side) {
        guard isOpen(side) else { return }
        let waits = side == .dialler ? !held.0.isEmpty : !held.1.isEmpty
        if waits || world.network.isCut(node(side.other), node(side)) {
            if side == .dialler { held.0.append(item) } else { held.1.append(item) }
            if !waits { world.heldCables.append(self) }
            return
        }
        hand(item, side)
    }

    /// The way may be open again.
    func retransmit() {
        for side in [Side.dialler, .acceptor] where !world.network.isCut(node(side.other), node(side)) {
            let items = side == .dialler ? held.0 : held.1
            if side == .dialler { held.0 = [] } else { held.1 = [] }
            for item in items { put(item, to: side) }
        }
        if !held.0.isEmpty || !held.1.isEmpty { world.heldCables.append(self) }
    }

    private func hand(_ item: Item, _ side: Side) {
        node(side).enter(run(side)) { [self] in
            guard isOpen(side), let end = side == .dialler ? ends.0 : ends.1 else { return }
            switch item {
            case .parcel(let parcel): end.received(parcel, on: self)
            case .end:
                shut(side)
                shut(side.other)
                end.closed(self)
            }
        }
    }

    func release() {
        isOpen = (false, false)
        ends = (nil, nil)
        held = ([], [])
    }
}
