"""What benches of a whole fleet have in common: a stack, crowds of simulated agents, players, and a control plane that
is asked over kept connections."""

import asyncio
import contextlib
import http.client
import json
import os
import pathlib
import queue
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("MINECART_BIN") or ROOT / ".build" / "release")
sys.path[:0] = [str(ROOT / "infra" / "minecraft")]

from packets import LOGIN, ProtocolError, frame, handshake, plain_text, read_packet, string  # noqa: E402

STARTED = time.monotonic()
PROGRAMS = ("minecart-control", "minecart-relay", "minecart", "AgentCrowd", "FaultTool")


def say(text):
    print(f"[{time.monotonic() - STARTED:4.0f} s] {text}", file=sys.stderr, flush=True)


class Trouble(Exception):
    """Something did not come about; the text says what."""


def build():
    for product in PROGRAMS:
        say(f"building {product}")
        command = ["swift", "build", "-c", "release", "--static-swift-stdlib", "--product", product]
        if subprocess.run(command, cwd=ROOT, stdout=sys.stderr).returncode != 0:
            raise Trouble(f"{product} did not build; the compiler's words stand above")


def quantile(values, share):
    """The smallest value that `share` of all are not above; 0 of none."""
    ranked = sorted(values)
    return ranked[max(0, -(-len(ranked) * int(share * 1000) // 1000) - 1)] if ranked else 0


def eventually(what, look, limit_s=60, pause_s=0.05):
    """The first true thing that `look` answers. Errors of the network count as not yet."""
    ends_at = time.monotonic() + limit_s
    while True:
        is_last = time.monotonic() >= ends_at
        with contextlib.suppress(OSError, http.client.HTTPException, LookupError):
            if found := look():
                return found
        if is_last:
            raise Trouble(f"did not happen within {limit_s} s: {what}")
        time.sleep(pause_s)


class Client:
    """One kept connection to a control plane; not for several threads."""

    def __init__(self, url, timeout=30):
        self.address = urllib.parse.urlsplit(url)
        self.timeout = timeout
        self.connection = None

    def ask(self, method, path, key=None, body=None, headers=None):
        """(status, headers, parsed body); raises OSError or HTTPException when there is no answer."""
        fields = {"Content-Type": "application/json", **(headers or {})}
        if key:
            fields["Authorization"] = f"Bearer {key}"
        payload = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        if not self.connection:
            self.connection = http.client.HTTPConnection(
                self.address.hostname, self.address.port, timeout=self.timeout)
        try:
            self.connection.request(method, path, payload, fields)
            response = self.connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if response.will_close:
            self.close()
        try:
            return response.status, dict(response.headers), json.loads(text) if text else None
        except ValueError:
            return response.status, dict(response.headers), text.decode(errors="replace")

    def call(self, method, path, key=None, body=None):
        """As ask, but any failure raises Trouble with what the answer says."""
        for attempt in range(3):
            try:
                status, _, answer = self.ask(method, path, key, body)
            except (OSError, http.client.HTTPException) as error:
                if attempt == 2:
                    raise Trouble(f"{method} {path}: {error}") from None
                continue
            if status >= 300:
                raise Trouble(f"{method} {path} answered {status}: {answer}")
            return answer

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


class Talker:
    """A program that says one JSON object a line and takes commands on its standard input."""

    def __init__(self, command, env=None, stdin=True):
        self.process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def wait_for(self, *events, limit_s=60):
        ends_at = time.monotonic() + limit_s
        while True:
            try:
                said = self.lines.get(timeout=max(0.001, ends_at - time.monotonic()))
            except queue.Empty:
                raise Trouble(f"{self.process.args[0]} did not say {events} within {limit_s} s") from None
            if said is None:
                raise Trouble(f"{self.process.args[0]} ended instead of saying {events}")
            if said["event"] in events:
                return said

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ask(self, line, *events, limit_s=60):
        self.tell(line)
        return self.wait_for(*events, limit_s=limit_s)

    def end(self):
        if self.process.stdin:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Stack:
    """A stack of its own, gone with `end` (a contextlib.ExitStack)."""

    def __init__(self, end, *options):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="minecart-bench."))
        self.directory = self.work / "stack"
        end.callback(subprocess.run, ["rm", "-rf", str(self.work)])
        end.callback(self.run, "down", quiet=True)
        self.run("up", *options, "--no-build", quiet=True)
        self.client = Client(self.env["CONTROL_URL"])

    def run(self, *words, quiet=False):
        command = [str(ROOT / "infra/stack"), *words, "--dir", str(self.directory)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE if quiet else None, text=True)
        if done.returncode != 0:
            raise Trouble(f"infra/stack {' '.join(words)} failed:\n{done.stderr or ''}")
        return done.stdout

    @property
    def env(self):
        return dict(line.split("=", 1) for line in (self.directory / "env").read_text().splitlines())

    def pid(self, name):
        for line in self.run("status").splitlines():
            words = line.split()
            if words[0] == name:
                return int(words[1])
        raise Trouble(f"there is no part {name}")

    def relays(self):
        """By number: id, address, pid, metrics."""
        env, found = self.env, {}
        index = 1
        while f"RELAY_{index}_ID" in env:
            host, port = env[f"RELAY_{index}_ADDRESS"].rsplit(":", 1)
            found[index] = {
                "id": env[f"RELAY_{index}_ID"], "address": (host, int(port)), "pid": int(env[f"RELAY_{index}_PID"]),
                "metrics": env[f"RELAY_{index}_METRICS"],
            }
            index += 1
        return found

    def metrics(self, index):
        """A relay's numbers by name, those with labels left out."""
        url = urllib.parse.urlsplit(self.relays()[index]["metrics"])
        client = Client(f"http://{url.netloc}")
        _, _, text = client.ask("GET", url.path)
        client.close()
        pairs = (line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#" and "{" not in line)
        return {name: float(value) for name, value in pairs}

    def operator(self, method, path, body=None):
        return self.client.call(method, path, self.env["OPERATOR_KEY"], body)

    def make_tunnels(self, count, accounts=4):
        """(id, hostname, region, agent key, API key) of new tunnels of some accounts without limits."""
        env, found, problems = self.env, [], []

        def work(number):
            client = Client(env["CONTROL_URL"])
            try:
                person = {"email": f"crowd-{random.getrandbits(64):x}@example.com",
                          "password": f"{random.getrandbits(128):x}", "plan": "unlimited"}
                made = client.call("POST", "/v1/ops/accounts", env["OPERATOR_KEY"], person)
                for _ in range(number * count // accounts, (number + 1) * count // accounts):
                    tunnel = client.call("POST", "/v1/tunnels", made["api_key"], {"region": "eu"})
                    found.append((tunnel["id"], tunnel["hostname"], "eu", made["agent_key"], made["api_key"]))
            except Trouble as error:
                problems.append(error)
            client.close()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(accounts)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if problems:
            raise problems[0]
        return found

    def owners(self):
        """The relay of each tunnel's placement by hostname."""
        found, cursor = {}, ""
        while True:
            page = self.operator("GET", f"/v1/ops/tunnels?limit=100{cursor}")
            found.update({row["hostname"]: row["relay_id"] for row in page["data"]})
            if not page["next_cursor"]:
                return found
            cursor = "&cursor=" + urllib.parse.quote(page["next_cursor"])

    def copies(self):
        """(epoch, rev, digest) of each relay as it last told, by id; relays that are not heard of now are left out."""
        rows = self.operator("GET", "/v1/ops/relays")["data"]
        return {row["id"]: (row["load"]["epoch"], row["load"]["rev"], row["load"]["digest"])
                for row in rows if row["load"] and (row["load"]["age_ms"] or 0) < 4000}

    def revision(self, region="eu"):
        """What the database says."""
        done = subprocess.run(
            ["psql", "-XAt", "-c", f"select rev from regions where id = '{region}'"], capture_output=True, text=True,
            env={**os.environ, "PGSERVICEFILE": "/dev/null", **self.database()}, check=True)
        return int(done.stdout)

    def database(self):
        parts = urllib.parse.urlsplit(self.env["DATABASE_URL"])
        return {"PGHOST": parts.hostname, "PGPORT": str(parts.port), "PGUSER": parts.username,
                "PGPASSWORD": parts.password, "PGDATABASE": parts.path[1:]}

    def wait_until_agreed(self, count, limit_s=60):
        """Seconds until `count` relays have the same copy, which is the database's."""
        start = time.monotonic()

        def agreed():
            copies = list(self.copies().values())
            return len(copies) >= count and len(set(copies)) == 1 and copies[0][1] >= self.revision()

        eventually("all relays have the same copy of the region", agreed, limit_s)
        return time.monotonic() - start


class Crowd:
    """Simulated agents in a few processes."""

    def __init__(self, end, stack, tunnels, processes=1, links=2, data=64, per_s=200):
        self.tunnels = tunnels
        self.links = links
        self.parts = []
        for number in range(processes):
            path = stack.work / f"crowd-{number}"
            share = tunnels[number::processes]
            path.write_text("".join("\t".join(tunnel[:4]) + "\n" for tunnel in share))
            path.chmod(0o600)
            part = Talker([BIN / "AgentCrowd", "--control", stack.env["CONTROL_URL"], "--tunnels", path,
                           "--links", links, "--data", data, "--start-per-s", max(1, per_s // processes)])
            end.callback(part.end)
            self.parts.append(part)

    def ask(self, command, event):
        for part in self.parts:
            part.tell(command)
        return [part.wait_for(event) for part in self.parts]

    def status(self):
        answers = self.ask("status", "status")
        total = {name: sum(answer[name] for answer in answers)
                 for name in ("agents", "none", "one", "two", "settled", "questions", "laters", "failures", "ended")}
        total["links"] = {}
        for answer in answers:
            for relay, count in answer["links"].items():
                total["links"][relay] = total["links"].get(relay, 0) + count
        return total

    def wait_until_settled(self, limit_s=300):
        start = time.monotonic()
        last = {}

        def settled():
            last.update(self.status())
            return last["settled"] == last["agents"]

        try:
            eventually("all agents have their links", settled, limit_s, 0.5)
        except Trouble as error:
            raise Trouble(f"{error}: {last}") from None
        return time.monotonic() - start

    def mark(self):
        self.ask("mark", "marked")

    def report(self):
        answers = self.ask("report", "report")
        names = ("back", "reachable", "questions", "dials", "lost")
        total = {name: [value for answer in answers for value in answer[name]] for name in names}
        for name in ("hit", "laters", "failures", "others_disturbed"):
            total[name] = sum(answer[name] for answer in answers)
        return total


# --- players ---------------------------------------------------------------------------------------------------------


class Refused(Exception):
    """The relay told the player something instead of letting them in."""


async def join(address, name, user="Alex", limit_s=12):
    """A player who is in: (reader, writer). Raises Refused with the reason, or an error of the network."""
    async with asyncio.timeout(limit_s):
        reader, writer = await asyncio.open_connection(*address)
        try:
            writer.write(handshake(name, address[1], LOGIN) + frame(0, string(user)))
            packet_id, body = await read_packet(reader)
            if packet_id == 0:
                raise Refused(plain_text(json.loads(body.string())))
            if packet_id != 2:
                raise ProtocolError(f"packet {packet_id} instead of a login")
            return reader, writer
        except BaseException:
            writer.close()
            raise


NETWORK = (OSError, TimeoutError, asyncio.IncompleteReadError, ProtocolError, Refused)


async def join_until_in(addresses, name, limit_s=60):
    """(seconds until somebody was let in, refusals before)."""
    start, refusals = time.monotonic(), []
    while True:
        try:
            _, writer = await join(random.choice(addresses), name)
            writer.close()
            return time.monotonic() - start, refusals
        except NETWORK as error:
            refusals.append(f"{type(error).__name__}: {error}")
            if time.monotonic() - start > limit_s:
                return float("inf"), refusals
            await asyncio.sleep(0.05)


class Players:
    """Players who stay and get each of their bytes back; who is cut off is counted."""

    def __init__(self):
        self.tasks = {}
        self.dropped = []
        self.echoes = 0

    async def add(self, address, name):
        reader, writer = await join(address, name)
        self.tasks[asyncio.create_task(self.play(reader, writer, address))] = address

    async def play(self, reader, writer, address):
        try:
            while True:
                word = random.randbytes(64)
                writer.write(word)
                async with asyncio.timeout(60):
                    if await reader.readexactly(64) != word:
                        raise ProtocolError("other bytes came back")
                self.echoes += 1
                await asyncio.sleep(0.5)
        except asyncio.CancelledError:
            writer.close()
            raise
        except NETWORK as error:
            self.dropped.append((address, f"{type(error).__name__}: {error}"))

    def dropped_outside(self, address):
        return [entry for entry in self.dropped if entry[0] != address]

    async def leave(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
