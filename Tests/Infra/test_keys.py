"""The secrets and ports that infra/lib hands out."""

import base64
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

LIB = pathlib.Path(__file__).resolve().parents[2] / "infra" / "lib"
sys.path.insert(0, str(LIB))

import keys  # noqa: E402


class KeyTests(unittest.TestCase):
    def test_an_operator_key_has_its_prefix_and_checksum(self):
        key = keys.typed_key("mco")
        self.assertRegex(key, r"^mco_[0-9A-Za-z]{38}$")
        self.assertEqual(keys.checksum(key[4:36]), key[36:])

    def test_a_signing_key_is_32_bytes_of_base64url(self):
        text = keys.MAKERS["signing-key"]()
        self.assertEqual(len(base64.urlsafe_b64decode(text + "=")), 32)

    def test_a_relay_id_is_typed(self):
        self.assertTrue(re.fullmatch(r"rly_[0-9A-Za-z]{22}", keys.MAKERS["relay-id"]()))


class PortTests(unittest.TestCase):
    def test_stacks_that_start_together_get_different_ports(self):
        with tempfile.TemporaryDirectory() as folder:
            directories = [pathlib.Path(folder) / str(number) for number in range(4)]
            for directory in directories:
                (directory / "run").mkdir(parents=True)
            command = [sys.executable, LIB / "ports.py"]
            running = [subprocess.Popen([*command, d, "20"], stdout=subprocess.PIPE, text=True) for d in directories]
            ports = [int(port) for process in running for port in process.communicate(timeout=30)[0].split()]
        self.assertEqual(len(ports), 80)
        self.assertEqual(len(set(ports)), 80)


if __name__ == "__main__":
    unittest.main()
