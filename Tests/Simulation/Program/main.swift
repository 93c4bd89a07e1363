import Dispatch
import Glibc
import Simulation
import Synchronization

/// simulate --seed N --seconds S [--runs K] [--bug NAME] [--trace] [--jobs J]
/// simulate --bugs [--seed N] [--seconds S] [--runs K]
///
/// Simulates seeds N, N+1, ... K of them, S seconds each. Ends with 1 and the command that replays it when a seed
/// breaks a rule. With --bugs it plants one fault after the other and looks for a seed that shows it.
struct Arguments {
    var seed: UInt64 = 1
    var seconds = 30
    var runs = 1
    var jobs = 1
    var bug: PlantedBug?
    var traces = false
    var plantsAll = false

    static let usage = """
        usage: simulate --seed N --seconds S [--runs K] [--bug NAME] [--trace] [--jobs J]
               simulate --bugs [--seed N] [--seconds S] [--runs K]
        """

    init?(_ words: [String]) {
        var words = words[...]
        while let word = words.popFirst() {
            switch word {
            case "--trace": traces = true
            case "--bugs": plantsAll = true
            case "--bug":
                guard let name = words.popFirst(), let bug = PlantedBug(rawValue: name) else { return nil }
                self.bug = bug
            case "--seed", "--seconds", "--runs", "--jobs":
                guard let number = words.popFirst().flatMap({ Int($0) }), number >= 0 else { return nil }
                switch word {
                case "--seed": seed = UInt64(number)
                case "--seconds": seconds = max(1, number)
                case "--runs": runs = max(1, number)
                default: jobs = max(1, number)
                }
            default: return nil
            }
        }
    }
}

/// What all threads of this program have found.
struct Tally: Sendable {
    var next = 0
    var simulated_ms = 0
    var events = 0
    var joins = 0
    var settled_ms: [Int] = []
    var broken: [Outcome] = []
}

func seconds(since start: timespec) -> Double {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Double(now.tv_sec - start.tv_sec) + Double(now.tv_nsec - start.tv_nsec) / 1e9
}

func rounded(_ value: Double) -> String { "\(Int(value * 10) / 10).\(Int(value * 10) % 10)" }

guard let arguments = Arguments(Array(CommandLine.arguments.dropFirst())) else {
    print(Arguments.usage)
    print("bugs: " + PlantedBug.allCases.map(\.rawValue).joined(separator: " "))
    exit(64)
}

// The order in which a Set or Dictionary lists its members is the same in every process only with this.
if getenv("SWIFT_DETERMINISTIC_HASHING") == nil {
    setenv("SWIFT_DETERMINISTIC_HASHING", "1", 1)
    var words = CommandLine.arguments.map { strdup($0) } + [nil]
    execv("/proc/self/exe", &words)
}

if arguments.plantsAll {
    var missed = 0
    for bug in PlantedBug.allCases {
        let found = Simulation.find(
            bug, from: arguments.seed, runs: max(arguments.runs, 4000), seconds: arguments.seconds)
        if let found {
            print("\(bug.rawValue): seed \(found.seed) breaks \(found.violations[0])")
        } else {
            print("\(bug.rawValue): NOT FOUND")
            missed += 1
        }
    }
    print("planted \(PlantedBug.allCases.count) faults, found \(PlantedBug.allCases.count - missed)")
    exit(missed == 0 ? 0 : 1)
}

var start = timespec()
clock_gettime(CLOCK_MONOTONIC, &start)
let tally = Mutex(Tally())

DispatchQueue.concurrentPerform(iterations: min(arguments.jobs, arguments.runs)) { _ in
    while true {
        let number = tally.withLock { tally -> Int? in
            guard tally.next < arguments.runs, tally.broken.count < 3 else { return nil }
            tally.next += 1
            return tally.next - 1
        }
        guard let number else { return }
        let outcome = Simulation.run(
            Options(
                seed: arguments.seed + UInt64(number), seconds: arguments.seconds, bug: arguments.bug,
                traces: arguments.traces))
        tally.withLock { tally in
            tally.simulated_ms += outcome.simulated_ms
            tally.events += outcome.events
            tally.joins += outcome.joins
            if let settled_ms = outcome.settled_ms { tally.settled_ms.append(settled_ms) }
            if !outcome.violations.isEmpty { tally.broken.append(outcome) }
        }
        if arguments.traces { print(outcome.trace.joined(separator: "\n")) }
        if arguments.runs == 1 {
            print("fingerprint \(String(outcome.fingerprint, radix: 16))")
        }
    }
}

let elapsed_s = seconds(since: start)
let result = tally.withLock { $0 }
let settled = result.settled_ms.sorted()
for outcome in result.broken.sorted(by: { $0.seed < $1.seed }) {
    for violation in outcome.violations { print("seed \(outcome.seed) breaks \(violation)") }
    let bug = arguments.bug.map { " --bug \($0.rawValue)" } ?? ""
    print("    replay: simulate --seed \(outcome.seed) --seconds \(arguments.seconds)\(bug) --trace")
}
let perSecond = elapsed_s > 0 ? Double(result.simulated_ms) / 1000 / elapsed_s : 0
print(
    "simulated \(result.next) runs from seed \(arguments.seed): \(result.simulated_ms / 1000) s in "
        + "\(rounded(elapsed_s)) s, \(Int(perSecond)) x real time with \(arguments.jobs) jobs, "
        + "\(result.events) events, \(result.joins) joins; settled after "
        + "\(settled.isEmpty ? 0 : settled[settled.count / 2]) ms (half), \(settled.last ?? 0) ms (all); "
        + "\(result.broken.isEmpty ? "no rule broken" : "RULES BROKEN")")
exit(result.broken.isEmpty ? 0 : 1)
