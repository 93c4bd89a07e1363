"""Stacks, home servers and agents for the tests beside this file: real programs, driven as a person would."""

import json
import os
import pathlib
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = ROOT / ".build" / "release"
MINECRAFT = ROOT / "infra" / "minecraft"
sys.path[:0] = [str(MINECRAFT), str(ROOT / "infra" / "lib")]


def run(*command, timeout=120, **options):
    """The finished process, its output as text."""
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, timeout=timeout, cwd=ROOT, **options)


def is_running(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def processes_naming(text):
    """Ids of the processes whose command line holds the text."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if text in (entry / "cmdline").read_text():
                    found.append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError, UnicodeDecodeError):
                pass
    return found


class JSONLines:
    """A program that says one JSON object a line; `wait_for` finds the next event of a name."""

    def __init__(self, command, env=None):
        self.process = subprocess.Popen(
            [str(word) for word in command], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=env
        )
        self.lines = queue.Queue()
        self.seen = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def wait_for(self, name, timeout=30):
        ends_at = time.monotonic() + timeout
        while True:
            try:
                event = self.lines.get(timeout=max(0, ends_at - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {name} within {timeout} s; there were {self.seen}") from None
            if event is None:
                raise AssertionError(f"the program ended before {name}; there were {self.seen}")
            self.seen.append(event)
            if event["event"] == name:
                return event

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join(5)
        self.process.stdout.close()


class HomeServer(JSONLines):
    def __init__(self, *options):
        super().__init__([sys.executable, MINECRAFT / "server.py", "--listen", "127.0.0.1:0", *options])
        self.address = self.wait_for("listening")["address"]


class Agent(JSONLines):
    def __init__(self, env, local, *options):
        command = [BIN / "minecart", "up", "--local", local, "--control", env["CONTROL_URL"], "--json", *options]
        super().__init__(command, env={**os.environ, "MINECART_KEY": env["AGENT_KEY"]})
        self.ready = self.wait_for("ready")
        self.hostname = self.ready["address"].split(":")[0]


class Stack:
    """A stack of its own in a temporary folder, from the programs that infra/test has built."""

    def __init__(self, *options):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="minecart-test."))
        result = run(ROOT / "infra/stack", "up", "--dir", self.directory, "--no-build", *options, timeout=180)
        if result.returncode != 0:
            raise AssertionError(f"infra/stack up failed:\n{result.stderr}")

    @property
    def env(self):
        lines = (self.directory / "env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def do(self, *words):
        result = run(ROOT / "infra/stack", *words, "--dir", self.directory)
        if result.returncode != 0:
            raise AssertionError(f"infra/stack {' '.join(words)} failed:\n{result.stderr}")
        return result.stdout

    def relay_address(self, agent):
        """Where the relay that the agent is linked to takes players."""
        env, relay = self.env, agent.ready["relay"]
        for name, value in env.items():
            if name.startswith("RELAY_") and name.endswith(("_ID", "_ADDRESS")) and value == relay:
                return env[name.rpartition("_")[0] + "_ADDRESS"]
        raise AssertionError(f"no relay of the stack is {relay}")

    def down(self):
        self.do("down")
        shutil.rmtree(self.directory)


def player(*words):
    return run(sys.executable, MINECRAFT / "player.py", *words)


class StackTestCase(unittest.TestCase):
    """One stack for all tests of a class."""

    relays = "eu=2,us=1"

    @classmethod
    def setUpClass(cls):
        cls.stack = Stack("--relays", cls.relays)
        cls.addClassCleanup(cls.stack.down)

    def home_server(self, *options):
        server = HomeServer(*options)
        self.addCleanup(server.stop)
        return server

    def agent(self, server, *options):
        agent = Agent(self.stack.env, server.address, *options)
        self.addCleanup(agent.stop)
        return agent
