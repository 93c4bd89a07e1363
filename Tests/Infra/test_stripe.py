"""A real stack that sells: the double's Checkout and Portal, localstripe's subscriptions and signed webhooks, Stripe's
own library as the signer, and what a player meets at the relay."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.request

import stripe
from stack import ROOT, Agent, HomeServer, Stack, player
from stripe_double import StripeDouble, post

CARD = {"object": "card", "number": "4242424242424242", "exp_month": "12", "exp_year": "2040", "cvc": "123"}
PATIENCE_S = 60


def eventually(check, what):
    """What `check` answers once that is true."""
    ends_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends_at:
        if found := check():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {PATIENCE_S} s: {what}")


class Caller:
    """Calls the control plane under one key."""

    def __init__(self, url, key):
        self.url, self.key = url, key

    def __call__(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")


class Customer:
    """An account on the free plan whose owner is signed in."""

    def __init__(self, case):
        self.env = case.stack.env
        operator = Caller(self.env["CONTROL_URL"], self.env["OPERATOR_KEY"])
        person = {"email": f"{secrets.token_hex(6)}@example.com", "password": secrets.token_hex(12)}
        _, made = operator("POST", "/v1/ops/accounts", {**person, "plan": "free"})
        self.account, self.agent_key = made["account_id"], made["agent_key"]
        _, session = Caller(self.env["CONTROL_URL"], "")("POST", "/v1/sessions", person)
        self.call = Caller(self.env["CONTROL_URL"], session["access_token"])

    def plan(self):
        return self.call("GET", "/v1/account")[1]["plan"]["id"]

    def bill(self):
        return self.call("GET", "/v1/billing")[1]

    def buy(self, plan):
        status, answer = self.call("POST", "/v1/billing/checkout", {"plan": plan})
        if status != 201:
            raise AssertionError(f"Checkout answered {status}: {answer}")
        return answer["url"].rpartition("/")[2]


class StripeStackTestCase(unittest.TestCase):
    upstream = None

    @classmethod
    def setUpClass(cls):
        cls.double = StripeDouble(upstream=cls.upstream)
        cls.addClassCleanup(cls.double.close)
        cls.stack = Stack("--relays", "eu=1", "--stripe-api", cls.double.url)
        cls.addClassCleanup(cls.stack.down)
        env = cls.stack.env
        cls.webhook, cls.secret = env["CONTROL_URL"] + "/v1/webhooks/stripe", env["STRIPE_WEBHOOK_SECRET"]
        cls.operator = Caller(env["CONTROL_URL"], env["OPERATOR_KEY"])
        for plan, changes in {
            "free": {"players": 0},
            "plus": {"stripe_price": "price_plus"},
        }.items():
            status, answer = cls.operator("PATCH", f"/v1/ops/plans/{plan}", changes)
            if status != 200:
                raise AssertionError(answer)
        stripe.api_base, stripe.api_key, stripe.max_network_retries = cls.double.url, env["STRIPE_SECRET_KEY"], 0

    def happen(self, type, value):
        """An event about the object, signed by Stripe's own library."""
        event = self.double.event(type, value)
        payload = json.dumps(event)
        at = int(time.time())
        signature = stripe.WebhookSignature._compute_signature(f"{at}.{payload}", self.secret)
        return post(self.webhook, payload.encode(), {"Stripe-Signature": f"t={at},v1={signature}"})

    def server(self, customer):
        """A home server behind a tunnel of the customer; answers what a player who joins reads."""
        home = HomeServer()
        self.addCleanup(home.stop)
        agent = Agent({**self.stack.env, "AGENT_KEY": customer.agent_key}, home.address, "--region", "eu")
        self.addCleanup(agent.stop)

        def join():
            address = self.stack.env["RELAY_1_ADDRESS"]
            result = player("login", address, "--name", agent.hostname, "--user", "Alex")
            return result.stdout + result.stderr

        return join


class BuyingTests(StripeStackTestCase):
    """With localstripe behind the double: it keeps the subscriptions and sends the webhooks."""

    @classmethod
    def setUpClass(cls):
        command = [sys.executable, ROOT / "Tests/Infra/localstripe_server.py"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        cls.addClassCleanup(process.stdout.close)
        cls.addClassCleanup(process.wait)
        cls.addClassCleanup(process.terminate)
        cls.upstream = json.loads(process.stdout.readline())["url"]
        super().setUpClass()
        data = json.dumps({"url": cls.webhook, "secret": cls.secret}).encode()
        request = urllib.request.Request(
            cls.upstream + "/_config/webhooks/minecart", data, {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=10).close()
        product = stripe.Product.create(name="Plus", type="service")
        stripe.Plan.create(product=product.id, amount=500, currency="eur", interval="month", id="price_plus")

    def test_what_is_bought_reaches_the_relay_and_what_is_cancelled_leaves_it(self):
        customer = Customer(self)
        join = self.server(customer)
        eventually(lambda: "full" in join(), "the free plan has no room for players here")
        session = self.double.get(customer.buy("plus"))
        self.assertEqual(session["client_reference_id"], customer.account)
        stripe.Customer.create_source(session["customer"], source=CARD)
        subscription = self.double.complete(session["id"])
        eventually(lambda: customer.plan() == "plus", "the plan becomes plus")
        eventually(lambda: "welcome" in join().lower(), "a player gets in")
        bill = customer.bill()
        self.assertEqual((bill["state"], bill["has_subscription"]), ("active", True))
        self.assertEqual(customer.call("POST", "/v1/billing/checkout", {"plan": "plus"})[0], 409)
        status, portal = customer.call("POST", "/v1/billing/portal", {})
        self.assertEqual(status, 201, portal)
        self.assertTrue(portal["url"].startswith("https://billing.stripe.com/"))
        stripe.Subscription.cancel(subscription["id"])
        eventually(lambda: customer.plan() == "free", "the plan is free again")
        eventually(lambda: "full" in join(), "the limit of the free plan is back at the relay")
        self.assertEqual(customer.bill()["state"], "revoked")


class BadDaysTests(StripeStackTestCase):
    """With the double alone, and events signed by Stripe's own library."""

    def subscribe(self, customer):
        session = customer.buy("plus")
        subscription = self.double.complete(session, deliver=False)
        self.assertEqual(self.happen("checkout.session.completed", self.double.get(session)), 200)
        eventually(lambda: customer.plan() == "plus", "the plan becomes plus")
        return subscription["id"]

    def test_a_late_payment_is_forgiven_for_a_while_and_then_paid(self):
        customer = Customer(self)
        id = self.subscribe(customer)
        now = int(time.time())
        invoice = {"id": "in_late", "object": "invoice", "status": "open", "created": now, "amount_remaining": 500,
                   "customer": self.double.get(id)["customer"], "billing_reason": "subscription_cycle",
                   "parent": {"subscription_details": {"subscription": id}}, "lines": {"data": []},
                   "status_transitions": {"finalized_at": now}}
        self.double.change(id, status="past_due", latest_invoice=invoice)
        self.assertEqual(self.happen("invoice.payment_failed", invoice), 200)
        bill = eventually(lambda: (found := customer.bill())["state"] == "grace" and found, "grace")
        self.assertEqual((customer.plan(), bill["next_step"]), ("plus", "portal"))
        self.assertIsNotNone(bill["grace_until"])
        self.double.change(id, status="active", latest_invoice={**invoice, "status": "paid", "amount_remaining": 0})
        self.assertEqual(self.happen("invoice.paid", {**invoice, "status": "paid"}), 200)
        eventually(lambda: customer.bill()["state"] == "active", "the bill is good again")

    def test_an_event_that_stripe_did_not_sign_changes_nothing(self):
        payload = json.dumps(self.double.event("customer.subscription.deleted", {"id": "sub_1"})).encode()
        signature = stripe.WebhookSignature._compute_signature(f"1.{payload.decode()}", "whsec_another")
        for header in ({}, {"Stripe-Signature": f"t={int(time.time())},v1={signature}"}):
            self.assertEqual(post(self.webhook, payload, header), 400)

    def test_checkout_says_when_stripe_is_away_and_works_when_it_is_back(self):
        customer = Customer(self)
        for kind, expected in (("closed", 503), ("500", 503), ("nonsense", 502)):
            self.double.fault(kind, "/v1/c")
            status, problem = customer.call("POST", "/v1/billing/checkout", {"plan": "plus"})
            self.assertEqual(status, expected, problem)
            self.assertIn("Stripe", problem["detail"])
            self.double.clear_faults()
        self.assertEqual(self.double.get(customer.buy("plus"))["status"], "open")
        self.assertEqual(len([one for one in self.double.all("customer")
                              if one["metadata"].get("account") == customer.account]), 1)

    def test_a_meter_event_counts_once_when_the_control_plane_is_killed_before_the_answer(self):
        self.double.meters.add("bytes")
        before = len(self.double.meter_events)
        self.double.fault("slow", "/v1/billing/meter_events", seconds=3, count=1)
        self.sql(
            "INSERT INTO meter_events (account_id, hour, part, identifier, customer_id, event_name, bytes, next_try_at)"
            " SELECT id, date_trunc('hour', now()) - interval '2 hours', 1, 'killed:1', 'cus_1', 'bytes', 42, now()"
            " FROM accounts LIMIT 1")
        asked = "/v1/billing/meter_events"
        eventually(lambda: self.double.asked("POST", asked), "the event is sent")
        os.kill(int(self.stack.env["CONTROL_PID"]), signal.SIGKILL)
        eventually(lambda: len(self.double.meter_events) > before, "the event counts behind the dead one's back")
        self.stack.do("start", "control")
        self.sql("UPDATE meter_events SET next_try_at = now()")
        eventually(lambda: self.sql("SELECT state FROM meter_events") == "sent", "it is known to have counted")
        self.assertEqual(len(self.double.meter_events), before + 1)
        self.assertEqual({request["form"]["identifier"] for request in self.double.asked("POST", asked)}, {"killed:1"})
        self.assertGreater(len(self.double.asked("POST", asked)), 1)

    def sql(self, text):
        command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.stack.env["DATABASE_URL"], "-c", text]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


del StripeStackTestCase

if __name__ == "__main__":
    unittest.main()
