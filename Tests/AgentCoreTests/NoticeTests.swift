import Core
import Testing
import Wire

@testable import AgentCore

struct NoticeTests {
    private let visit = Visit(id: 1, player: PlayerAddress(host: "203.0.113.7", port: 51413)!, name: "Steve")

    @Test func scriptsFindTheFieldsTheyRelyOn() {
        #expect(
            Notice.ready(address: "a.eu.dvv.one", relay: "rly_1", region: "eu").json.text
                == #"{"event":"ready","address":"a.eu.dvv.one","relay":"rly_1","region":"eu"}"#)
        #expect(Notice.connecting(relay: "rly_1").json.text == #"{"event":"connecting","relay":"rly_1"}"#)
        #expect(
            Notice.playerJoined(visit, players: 2).json.text
                == #"{"event":"player_joined","player":"203.0.113.7:51413","name":"Steve","players":2}"#)
        #expect(
            Notice.playerLeft(visit, players: 1, stay: .seconds(3)).json.text
                == #"{"event":"player_left","player":"203.0.113.7:51413","name":"Steve","players":1,"stay_ms":3000}"#
        )
        #expect(
            Notice.migrated(address: "a.eu.dvv.one", relay: "rly_2").json.text
                == #"{"event":"migrated","address":"a.eu.dvv.one","relay":"rly_2"}"#)
        #expect(
            Notice.migrated(address: "a.eu.dvv.one", relay: "rly_2", lost: "rly_1").json.text
                == #"{"event":"migrated","address":"a.eu.dvv.one","relay":"rly_2","lost":"rly_1"}"#)
        #expect(Notice.standbyUp(relay: "rly_2").json.text == #"{"event":"standby","relay":"rly_2"}"#)
        #expect(
            Notice.standbyLost(relay: "rly_2", reason: "r").json.text
                == #"{"event":"standby_lost","relay":"rly_2","reason":"r"}"#)
        #expect(
            Notice.ready(address: "a.eu.dvv.one", relay: "rly_1", region: "eu", again: true).json
                == Notice.ready(address: "a.eu.dvv.one", relay: "rly_1", region: "eu").json)
        #expect(
            Notice.reconnecting(after: Milliseconds(1500), reason: "r").json.text
                == #"{"event":"reconnecting","after_ms":1500,"reason":"r"}"#)
        let error = Notice.failed(.replaced(address: "a.eu.dvv.one")).json
        #expect(error["event"]?.stringValue == "error")
        #expect(error["code"]?.stringValue == "replaced")
        #expect(error["fatal"]?.boolValue == true)
    }

    @Test func everyNoticeIsOneJSONLine() {
        let local = Endpoint(host: "127.0.0.1", port: 25565)
        for notice: Notice in [
            .starting(local: local), .tunnelCreated(hostname: "a"), .regionChosen("eu", nil),
            .localServerSilent(local, playerWaits: false), .localServerBack(local), .stopping(players: 1),
            .asleep(address: "a", idle_s: 60, canWake: true),
            .failed(.severalTunnels([SessionDriver.tunnel])), .finishing(players: 1, limit: .minutes(10)),
            .ready(address: "a", relay: "r", region: "eu", again: true),
            .migrated(address: "a", relay: "r", lost: "s"),
        ] {
            #expect(!notice.json.text.contains("\n"))
            #expect(notice.text.hasSuffix("\n"))
        }
    }

    @Test func aRelayThatGoesAwayIsNoReasonForAlarm() {
        #expect(
            Notice.migrated(address: "a.eu.dvv.one", relay: "rly_2", lost: "rly_1").text
                == "Relay rly_1 went away; players now join through relay rly_2. The address stays a.eu.dvv.one.\n"
        )
        #expect(Notice.standbyUp(relay: "rly_2").text.isEmpty)
        #expect(Notice.standbyLost(relay: "rly_2", reason: "r").text.isEmpty)
    }

    @Test func theAddressStandsAlone() {
        let text = Notice.ready(address: "sleepy-creeper.eu.dvv.one", relay: "rly_1", region: "eu").text
        #expect(text.split(separator: "\n").contains("      sleepy-creeper.eu.dvv.one"))
    }

    @Test func playersAreCountedInWords() {
        #expect(
            Notice.playerJoined(visit, players: 1).text
                == "Steve (203.0.113.7) joined. 1 player is connected.\n")
        #expect(
            Notice.playerLeft(visit, players: 0, stay: .minutes(61)).text
                == "Steve (203.0.113.7) left after 1 h 1 min. 0 players are connected.\n")
        #expect(Notice.reconnecting(after: .seconds(4), reason: "r").text == "Trying again in 4 s: r\n")
    }
}
