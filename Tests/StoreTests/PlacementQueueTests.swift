import Core
import Domain
import Synchronization
import Testing

@testable import Store

/// What is asked for while a transaction is under way is done together by the next one.
@Suite struct PlacementQueueTests {
    private static func request(_ number: UInt8) -> PlacementRequest {
        PlacementRequest(
            tunnel: TunnelID(entropy: [number]), account: AccountID(entropy: [1]),
            agentKey: AgentKeyID(entropy: [1]), session: "s", excluding: [], decide: { _ in .noRelay })
    }

    /// The batches in which these requests are worked on when all of them come while two single ones, 254 and 255,
    /// keep both workers; and the answers to them.
    private func outcome(
        of requests: [PlacementRequest], _ answer: PlacementQueue.Answer
    ) async -> (batches: [[TunnelID]], answers: [PlacementQueue.Answer]) {
        let queue = PlacementQueue()
        let batches = Mutex<[[TunnelID]]>([])
        let (gate, opener) = AsyncStream<Void>.makeStream()
        let isOpen = Task { for await _ in gate {} }
        let work: PlacementQueue.Work = { batch in
            batches.withLock { $0.append(batch.map(\.tunnel)) }
            await isOpen.value
            return batch.map { _ in answer }
        }
        return await withTaskGroup(of: PlacementQueue.Answer?.self) { group in
            for number: UInt8 in [254, 255] {
                group.addTask {
                    _ = await queue.place(Self.request(number), work)
                    return nil
                }
                while batches.withLock({ $0.count }) < number - 253 { await Task.yield() }
            }
            for request in requests { group.addTask { await queue.place(request, work) } }
            while queue.waitingCount < requests.count { await Task.yield() }
            opener.finish()
            let answers = await group.reduce(into: []) { $0 += $1.map { [$0] } ?? [] }
            return (Array(batches.withLock { $0 }.dropFirst(2)), answers)
        }
    }

    @Test func whatWaitsIsDoneTogether() async {
        let outcome = await outcome(of: (1...50).map { Self.request($0) }, .success(nil))
        #expect(outcome.batches.map(\.count) == [50])
        #expect(outcome.answers == Array(repeating: .success(nil), count: 50))
    }

    @Test func noBatchHoldsATunnelTwiceOrMoreThanItMay() async {
        let twice = await outcome(of: (1...9).map { Self.request($0 % 3) }, .success(nil))
        #expect(twice.batches.allSatisfy { Set($0).count == $0.count })
        #expect(twice.batches.map(\.count).reduce(0, +) == 9)
        let many = await outcome(of: (0...250).map { Self.request($0) }, .success(nil))
        #expect(many.batches.allSatisfy { $0.count <= PlacementQueue.maxBatch })
        #expect(many.batches.map(\.count).reduce(0, +) == 251)
    }

    @Test func whenTheDatabaseIsAwayEverybodyWhoWaitsIsToldAtOnce() async {
        let away = PlacementQueue.Answer.failure(.unavailable("away"))
        let outcome = await outcome(of: (1...200).map { Self.request($0) }, away)
        #expect(outcome.batches.isEmpty)
        #expect(outcome.answers == Array(repeating: away, count: 200))
    }
}
