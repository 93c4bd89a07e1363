"""infra/stack as the scripts of others use it."""

import json
import pathlib
import re
import stat
import subprocess
import time
import unittest
import urllib.error
import urllib.request

from stack import ROOT, Stack, StackTestCase, is_running, player, processes_naming, run


def get(url, key=None):
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def post(url, body):
    """The answer's status and JSON."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


class StackTests(StackTestCase):
    def test_env_names_all_that_scripts_of_others_use(self):
        env = self.stack.env
        names = "CONTROL_URL CONTROL_PID DATABASE_URL REDIS_URL BASE_DOMAIN ACCOUNT_API_KEY AGENT_KEY OPERATOR_KEY"
        for name in names.split() + ["STRIPE_WEBHOOK_SECRET"]:
            self.assertTrue(env[name], name)
        self.assertEqual([env[f"RELAY_{i}_REGION"] for i in (1, 2, 3)], ["eu", "eu", "us"])
        for i in (1, 2, 3):
            self.assertTrue(is_running(int(env[f"RELAY_{i}_PID"])))
            self.assertIn("minecart", get(env[f"RELAY_{i}_METRICS"]))
        self.assertTrue(is_running(int(env["CONTROL_PID"])))

    def test_what_holds_secrets_is_for_its_owner_alone(self):
        for path in [self.stack.directory / "env", *(self.stack.directory / "run").iterdir()]:
            self.assertEqual(stat.S_IMODE(path.stat().st_mode) & 0o077, 0, path)

    def test_no_secret_shows_in_a_process_list(self):
        env = self.stack.env
        for name in ("ACCOUNT_API_KEY", "AGENT_KEY", "OPERATOR_KEY", "DATABASE_URL", "REDIS_URL"):
            self.assertEqual(processes_naming(env[name]), [], name)

    def test_the_api_answers_the_accounts_key(self):
        env = self.stack.env
        self.assertIn("data", json.loads(get(env["CONTROL_URL"] + "/v1/tunnels", env["ACCOUNT_API_KEY"])))
        regions = json.loads(get(env["CONTROL_URL"] + "/v1/regions", env["AGENT_KEY"]))["data"]
        self.assertLessEqual({"eu", "us"}, {region["id"] for region in regions})

    def test_sign_ups_need_no_mail_and_links_are_in_the_mail_log(self):
        url = self.stack.env["CONTROL_URL"]
        person = {"email": "steve@mail.example", "password": "a password of steve"}
        self.assertEqual(post(url + "/v1/users", person)[0], 202)
        self.assertEqual(post(url + "/v1/sessions", person)[0], 201)
        self.assertEqual(post(url + "/v1/password-resets", {"email": person["email"]})[0], 202)
        ends_at = time.monotonic() + 30
        log = self.stack.directory / "mail.log"
        while not (links := re.findall(r"/v1/pages/reset#token=(\S+)", log.read_text())):
            self.assertLess(time.monotonic(), ends_at, "no mail came")
            time.sleep(0.1)
        self.assertIn("password-resets/confirm", get(url + "/v1/pages/reset"))
        new = {"token": links[-1], "password": "another one of steve"}
        self.assertEqual(post(url + "/v1/password-resets/confirm", new)[0], 200)
        self.assertEqual(post(url + "/v1/sessions", person)[0], 401)

    def test_a_relay_restarts_in_its_place_and_another_is_added(self):
        before = self.stack.env
        self.stack.do("relay", "restart", "2")
        after = self.stack.env
        self.assertNotEqual(before["RELAY_2_PID"], after["RELAY_2_PID"])
        self.assertFalse(is_running(int(before["RELAY_2_PID"])))
        for part in ("ID", "ADDRESS", "METRICS"):
            self.assertEqual(before[f"RELAY_2_{part}"], after[f"RELAY_2_{part}"])
        self.assertEqual(before["RELAY_1_PID"], after["RELAY_1_PID"])
        self.stack.do("relay", "add", "us")
        added = self.stack.env
        self.assertEqual(added["RELAY_4_REGION"], "us")
        self.assertTrue(is_running(int(added["RELAY_4_PID"])))

    def test_a_tunnel_outlives_a_restart_of_its_relay(self):
        server = self.home_server()
        agent = self.agent(server, "--region", "eu", "--name", "restart")
        address = self.stack.relay_address(agent)
        index = next(i for i in (1, 2) if self.stack.env[f"RELAY_{i}_ADDRESS"] == address)
        self.stack.do("relay", "restart", str(index))
        ends_at = time.monotonic() + 30
        while True:
            addresses = [self.stack.env[f"RELAY_{i}_ADDRESS"] for i in (1, 2)]
            results = [player("login", to, "--name", agent.hostname) for to in addresses]
            if any(result.returncode == 0 for result in results):
                break
            self.assertLess(time.monotonic(), ends_at, [result.stderr for result in results])


class ManyStacksTests(unittest.TestCase):
    def test_three_stacks_run_side_by_side_and_leave_nothing(self):
        command = [ROOT / "infra/stack", "up", "--no-build", "--relays", "eu=1,us=1", "--dir"]
        stacks = []
        for _ in range(3):
            stack = Stack.__new__(Stack)
            stack.directory = pathlib.Path(run("mktemp", "-d").stdout.strip())
            stacks.append(stack)
            self.addCleanup(run, "rm", "-rf", stack.directory)
            self.addCleanup(run, ROOT / "infra/stack", "down", "--dir", stack.directory)
        running = [subprocess.Popen([*command, stack.directory], stderr=subprocess.DEVNULL) for stack in stacks]
        self.assertEqual([process.wait(180) for process in running], [0, 0, 0])
        pids = [int(value) for stack in stacks for name, value in stack.env.items() if name.endswith("_PID")]
        self.assertEqual(len(set(pids)), 9)
        for stack in stacks:
            tunnels = get(stack.env["CONTROL_URL"] + "/v1/tunnels", stack.env["ACCOUNT_API_KEY"])
            self.assertEqual(json.loads(tunnels)["data"], [])
            stack.do("down")
        self.assertEqual([pid for pid in pids if is_running(pid)], [])
        for stack in stacks:
            self.assertEqual(processes_naming(str(stack.directory)), [])


if __name__ == "__main__":
    unittest.main()
