"""A rolling replacement of every relay of a region behind a front that follows readiness: HAProxy in TCP mode. Nobody
is refused, nobody who plays is dropped, and each old process ends as soon as it is empty."""

import itertools
import json
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request

from stack import BIN, Agent, HomeServer, Stack

import packets
import ports as port_register

PATIENCE_S = 60


def eventually(what, is_true):
    ends_at = time.monotonic() + PATIENCE_S
    while not is_true():
        if time.monotonic() > ends_at:
            raise AssertionError(f"did not happen within {PATIENCE_S} s: {what}")
        time.sleep(0.05)


class Player:
    """One who joins (Minecraft 1.8, offline) and then speaks: the home server answers in the chat."""

    numbers = itertools.count()

    def __init__(self, address, name):
        self.connection = socket.create_connection(packets.split_address(address), 30)
        self.file = self.connection.makefile("rb")
        self.connection.sendall(packets.handshake(name, 25565, packets.LOGIN) + packets.frame(0, packets.string(f"Alex{next(self.numbers)}")))
        while (packet := self.next())[0] != 0x02:
            if packet[0] == 0x00:
                raise AssertionError(f"kicked: {packet[1].string()}")
        # The chat line of the home server, behind whatever else a join brings.
        self.wait_for_chat()

    def next(self):
        length = shift = 0
        while True:
            byte = self.file.read(1)
            if not byte:
                raise AssertionError("the connection ended")
            length |= (byte[0] & 0x7F) << shift
            shift += 7
            if byte[0] < 0x80:
                break
        body = packets.Body(self.file.read(length))
        return body.varint(), body

    def wait_for_chat(self):
        while True:
            packet_id, body = self.next()
            if packet_id == 0x00:
                self.connection.sendall(packets.frame(0x00, packets.varint(body.varint())))
            elif packet_id == 0x40:
                raise AssertionError(f"thrown out: {body.string()}")
            elif packet_id == 0x02:
                return

    def speak(self):
        self.connection.sendall(packets.frame(0x01, packets.string("still here")))
        self.wait_for_chat()

    def leave(self):
        self.file.close()
        self.connection.close()


class Relay:
    def __init__(self, test, number, port, http_port):
        self.name, self.address, self.http_port = f"r{number}", f"127.0.0.1:{port}", http_port
        state = test.directory / self.name
        state.mkdir()
        environment = {
            "PATH": "/usr/bin:/bin", "RELAY_ID": f"rolling-{number}", "RELAY_KEY": test.relay_key, "REGION": "eu",
            "RELAY_LISTEN": self.address, "RELAY_PUBLIC_ENDPOINT": self.address, "HTTP_HOST": "127.0.0.1",
            "PORT": str(http_port), "CONTROL_URL": test.stack.env["CONTROL_URL"],
            "REDIS_URL": test.stack.env["REDIS_URL"], "STATE_DIR": str(state), "RELAY_DRAIN_NOTICE_S": "3",
        }
        self.log = open(test.directory / f"{self.name}.log", "wb")
        self.process = subprocess.Popen([BIN / "minecart-relay"], env=environment, stderr=self.log)
        test.addCleanup(self.end)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/readyz", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def metric(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/metrics", timeout=5) as answer:
            for line in answer.read().decode().splitlines():
                if line.split(" ")[0] == name:
                    return int(line.split(" ")[1])
        raise AssertionError(f"there is no metric {name}")


class Staying(threading.Thread):
    """A player who joins and plays on until told to leave."""

    def __init__(self, address, name):
        super().__init__(daemon=True)
        self.player = Player(address, name)
        self.is_over, self.failure, self.spoken = False, None, 0
        self.start()

    def run(self):
        try:
            while not self.is_over:
                self.player.speak()
                self.spoken += 1
                time.sleep(0.2)
        except (AssertionError, OSError, packets.ProtocolError) as failure:
            self.failure = str(failure)

    def check(self):
        """Returns when it has spoken once more from now on."""
        before = self.spoken
        eventually("the player speaks", lambda: self.spoken > before or self.failure)
        if self.failure:
            raise AssertionError(f"a player was dropped: {self.failure}")

    def leave(self):
        self.check()
        self.is_over = True
        self.join(PATIENCE_S)
        self.player.leave()


class Joining(threading.Thread):
    """Players who come through the front all the time, each to the next tunnel, and leave again."""

    def __init__(self, address, names):
        super().__init__(daemon=True)
        self.address, self.names = address, names
        self.count, self.failures, self.is_over = 0, [], False

    def run(self):
        while not self.is_over:
            name = self.names[self.count % len(self.names)]
            self.count += 1
            try:
                Player(self.address, name).leave()
            except (AssertionError, OSError, packets.ProtocolError) as failure:
                self.failures.append(f"join {self.count} of {name}: {failure}")
            time.sleep(0.01)


class RollingTests(unittest.TestCase):
    old_count = 3

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="minecart-rolling."))
        self.addCleanup(shutil.rmtree, self.directory)
        self.stack = Stack("--relays", "eu=0")
        self.addCleanup(self.stack.down)
        answer = self.operator("POST", "/v1/ops/relay-keys", {"region": "eu"})
        self.relay_key = answer["key"]

    def operator(self, method, path, body):
        request = urllib.request.Request(
            self.stack.env["CONTROL_URL"] + path, json.dumps(body).encode(), method=method,
            headers={
                "Authorization": "Bearer " + self.stack.env["OPERATOR_KEY"], "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.load(reply)

    def start_front(self, places):
        """HAProxy in front of every place where a relay runs or will run; where players come in."""
        (port,) = port_register.reserve(self.stack.directory, 1)
        self.control = self.directory / "haproxy.sock"
        servers = "\n".join(
            f"    server r{number} 127.0.0.1:{place[0]} check port {place[1]}" for number, place in enumerate(places)
        )
        config = self.directory / "haproxy.cfg"
        config.write_text(f"""
global
    stats socket {self.control}
defaults
    mode tcp
    timeout connect 5s
    timeout client 5m
    timeout server 5m
    option redispatch
frontend players
    bind 127.0.0.1:{port}
    default_backend relays
backend relays
    balance roundrobin
    option httpchk
    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost
    default-server inter 500ms fall 1 rise 1
{servers}
""")
        process = subprocess.Popen(["/usr/sbin/haproxy", "-db", "-q", "-f", config])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        eventually("haproxy runs", self.control.exists)
        return f"127.0.0.1:{port}"

    def state_at_front(self, relay):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self.control))
            connection.sendall(b"show stat\n")
            text = connection.makefile().read()
        rows = [line.split(",") for line in text.splitlines() if line]
        column = rows[0].index("status")
        return next(row[column] for row in rows if row[0] == "relays" and row[1] == relay.name)

    def wait_for_front(self, relay, state):
        eventually(f"the front takes {relay.name} for {state}", lambda: self.state_at_front(relay).startswith(state))

    def test_every_relay_is_replaced_and_nobody_notices(self):
        numbers = port_register.reserve(self.stack.directory, 4 * self.old_count)
        places = list(zip(numbers[::2], numbers[1::2]))
        relays = [Relay(self, number, *places[number]) for number in range(self.old_count)]
        for relay in relays:
            eventually(f"{relay.name} is ready", relay.is_ready)
        agents = []
        for name in ("one", "two", "three"):
            server = HomeServer()
            self.addCleanup(server.stop)
            agent = Agent(self.stack.env, server.address, "--region", "eu", "--name", name)
            self.addCleanup(agent.stop)
            agents.append(agent)
        names = [agent.hostname for agent in agents]
        front = self.start_front(places)
        for relay in relays:
            self.wait_for_front(relay, "UP")
        eventually("the front knows who is not there", lambda: "DOWN" in self.state_at_front(StandIn("r3")))
        # Any relay takes any player, as soon as the relays know each other.
        for relay in relays:
            for name in names:
                eventually(f"players of {name} may come in at {relay.name}", lambda: joins(relay.address, name))
        stays = [Staying(relay.address, names[index % len(names)]) for index, relay in enumerate(relays)]

        joining = [Joining(front, names) for _ in range(3)]
        for thread in joining:
            thread.start()
        for index, old in enumerate(relays):
            new = Relay(self, self.old_count + index, *places[self.old_count + index])
            self.wait_for_front(new, "UP")
            old.process.terminate()
            self.wait_for_front(old, "DOWN")
            eventually(f"the agents leave {old.name}", lambda: old.metric("minecart_relay_links") == 0)
            for player in stays:
                player.check()
            self.assertIsNone(old.process.poll(), f"{old.name} left its player alone")
            stays[index].leave()
            # Not through the front, which might lead to a relay that has yet to end.
            stays[index] = Staying(new.address, names[index % len(names)])
            self.assertEqual(old.process.wait(PATIENCE_S), 0)
        for player in stays:
            player.leave()
        for thread in joining:
            thread.is_over = True
        for thread in joining:
            thread.join(PATIENCE_S)
            self.assertFalse(thread.is_alive())
        self.assertEqual([failure for thread in joining for failure in thread.failures], [])
        self.assertGreater(min(thread.count for thread in joining), 3)


class StandIn:
    """A relay that does not run yet."""

    def __init__(self, name):
        self.name = name


def joins(address, name):
    try:
        Player(address, name).leave()
        return True
    except (AssertionError, OSError):
        return False


if __name__ == "__main__":
    unittest.main()
