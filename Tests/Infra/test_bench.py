"""infra/bench: one short round of each runs through and prints what it measured. What it measured is not judged here."""

import subprocess
import unittest

from stack import ROOT


class BenchTests(unittest.TestCase):
    def test_a_round_prints_medians_and_ratios(self):
        result = subprocess.run(
            [ROOT / "infra/bench/splice", "--rounds", "1", "--no-build"], capture_output=True, text=True, timeout=300
        )
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        for ratio in (r"pingpong / nginx +\d", r"pingpong / haproxy +\d", r"bulk +/ haproxy +\d"):
            self.assertRegex(result.stdout, ratio)

    def test_calls_of_the_api_are_counted_and_timed(self):
        sizes = "--rounds 1 --seconds 1 --connections 8 --accounts 2 --tunnels 8".split()
        result = subprocess.run(
            [ROOT / "infra/bench/api", *sizes, "--no-build"], capture_output=True, text=True, timeout=300
        )
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        for name in ("list", "list-jwt", "place"):
            self.assertRegex(result.stdout, rf"(?m)^{name} +\d+ +\d+\.\d +\d+\.\d +\d+ +\d+ +\d+ +\d+% ")

    def test_some_webhooks_reach_the_relay_and_print_percentiles(self):
        command = [ROOT / "infra/bench/webhook", "--changes", "6", "--tunnels", "20", "--accounts", "2", "--no-build"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertRegex(result.stdout, r"p50 \d+ ms +p99 \d+ ms +max \d+ ms")

    def test_a_fleet_breaks_in_some_ways_and_prints_a_table(self):
        command = [ROOT / "infra/bench/failures", "--gates", "1,5,9", "--short", "--no-build"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        for gate, figure in ((1, "p99"), (5, "digests equal after the last"), (9, "all links again, 100 %")):
            self.assertRegex(result.stdout, rf"(?m)^{gate} .*{figure} +\d+\.\d+ s .*(kept|MISSED)$")

    def test_joins_on_every_way_are_timed(self):
        command = [ROOT / "infra/bench/joins", "--rounds", "2", "--no-build"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        for way in ("owner, parked connection", "another relay, mesh, OPEN", "another relay, owner dead, standby"):
            self.assertRegex(result.stdout, rf"(?m)^{way} +\d+ +\d+\.\d\d +\d+\.\d\d ")


if __name__ == "__main__":
    unittest.main()
