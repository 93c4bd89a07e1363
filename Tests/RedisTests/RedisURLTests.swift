import Testing

@testable import Redis

@Suite struct RedisURLTests {
    @Test func hostAloneMeansPort6379AndDatabase0() {
        #expect(RedisURL("redis://cache.internal") == RedisURL(host: "cache.internal"))
    }

    @Test func userPasswordPortAndDatabaseAreRead() {
        let url = RedisURL("rediss://default:p%40ss%2Fword@[::1]:6380/3")
        #expect(
            url
                == RedisURL(
                    host: "::1", port: 6380, user: "default", password: "p@ss/word", database: 3, isTLS: true)
        )
    }

    @Test func aPasswordNeedsNoUser() {
        #expect(RedisURL("redis://:secret@h") == RedisURL(host: "h", password: "secret"))
    }

    @Test(arguments: [
        "", "http://h", "redis://", "redis://h:0", "redis://h:70000", "redis://h:x", "redis://h/x",
        "redis://h?db=1",
        "redis://[::1", "redis://u:%zz@h", "redis://:p@",
    ])
    func whatWeDoNotUnderstandIsRefused(_ text: String) {
        #expect(RedisURL(text) == nil)
    }

    @Test func theDescriptionShowsNoPassword() throws {
        let url = try #require(RedisURL("redis://u:secret@h/1"))
        #expect("\(url)" == "redis://h:6379/1")
    }
}
