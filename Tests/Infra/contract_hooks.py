"""What schemathesis needs to know beyond the document; loaded by test_contract.py's configuration.

Requests carry a placeholder as their credential. Here the true one takes its place, and a new one when a request has
ended it: a session that signs itself out, a key that revokes itself, an account that is deleted.
"""

import hashlib
import hmac
import json
import os
import random
import secrets
import time
import urllib.error
import urllib.request

import requests
import schemathesis

CONTROL_URL = os.environ["CONTRACT_URL"]
KIND = os.environ["CONTRACT_KIND"]
OPERATOR_KEY = os.environ["CONTRACT_OPERATOR_KEY"]
METRICS_TOKEN = os.environ["CONTRACT_METRICS_TOKEN"]
PLACEHOLDER = "Bearer in-place-of-the-credential"
PASSWORD = "a password of the contract test"
WEBHOOK_SECRET = os.environ["CONTRACT_WEBHOOK_SECRET"]
TO_BE_SIGNED = "t=0,v1=to-be-signed"

# Members that name what must exist already. The document cannot list regions and plans, which are rows, pages of this
# installation, nor the cursors of earlier answers; so what is meant to be accepted names what there is.
OWN_PAGE = CONTROL_URL.replace("127.0.0.1", "localhost") + "/"
EXISTING = {"region": "eu", "plan": "free"} | dict.fromkeys(["success_url", "cancel_url", "return_url"], OWN_PAGE)


def make_usage_possible(body):
    """No more than a relay can move between the two times."""
    body["from"], body["to"] = "2026-11-21T12:00:00Z", "2026-11-21T12:01:00Z"
    for row in body.get("tunnels") or []:
        for name in ("bytes_up", "bytes_down", "player_s"):
            row[name] %= 1000


def make_an_event(body):
    """One as Stripe sends it, of a kind that means nothing to us; whatever else is in it is left alone."""
    event = {"id": f"evt_{secrets.token_hex(12)}", "object": "event", "type": "contract.tested", "livemode": False}
    body.update(event, created=int(time.time()), api_version="2025-09-30.clover", pending_webhooks=1, request=None)
    body["data"] = {"object": {"id": "thing_1", "object": "thing"}}


def name_another_member(body):
    """The account does not go over to the one who gives it away."""
    body["member_id"] = "usr_" + "1" * 22


# What members mean together, which a schema does not say, by operation.
MAKE_SENSE = {
    "POST /v1/relay/usage": make_usage_possible,
    "POST /v1/webhooks/stripe": make_an_event,
    "POST /v1/account/transfer": name_another_member,
}


def call(method, path, body=None, credential=None):
    """The answer's JSON; None when it was refused or has no body."""
    headers = {"Content-Type": "application/json"}
    if credential:
        headers["Authorization"] = f"Bearer {credential}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(CONTROL_URL + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        error.close()
        return None


class Credential:
    """A credential of the kind under test, always a good one."""

    def __init__(self):
        self.value = self.make()

    def make(self):
        if KIND == "operatorKey":
            return OPERATOR_KEY
        if KIND == "metricsToken":
            return METRICS_TOKEN
        if KIND == "relayKey":
            return call("POST", "/v1/ops/relay-keys", {"region": "eu"}, OPERATOR_KEY)["key"]
        person = {"email": f"{secrets.token_hex(8)}@mail.example", "password": PASSWORD}
        account = call("POST", "/v1/ops/accounts", {**person, "plan": "unlimited"}, OPERATOR_KEY)
        if KIND == "accessToken":
            return call("POST", "/v1/sessions", person)["access_token"]
        return account[{"apiKey": "api_key", "agentKey": "agent_key"}[KIND]]

    def is_good(self):
        path = {"accessToken": "/v1/account", "apiKey": "/v1/account", "agentKey": "/v1/regions"}.get(KIND)
        return path is None or call("GET", path, credential=self.value) is not None

    def renew_if_ended(self):
        if not self.is_good():
            self.value = self.make()


credential = Credential() if KIND != "nobody" else None
send = requests.Session.send


def send_with_credential(session, request, **options):
    # Each request comes from an address of its own (the test's control plane trusts this header), so that what one
    # address may do in a minute does not end the test. A proxied request is nobody's loopback: /metrics goes without.
    if not request.url.startswith(CONTROL_URL + "/metrics"):
        request.headers["X-Forwarded-For"] = str(random.randrange(1, 224)) + "".join(
            f".{random.randrange(256)}" for _ in range(3)
        )
    if request.headers.get("Stripe-Signature") == TO_BE_SIGNED:
        signed = f"{int(time.time())}."
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        digest = hmac.new(WEBHOOK_SECRET.encode(), signed.encode() + body, hashlib.sha256).hexdigest()
        request.headers["Stripe-Signature"] = f"t={signed[:-1]},v1={digest}"
    if request.headers.get("Authorization") != PLACEHOLDER or credential is None:
        return send(session, request, **options)
    request.headers["Authorization"] = f"Bearer {credential.value}"
    answer = send(session, request, **options)
    request.headers["Authorization"] = PLACEHOLDER
    if request.method in ("DELETE", "POST", "PUT", "PATCH") and answer.ok:
        credential.renew_if_ended()
    return answer


requests.Session.send = send_with_credential


@schemathesis.hook
def before_call(context, case, options):
    if case.meta is not None and not case.meta.generation.mode.is_positive:
        return
    headers, query, body = case.headers or {}, case.query or {}, case.body
    for name in headers:
        # One that came before with another body is refused, as it must be.
        if name.lower() == "idempotency-key":
            headers[name] = secrets.token_hex(16)
        # A signature is over the bytes that are sent.
        if name.lower() == "stripe-signature":
            headers[name] = TO_BE_SIGNED
    query.pop("cursor", None)
    for values in (query, body if isinstance(body, dict) else {}):
        for name, value in EXISTING.items():
            if isinstance(values.get(name), str):
                values[name] = value
    make_sense = MAKE_SENSE.get(f"{case.operation.method.upper()} {case.operation.path}")
    if make_sense and isinstance(body, dict):
        make_sense(body)
