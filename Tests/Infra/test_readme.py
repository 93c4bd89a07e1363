"""The README's session, run as it stands but for its folder and port."""

import pathlib
import re
import subprocess
import tempfile
import unittest

from stack import ROOT, processes_naming

import ports


class ReadmeTests(unittest.TestCase):
    def test_the_session_to_copy_works(self):
        readme = (ROOT / "README.md").read_text()
        session = re.search(r"## A session to copy\n\n```sh\n(.*?)```", readme, re.DOTALL).group(1)
        with tempfile.TemporaryDirectory() as folder:
            directory = pathlib.Path(folder) / "minecart"
            (directory / "run").mkdir(parents=True)
            port = ports.reserve(directory, 1)[0]
            (directory / "run").rmdir()
            session = session.replace("/tmp/minecart", str(directory)).replace("25599", str(port))
            session = session.replace("infra/stack up", "infra/stack up --no-build")
            try:
                result = subprocess.run(
                    ["bash", "-em", "-c", session], cwd=ROOT, capture_output=True, text=True, timeout=180
                )
            finally:
                down = [ROOT / "infra/stack", "down", "--dir", directory]
                subprocess.run(down, stderr=subprocess.DEVNULL, timeout=60)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            self.assertIn("Welcome, Alex! You reached the home server as castle.eu.dvv.one.", result.stdout)
            self.assertEqual(processes_naming(str(directory)), [])


if __name__ == "__main__":
    unittest.main()
