"""The Stripe double behaves as Stripe's own library expects, by itself and with localstripe behind it."""

import json
import subprocess
import sys
import unittest

import stripe
from stack import ROOT
from stripe_double import StripeDouble, sign

CARD = {"object": "card", "number": "4242424242424242", "exp_month": "12", "exp_year": "2030", "cvc": "123"}


def open_checkout(double, customer, key):
    return stripe.checkout.Session.create(
        api_key="sk_test_12345", mode="subscription", line_items=[{"price": "price_plus", "quantity": 1}],
        customer=customer, success_url="https://mine.example/", client_reference_id="acc_1", idempotency_key=key)


class StripeDoubleTests(unittest.TestCase):
    def setUp(self):
        stripe.api_key, stripe.max_network_retries = "sk_test_12345", 0

    def use(self, double):
        self.addCleanup(double.close)
        stripe.api_base = double.url
        return double

    def test_the_same_idempotency_key_gives_the_same_session_and_other_parameters_are_refused(self):
        double = self.use(StripeDouble())
        customer = double.customer()["id"]
        first, second = (open_checkout(double, customer, "key-1") for _ in range(2))
        self.assertEqual(first.id, second.id)
        with self.assertRaises(stripe.IdempotencyError):
            open_checkout(double, double.customer()["id"], "key-1")

    def test_a_meter_event_counts_once_even_when_its_answer_is_lost(self):
        double = self.use(StripeDouble())
        double.meters.add("bytes")
        double.fault("lost", "/v1/billing/meter_events", count=1)
        event = {"event_name": "bytes", "identifier": "acc:1", "payload": {"value": "5", "stripe_customer_id": "cus_1"}}
        with self.assertRaises(stripe.APIConnectionError):
            stripe.billing.MeterEvent.create(**event)
        with self.assertRaises(stripe.InvalidRequestError):
            stripe.billing.MeterEvent.create(**event)
        self.assertEqual(len(double.meter_events), 1)

    def test_its_signatures_are_stripes(self):
        payload = json.dumps({"id": "evt_1", "object": "event", "note": "café"}, ensure_ascii=False)
        self.assertTrue(stripe.WebhookSignature.verify_header(payload, sign(payload.encode(), "whsec_1"), "whsec_1"))
        with self.assertRaises(stripe.SignatureVerificationError):
            stripe.WebhookSignature.verify_header(payload, sign(payload.encode(), "whsec_2"), "whsec_1")

    def test_a_paid_checkout_is_a_subscription_in_localstripe(self):
        command = [sys.executable, ROOT / "Tests/Infra/localstripe_server.py"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        double = self.use(StripeDouble(upstream=json.loads(process.stdout.readline())["url"]))
        product = stripe.Product.create(name="Plus", type="service")
        stripe.Plan.create(product=product.id, amount=500, currency="eur", interval="month", id="price_plus")
        customer = stripe.Customer.create(email="alex@example.com")
        stripe.Customer.create_source(customer.id, source=CARD)
        subscription = double.complete(open_checkout(double, customer.id, "key-1").id)
        found = stripe.Subscription.retrieve(subscription["id"])
        self.assertEqual((found.status, found["items"].data[0].price.id), ("active", "price_plus"))


if __name__ == "__main__":
    unittest.main()
