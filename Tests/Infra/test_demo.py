"""infra/demo: it shows a player in the game, and nothing of it is left when it ends."""

import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading
import unittest

from stack import ROOT, is_running, processes_naming


class DemoTests(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="minecart-demo-test.")
        self.addCleanup(folder.cleanup)
        # Where the demo makes its own folder: all its processes name it. Postgres's user must be able to walk there.
        os.chmod(folder.name, 0o755)
        self.folder = folder.name
        self.env = {**os.environ, "TMPDIR": folder.name}

    def demo(self, *options):
        command = [ROOT / "infra/demo", "--no-build", *options]
        demo = subprocess.Popen(
            command, env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            # Whoever runs the tests may ignore hang-ups (nohup does), and a script cannot undo that.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )
        self.addCleanup(demo.terminate)
        return demo

    def started(self):
        """The process ids that the running demo has noted."""
        return [int(path.read_text().split()[0]) for path in pathlib.Path(self.folder).glob("*/run/*.pid")]

    def assert_nothing_is_left(self, started=()):
        self.assertEqual([pid for pid in started if is_running(pid)], [])
        self.assertEqual(processes_naming(self.folder), [])
        # But for the reservations of ports, which hold while their stack is up.
        self.assertEqual([name for name in os.listdir(self.folder) if not name.endswith(".json")], [])

    def test_once_plays_and_ends_with_0(self):
        demo = self.demo("--once")
        text, _ = demo.communicate(timeout=180)
        self.assertEqual(demo.returncode, 0, text)
        self.assertIn("A home server behind Minecart", text)
        self.assertRegex(text, r"Welcome, Steve! You reached the home server as [a-z]+-[a-z]+\.eu\.dvv\.one\.")
        self.assert_nothing_is_left()

    def end_when(self, pattern, ending):
        """Starts the demo, ends it once a line matches, checks that nothing is left; answers with all it said."""
        demo = self.demo()
        watchdog = threading.Timer(180, demo.kill)
        watchdog.start()
        self.addCleanup(watchdog.cancel)
        said, started = [], []
        for line in demo.stdout:
            said.append(line)
            if re.search(pattern, line):
                started = self.started()
                ending(demo)
                break
        if not demo.stdout.closed:
            said += list(demo.stdout)
            demo.stdout.close()
        demo.wait(60)
        self.assertNotEqual(demo.returncode, 0)
        self.assertGreater(len(started), 1, "".join(said))
        self.assert_nothing_is_left(started)
        return "".join(said)

    def test_ctrl_c_ends_everything_it_started(self):
        # The terminal sends Ctrl-C to the whole foreground group.
        said = self.end_when(r"Press Ctrl-C", lambda demo: os.killpg(demo.pid, signal.SIGINT))
        self.assertIn("curl", said)

    def test_a_closed_terminal_ends_everything_too(self):
        def hang_up(demo):
            demo.stdout.close()
            os.killpg(demo.pid, signal.SIGHUP)

        self.end_when(r"Press Ctrl-C", hang_up)

    def test_a_kill_while_it_starts_ends_everything_too(self):
        self.end_when(r"the control plane answers", lambda demo: demo.terminate())


if __name__ == "__main__":
    unittest.main()
