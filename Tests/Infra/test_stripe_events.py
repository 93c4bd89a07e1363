"""infra/bench/stripe-events, smaller than by default: webhooks repeated and shuffled, the control plane killed."""

import subprocess
import unittest

from stack import ROOT


class StripeEventsTests(unittest.TestCase):
    def test_a_webhook_counts_once_whatever_the_order_and_however_often_it_comes(self):
        result = subprocess.run(
            [ROOT / "infra/bench/stripe-events", "--events", "1500", "--kills", "4", "--no-build"],
            capture_output=True, text=True, timeout=600,
        )
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("equal to the oracle", result.stdout)


if __name__ == "__main__":
    unittest.main()
