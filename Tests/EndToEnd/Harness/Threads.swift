import IO
import Synchronization

/// A value that one thread puts and another looks for.
final class Box<Value: Sendable>: Sendable {
    private let held = Mutex<Value?>(nil)

    var value: Value? { held.withLock { $0 } }
    func put(_ value: Value) { held.withLock { $0 = value } }
}

/// Does two things at a time and waits for both; an error of either is thrown.
func both(_ one: @escaping @Sendable () throws -> Void, _ other: () throws -> Void) throws {
    let done = Gathering<Result<Void, any Error>>(expecting: 1)
    try ThreadHandle.start(name: "both") { done.add(Result { try one() }) }.detach()
    let mine = Result { try other() }
    try done.wait()[0].get()
    try mine.get()
}
