import Core
import Domain
import Redis

/// What several control planes count together, in Redis: each script is atomic, and each key goes by itself.
struct RedisThrottles: Sendable {
    private let redis: RedisClient

    init(_ redis: RedisClient) { self.redis = redis }

    // MARK: Rates

    static func key(_ key: RateCells.Key) -> String { "rate:\(key.limit.name):\(key.caller)" }

    /// For each key: when its bucket will be full again, moved on by what was used; answers how far away that is.
    private static let rateScript = """
        local t = redis.call('TIME')
        local now = t[1] * 1000000 + t[2]
        local used = {}
        for i, key in ipairs(KEYS) do
            local step, whole, count = tonumber(ARGV[3*i-2]), tonumber(ARGV[3*i-1]), tonumber(ARGV[3*i])
            local full = tonumber(redis.call('GET', key) or '0') or 0
            if full < now then full = now end
            full = math.min(full + step * count, now + 2 * whole)
            redis.call('SET', key, string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000) + 1000)
            used[i] = math.ceil(full - now)
        end
        return used
        """

    /// Adds what was used here; answers, in the same order, how much of each bucket all have used, in nanoseconds.
    func exchange(_ uses: [RateCells.Use]) async throws(RedisError) -> [UInt64] {
        var arguments = ["EVAL", Self.rateScript, String(uses.count)] + uses.map { Self.key($0.key) }
        for use in uses {
            arguments += [
                "\(Double(use.key.limit.step_ns) / 1000)", "\(Double(use.key.limit.full_ns) / 1000)",
                String(use.count),
            ]
        }
        let used = try await numbers(arguments, count: uses.count, timeout: .seconds(1))
        return used.map { UInt64(max(0, $0)) * 1000 }
    }

    // MARK: Sign-ins

    /// ARGV: now in ms (0 for the clock of Redis), how long a network is known, then four numbers a policy.
    private static let strikes = """
        local now = tonumber(ARGV[1])
        if now == 0 then
            local t = redis.call('TIME')
            now = t[1] * 1000 + math.floor(t[2] / 1000)
        end
        local function policy(i)
            local at = 3 + (i - 1) * 4
            return tonumber(ARGV[at]), tonumber(ARGV[at+1]), tonumber(ARGV[at+2]), tonumber(ARGV[at+3])
        end
        local function load(i)
            local free, first, most, decay = policy(i)
            local s = redis.call('HMGET', KEYS[i], 'count', 'since', 'next')
            local count, since, next = tonumber(s[1]) or 0, tonumber(s[2]) or now, tonumber(s[3]) or 0
            local lost = math.floor(math.max(0, now - since) / decay)
            if lost >= count then return 0, now, next end
            return count - lost, since + lost * decay, next
        end
        local function save(i, count, since, next)
            local free, first, most, decay = policy(i)
            redis.call('HSET', KEYS[i], 'count', string.format('%.0f', count),
                'since', string.format('%.0f', since), 'next', string.format('%.0f', next))
            redis.call('PEXPIRE', KEYS[i], string.format('%.0f', math.max(count * decay, next - now) + 1000))
        end

        """

    /// Answers how long to wait, for which of the policies, and whether the network is known.
    private static let attemptScript =
        strikes + """
            local known = redis.call('EXISTS', KEYS[4])
            local counted = 3 - known
            local wait, which, states = 0, 0, {}
            for i = 1, counted do
                local count, since, next = load(i)
                if next - now > wait then wait, which = next - now, i end
                states[i] = {count, since, next}
            end
            if wait > 0 then return {wait, which, known} end
            for i = 1, counted do
                local free, first, most = policy(i)
                local count, since, next = states[i][1] + 1, states[i][2], states[i][3]
                if count >= free then next = now + math.min(most, first * 2 ^ math.min(count - free, 16)) end
                save(i, count, since, next)
            end
            return {0, 0, known}
            """

    /// ARGV ends with whether the password was right and whether the network was known.
    private static let endScript =
        strikes + """
            local right, counted = ARGV[#ARGV-1] == '1', 3 - tonumber(ARGV[#ARGV])
            local first = 1
            if right then
                redis.call('DEL', KEYS[1])
                redis.call('SET', KEYS[4], '1', 'PX', ARGV[2])
                first = 2
            end
            for i = first, counted do
                if redis.call('EXISTS', KEYS[i]) == 1 then
                    local count, since, next = load(i)
                    count = math.max(0, count - 1)
                    if count < policy(i) then next = 0 end
                    if count == 0 then redis.call('DEL', KEYS[i]) else save(i, count, since, next) end
                end
            end
            return {0}
            """

    /// As `SignInGuard.attempt`. `now_ms` 0 takes the clock of Redis.
    func attempt(
        _ subject: SignInSubject, _ policies: SignInPolicies, now_ms: Int = 0, timeout: Milliseconds
    ) async throws(RedisError) -> SignInVerdict {
        let answer = try await numbers(
            arguments(Self.attemptScript, subject, policies, now_ms), count: 3, timeout: timeout)
        let all = policies.all
        guard answer[0] > 0 else { return .pass(isKnown: answer[2] == 1) }
        guard (1...all.count).contains(answer[1]) else { throw .closed }
        return .wait(ms: answer[0], all[answer[1] - 1])
    }

    /// As `SignInGuard.end`.
    func end(
        _ subject: SignInSubject, _ policies: SignInPolicies, _ end: SignInEnd, wasKnown: Bool,
        now_ms: Int = 0, timeout: Milliseconds
    ) async throws(RedisError) {
        let more = [end == .rightPassword ? "1" : "0", wasKnown ? "1" : "0"]
        _ = try await numbers(
            arguments(Self.endScript, subject, policies, now_ms) + more, count: 1, timeout: timeout)
    }

    private func arguments(
        _ script: String, _ subject: SignInSubject, _ policies: SignInPolicies, _ now_ms: Int
    ) -> [String] {
        ["EVAL", script, "4"] + subject.keys + [subject.knownKey, String(now_ms), String(policies.known_ms)]
            + policies.all.flatMap {
                [$0.free, $0.firstPause_ms, $0.maxPause_ms, $0.decay_ms].map(String.init)
            }
    }

    private func numbers(
        _ arguments: [String], count: Int, timeout: Milliseconds
    ) async throws(RedisError) -> [Int] {
        let reply = try await redis.command(arguments.map { Array($0.utf8) }, timeout: timeout)
        let numbers = (reply.arrayValue ?? []).compactMap(\.integerValue).map { Int($0) }
        guard numbers.count == count else { throw .closed }
        return numbers
    }
}
