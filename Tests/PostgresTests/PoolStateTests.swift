import Testing

@testable import Postgres

@Suite struct PoolStateTests {
    @Test func aFreeSlotIsGivenAtOnceAndTheLastOneUsedComesFirst() {
        var state = PoolState(slots: 2, maxWaiting: 10)
        #expect(state.acquire() == .slot(0))
        #expect(state.acquire() == .slot(1))
        #expect(state.release(1) == nil)
        #expect(state.acquire() == .slot(1))
    }

    @Test func whoWaitsLongestGetsTheSlotThatIsGivenBack() {
        var state = PoolState(slots: 1, maxWaiting: 10)
        _ = state.acquire()
        #expect(state.acquire() == .wait(1))
        #expect(state.acquire() == .wait(2))
        #expect(state.release(0) == 1)
        #expect(state.release(0) == 2)
        #expect(state.release(0) == nil)
        #expect(state.acquire() == .slot(0))
    }

    @Test func whoGaveUpIsPassedOver() {
        var state = PoolState(slots: 1, maxWaiting: 10)
        _ = state.acquire()
        _ = state.acquire()
        _ = state.acquire()
        #expect(state.giveUp(1) == true)
        #expect(state.giveUp(1) == false)
        #expect(state.release(0) == 2)
    }

    @Test func aFullQueueRefuses() {
        var state = PoolState(slots: 1, maxWaiting: 1)
        _ = state.acquire()
        _ = state.acquire()
        #expect(state.acquire() == .full)
    }
}
