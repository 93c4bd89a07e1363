"""The document at /openapi.json, held against a running control plane by schemathesis: all its checks, every
operation, each with a credential that it takes."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

from stack import ROOT, StackTestCase

SEEDS = (20261121, 7)
LEAST_CASES = 2000
MAX_EXAMPLES = 12
METRICS_TOKEN = "metrics-token-of-the-contract-test"
# One after another goes what may close others' accounts and move their plans.
AT_ONCE = ["accessToken", "nobody", "apiKey", "relayKey", "agentKey", "metricsToken"]
ALONE = ["operatorKey"]

CONFIGURATION = """
base-url = "{url}"
seed = {seed}
hooks = "contract_hooks"
continue-on-failure = true
max-failures = 20
request-timeout = 60
[generation]
max-examples = {examples}
database = "none"
[phases.stateful.generation]
max-examples = {examples}
[checks]
enabled = true
"""


def kinds_of(operation):
    """The kinds of credential that an operation takes; nobody's when it needs none."""
    schemes = [name for alternative in operation.get("security", []) for name in alternative]
    return schemes or ["nobody"]


class ContractTests(StackTestCase):
    relays = "eu=1"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with open(cls.stack.directory / "run/control.env", "a") as settings:
            settings.write(f"TRUSTED_PROXIES=127.0.0.1\nMETRICS_TOKEN={METRICS_TOKEN}\n")
        cls.stack.do("stop", "control")
        cls.stack.do("start", "control")
        cls.work = pathlib.Path(tempfile.mkdtemp(prefix="minecart-contract."))
        cls.addClassCleanup(shutil.rmtree, cls.work, ignore_errors=True)
        with urllib.request.urlopen(cls.stack.env["CONTROL_URL"] + "/openapi.json", timeout=30) as answer:
            cls.document = json.load(answer)

    def operations(self, seed):
        """Ids of operations by the kind of credential they are tried with: the first that they take with the first
        seed, the last with the last."""
        found = {}
        for path in self.document["paths"].values():
            for operation in path.values():
                kinds = kinds_of(operation)
                found.setdefault(kinds[-1 if seed == SEEDS[-1] else 0], []).append(operation["operationId"])
        return found

    def start(self, seed, kind, operations):
        folder = self.work / f"{seed}-{kind}"
        folder.mkdir()
        env = self.stack.env
        configuration = CONFIGURATION.format(url=env["CONTROL_URL"], seed=seed, examples=MAX_EXAMPLES)
        if kind != "nobody":
            configuration += f'[auth.openapi.{kind}]\nbearer = "in-place-of-the-credential"\n'
        (folder / "schemathesis.toml").write_text(configuration)
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "run", "--no-color"]
        command += ["--checks", "all", "--warnings", "off"]
        # What the document says decides the cases of this phase, not the seed: once is enough.
        command += ["--phases", "examples,coverage,fuzzing,stateful" if seed == SEEDS[0] else "examples,fuzzing,stateful"]
        for name in operations:
            command += ["--include-operation-id", name]
        output = open(folder / "output", "w+")
        self.addCleanup(output.close)
        process = subprocess.Popen(
            [*command, env["CONTROL_URL"] + "/openapi.json"],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT / "Tests/Infra"),
                "CONTRACT_URL": env["CONTROL_URL"],
                "CONTRACT_KIND": kind,
                "CONTRACT_OPERATOR_KEY": env["OPERATOR_KEY"],
                "CONTRACT_METRICS_TOKEN": METRICS_TOKEN,
                "CONTRACT_WEBHOOK_SECRET": env["STRIPE_WEBHOOK_SECRET"],
            },
        )
        self.addCleanup(self.end, process)
        return process, output

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        process.wait()

    def run_all(self, seed, kinds):
        """Two at once; what each found, and how many cases there were."""
        operations, waiting, running, cases = self.operations(seed), list(kinds), {}, 0
        while waiting or running:
            while waiting and len(running) < 2:
                kind = waiting.pop(0)
                if kind in operations:
                    running[kind] = self.start(seed, kind, operations[kind])
            for kind in [kind for kind, (process, _) in running.items() if process.poll() is not None]:
                process, output = running.pop(kind)
                output.seek(0)
                words = output.read()
                with self.subTest(kind, seed=seed):
                    self.assertEqual(process.returncode, 0, f"schemathesis as {kind}, seed {seed}:\n{words}")
                generated = sum(int(number) for number in re.findall(r"^ +(\d+) generated", words, re.MULTILINE))
                print(f"schemathesis as {kind}, seed {seed}: {generated} cases", file=sys.stderr)
                cases += generated
            time.sleep(0.1)
        return cases

    def test_schemathesis_finds_nothing(self):
        names = {kind for seed in SEEDS for kind in self.operations(seed)}
        self.assertEqual(names - set(AT_ONCE + ALONE), set(), "a kind of credential that this test does not know")
        cases = 0
        for seed in SEEDS:
            cases += self.run_all(seed, AT_ONCE)
        for seed in SEEDS:
            for kind in ALONE:
                cases += self.run_all(seed, [kind])
        self.assertGreaterEqual(cases, LEAST_CASES)


if __name__ == "__main__":
    unittest.main()
