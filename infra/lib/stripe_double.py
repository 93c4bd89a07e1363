#!/usr/bin/env python3
"""A small Stripe to test against: what localstripe lacks, and Stripe's bad days.

  stripe_double.py [--port N] [--upstream URL] [--webhook URL --secret whsec_...]

It knows customers, subscriptions, Checkout and Billing Portal sessions, meter events (an identifier counts once) and
events with their delivery; it keeps idempotency keys as Stripe does, failed answers included. What it does not know
it passes on to `upstream` (localstripe), when there is one. It listens on 127.0.0.1 only.

Tests use it as a class: `with StripeDouble() as stripe: ...` and change what it holds. `fault` has it misbehave:

  slow      answers after `seconds`
  500, 503, 429   says so, before doing anything
  failed    does what was asked, answers 500, and gives that answer again to the same idempotency key
  nonsense  answers 200 with something that is no JSON
  cut-off   announces a body and sends half of it
  lost      does what was asked and closes without an answer
  closed    closes without doing anything
"""

import argparse
import copy
import hashlib
import hmac
import http.client
import http.server
import json
import random
import re
import socket
import string
import threading
import time
import urllib.parse

DAY_S = 24 * 3600


def new_id(prefix):
    return prefix + "".join(random.choices(string.ascii_letters + string.digits, k=24))


def unflatten(pairs):
    """`a[b][0][c]=1` as nested objects and lists, the way Stripe reads forms."""
    tree = {}
    for key, value in pairs:
        path = [part for part in re.split(r"[\[\]]+", key) if part] + ([""] if key.endswith("[]") else [])
        here = tree
        for part, following in zip(path, path[1:] + [None]):
            if part == "":
                part = str(len(here))
            if following is None:
                here[part] = value
            else:
                here = here.setdefault(part, {})

    def listed(value):
        if not isinstance(value, dict):
            return value
        value = {name: listed(member) for name, member in value.items()}
        if value and all(name.isdigit() for name in value):
            return [value[name] for name in sorted(value, key=int)]
        return value

    return listed(tree)


def sign(payload, secret, at=None, scheme="v1"):
    """The Stripe-Signature header of a body, by our own reading of how Stripe signs."""
    at = int(time.time()) if at is None else at
    digest = hmac.new(secret.encode(), f"{at}.".encode() + payload, hashlib.sha256).hexdigest()
    return f"t={at},{scheme}={digest}"


class StripeError(Exception):
    def __init__(self, status, message, kind="invalid_request_error", **more):
        super().__init__(message)
        self.status = status
        self.body = {"error": {"type": kind, "message": message, **more}}


class Fault:
    """`kind` for the next `count` requests (None: until cleared) that match method and path."""

    def __init__(self, kind, path="", method=None, count=None, seconds=0, retry_after=None):
        self.kind, self.path, self.method, self.count = str(kind), path, method, count
        self.seconds, self.retry_after = seconds, retry_after

    def takes(self, method, path):
        if self.count == 0 or not path.startswith(self.path) or self.method not in (None, method):
            return False
        if self.count is not None:
            self.count -= 1
        return True


class StripeDouble:
    def __init__(self, port=0, upstream=None):
        self.lock = threading.RLock()
        self.upstream = upstream
        self.objects = {}
        self.events = []
        self.prices = set()
        self.meters = set()
        self.meter_events = []
        self.webhooks = []
        self.requests = []
        self.faults = []
        self.replies = {}
        self.closing = threading.Event()
        self.server = Server(("127.0.0.1", port), self)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    # --- what tests set and see --------------------------------------------------------------------------------

    def fault(self, kind, path="", **more):
        fault = Fault(kind, path, **more)
        with self.lock:
            self.faults.append(fault)
        return fault

    def clear_faults(self):
        with self.lock:
            self.faults.clear()

    def put(self, value):
        """Keeps an object, to be read at its address."""
        with self.lock:
            self.objects[value["id"]] = value
        return value

    def get(self, id):
        with self.lock:
            return copy.deepcopy(self.objects.get(id))

    def all(self, kind):
        with self.lock:
            return [copy.deepcopy(value) for value in self.objects.values() if value["object"] == kind]

    def asked(self, method, path):
        """The requests so far with this method and path."""
        with self.lock:
            return [request for request in self.requests if (request["method"], request["path"]) == (method, path)]

    def customer(self, **members):
        return self.put({"id": new_id("cus_"), "object": "customer", "created": int(time.time()), "livemode": False,
                         "email": None, "name": None, "metadata": {}, **members})

    def subscription(self, customer, price, status="active", **members):
        """A subscription in today's shape: the period stands on its items."""
        now = int(time.time())
        id = members.pop("id", None) or new_id("sub_")
        item = {"id": new_id("si_"), "object": "subscription_item", "subscription": id, "quantity": 1, "metadata": {},
                "current_period_start": now, "current_period_end": now + 30 * DAY_S,
                "price": {"id": price, "object": "price", "active": True, "recurring": {"interval": "month"}}}
        return self.put({
            "id": id, "object": "subscription", "customer": customer, "status": status, "created": now,
            "livemode": False, "start_date": now, "cancel_at": None, "cancel_at_period_end": False,
            "canceled_at": None, "ended_at": None, "collection_method": "charge_automatically", "currency": "eur",
            "latest_invoice": None, "metadata": {}, "pause_collection": None, "trial_end": None,
            "items": {"object": "list", "data": [item], "has_more": False,
                      "url": f"/v1/subscription_items?subscription={id}"},
            **members})

    def change(self, id, price=None, **members):
        """Changes an object in place; `price` changes a subscription's only item."""
        with self.lock:
            value = self.objects[id]
            value.update(members)
            if price is not None:
                value["items"]["data"][0]["price"] = {**value["items"]["data"][0]["price"], "id": price}
            return copy.deepcopy(value)

    def event(self, type, value, **members):
        """Notes that something happened; `deliver` tells the webhooks of it."""
        event = {"id": new_id("evt_"), "object": "event", "api_version": "2026-07-29.dahlia",
                 "created": int(time.time()), "data": {"object": copy.deepcopy(value)}, "livemode": False,
                 "pending_webhooks": 1, "request": {"id": None, "idempotency_key": None}, "type": type, **members}
        with self.lock:
            self.events.append(event)
        return event

    def deliver(self, event, at=None, times=1):
        """Sends a signed event to every webhook, `times` over; the last statuses. Any 2xx counts as delivered."""
        payload = json.dumps(event, ensure_ascii=False).encode()
        statuses = []
        for url, secret in self.webhooks:
            for _ in range(times):
                status = post(url, payload, {"Stripe-Signature": sign(payload, secret, at)})
            statuses.append(status)
        if statuses and all(200 <= (status or 0) < 300 for status in statuses):
            with self.lock:
                event["pending_webhooks"] = 0
        return statuses

    def happen(self, type, value, **members):
        """An event and its delivery at once."""
        event = self.event(type, value, **members)
        self.deliver(event)
        return event

    def complete(self, session_id, status="active", payment_status="paid", deliver=True):
        """The customer pays at Checkout. Answers the subscription."""
        with self.lock:
            session = self.objects[session_id]
            price = session["line_items"][0]["price"]
            metadata = (session.get("subscription_data") or {}).get("metadata", {})
        if self.upstream:
            subscription = self.call_upstream(
                "POST", "/v1/subscriptions", [("customer", session["customer"]), ("items[0][plan]", price)]
                + [(f"metadata[{name}]", text) for name, text in metadata.items()])
        else:
            subscription = self.subscription(session["customer"], price, status, metadata=dict(metadata))
        session = self.change(session_id, status="complete", payment_status=payment_status,
                              subscription=subscription["id"], url=None)
        for event in (self.event("checkout.session.completed", session),
                      *([] if self.upstream else [self.event("customer.subscription.created", subscription)])):
            if deliver:
                self.deliver(event)
        return subscription

    # --- what it answers ---------------------------------------------------------------------------------------

    def answer(self, method, path, query, form, headers):
        """(status, JSON) for a request that no fault took; raises StripeError."""
        if not re.fullmatch(r"Bearer [sr]k_\S+", headers.get("Authorization", "")):
            raise StripeError(401, "Invalid API Key provided.")
        parts = path.strip("/").split("/")
        with self.lock:
            handler = self.HANDLERS.get((method, path))
            if handler:
                return 200, handler(self, form if method == "POST" else query)
            if method == "POST" and parts[-1] == "expire":
                return 200, self.expire_checkout(parts[-2])
            if len(parts) >= 3 and parts[0] == "v1" and (value := self.objects.get(parts[-1])):
                return 200, self.one(method, value, form)
            if method == "GET" and parts[:2] == ["v1", "events"] and len(parts) == 3:
                for event in self.events:
                    if event["id"] == parts[2]:
                        return 200, copy.deepcopy(event)
        return None

    def one(self, method, value, form):
        if method == "POST":
            value.update({name: member for name, member in form.items() if name not in ("id", "object")})
        elif method == "DELETE":
            if value["object"] == "subscription":
                value.update(status="canceled", ended_at=int(time.time()), canceled_at=int(time.time()))
            else:
                del self.objects[value["id"]]
                return {"id": value["id"], "object": value["object"], "deleted": True}
        return copy.deepcopy(value)

    def create_customer(self, form):
        return self.customer(**{name: form[name] for name in ("email", "name", "description", "metadata")
                                if name in form})

    def require_customer(self, form):
        id = form.get("customer", "")
        if not self.upstream and id not in self.objects:
            raise StripeError(400, f"No such customer: '{id}'", code="resource_missing", param="customer")
        return id

    def create_checkout(self, form):
        customer = self.require_customer(form)
        items = form.get("line_items") or []
        if form.get("mode") != "subscription" or not items or not form.get("success_url"):
            raise StripeError(400, "Missing required param: mode, line_items or success_url.")
        for item in items:
            if self.prices and item.get("price") not in self.prices:
                raise StripeError(400, f"No such price: '{item.get('price')}'", code="resource_missing",
                                  param="line_items[0][price]")
        id = new_id("cs_test_")
        return self.put({
            "id": id, "object": "checkout.session", "customer": customer, "status": "open", "mode": "subscription",
            "payment_status": "unpaid", "subscription": None, "created": int(time.time()), "livemode": False,
            "expires_at": int(time.time()) + DAY_S, "url": f"https://checkout.stripe.com/c/pay/{id}",
            "client_reference_id": form.get("client_reference_id"), "success_url": form["success_url"],
            "cancel_url": form.get("cancel_url"), "metadata": form.get("metadata", {}),
            "subscription_data": form.get("subscription_data"), "line_items": items})

    def expire_checkout(self, id):
        session = self.objects.get(id)
        if not session:
            raise StripeError(404, f"No such checkout.session: '{id}'", code="resource_missing", param="session")
        if session["status"] != "open":
            raise StripeError(400, "Only Checkout Sessions with a status in [\"open\"] can be expired.")
        session.update(status="expired", url=None)
        return copy.deepcopy(session)

    def create_portal(self, form):
        customer = self.require_customer(form)
        id = new_id("bps_")
        return self.put({
            "id": id, "object": "billing_portal.session", "customer": customer, "created": int(time.time()),
            "livemode": False, "return_url": form.get("return_url"), "configuration": "bpc_1",
            "url": f"https://billing.stripe.com/p/session/{id}"})

    def create_meter_event(self, form):
        now = int(time.time())
        payload = form.get("payload") or {}
        at = int(form.get("timestamp") or now)
        if form.get("event_name") not in self.meters:
            raise StripeError(400, f"No meter with event name '{form.get('event_name')}'.", code="resource_missing")
        if not re.fullmatch(r"-?\d+(\.\d+)?", str(payload.get("value", ""))) or not payload.get("stripe_customer_id"):
            raise StripeError(400, "The payload must hold value and stripe_customer_id.")
        if not now - 35 * DAY_S <= at <= now + 300:
            raise StripeError(400, "The timestamp must be within the past 35 days or 5 minutes in the future.",
                              code="timestamp_too_far_in_past" if at < now else "timestamp_in_future")
        identifier = form.get("identifier") or new_id("")
        if len(identifier) > 100:
            raise StripeError(400, "The identifier is longer than 100 characters.", param="identifier")
        if any(event["identifier"] == identifier and now - event["created"] < DAY_S for event in self.meter_events):
            raise StripeError(400, f"An event already exists with identifier {identifier}.")
        event = {"object": "billing.meter_event", "created": now, "event_name": form["event_name"],
                 "identifier": identifier, "livemode": False, "payload": dict(payload), "timestamp": at}
        self.meter_events.append(event)
        return event

    def page(self, values, query):
        """One page of a list that stands newest first."""
        limit = int(query.get("limit", 10))
        if not 1 <= limit <= 100:
            raise StripeError(400, "Invalid limit: it must be from 1 to 100.", param="limit")
        ids = [value["id"] for value in values]
        for name in ("starting_after", "ending_before"):
            if name in query and query[name] not in ids:
                raise StripeError(400, f"No such object: '{query[name]}'", code="resource_missing", param=name)
        if "ending_before" in query:
            newer = values[: ids.index(query["ending_before"])]
            return newer[-limit:], len(newer) > limit
        start = ids.index(query["starting_after"]) + 1 if "starting_after" in query else 0
        return values[start : start + limit], len(values) > start + limit

    def listing(self, values, query, url):
        data, has_more = self.page(values, query)
        return {"object": "list", "data": copy.deepcopy(data), "has_more": has_more, "url": url}

    def list_events(self, query):
        values = list(reversed(self.events))
        types = query.get("types") or ([query["type"]] if "type" in query else [])
        if len(types) > 20:
            raise StripeError(400, "At most 20 types.", param="types")
        if types:
            values = [event for event in values if event["type"] in types]
        if "delivery_success" in query:
            wanted = query["delivery_success"] == "true"
            values = [event for event in values if (event["pending_webhooks"] == 0) == wanted]
        oldest = int(time.time()) - 30 * DAY_S
        since = query.get("created") if isinstance(query.get("created"), dict) else {}
        bounds = {"gt": lambda at, than: at > than, "gte": lambda at, than: at >= than,
                  "lt": lambda at, than: at < than, "lte": lambda at, than: at <= than}
        values = [event for event in values if event["created"] >= oldest
                  and all(bounds[name](event["created"], int(than)) for name, than in since.items())]
        if "ending_before" in query and query["ending_before"] not in [event["id"] for event in values]:
            known = {event["id"]: index for index, event in enumerate(self.events)}
            if query["ending_before"] in known:
                # The mark itself may be filtered out, as a delivered event is among undelivered ones.
                after = {event["id"] for event in self.events[known[query["ending_before"]] + 1 :]}
                query = {name: value for name, value in query.items() if name != "ending_before"}
                newer = [event for event in values if event["id"] in after]
                limit = int(query.get("limit", 10))
                return {"object": "list", "data": copy.deepcopy(newer[-limit:]), "has_more": len(newer) > limit,
                        "url": "/v1/events"}
        return self.listing(values, query, "/v1/events")

    def list_subscriptions(self, query):
        values = [value for value in reversed(self.objects.values()) if value["object"] == "subscription"]
        if "customer" in query:
            values = [value for value in values if value["customer"] == query["customer"]]
        status = query.get("status", "")
        if status == "":
            values = [value for value in values if value["status"] != "canceled"]
        elif status != "all":
            values = [value for value in values if value["status"] == status]
        return self.listing(values, query, "/v1/subscriptions")

    def list_customers(self, query):
        if self.upstream:
            values = self.call_upstream("GET", "/v1/customers?limit=100")["data"]
        else:
            values = [value for value in reversed(self.objects.values()) if value["object"] == "customer"]
        if "email" in query:
            values = [value for value in values if value["email"] == query["email"]]
        return self.listing(values, query, "/v1/customers")

    def list_checkouts(self, query):
        values = [value for value in reversed(self.objects.values()) if value["object"] == "checkout.session"]
        for name in ("customer", "status", "subscription"):
            if name in query:
                values = [value for value in values if value[name] == query[name]]
        return self.listing(values, query, "/v1/checkout/sessions")

    HANDLERS = {
        ("POST", "/v1/customers"): create_customer,
        ("POST", "/v1/checkout/sessions"): create_checkout,
        ("POST", "/v1/billing_portal/sessions"): create_portal,
        ("POST", "/v1/billing/meter_events"): create_meter_event,
        ("GET", "/v1/events"): list_events,
        ("GET", "/v1/subscriptions"): list_subscriptions,
        ("GET", "/v1/customers"): list_customers,
        ("GET", "/v1/checkout/sessions"): list_checkouts,
    }
    PASSED_ON = {("POST", "/v1/customers"), ("GET", "/v1/subscriptions")}

    # --- localstripe behind it ---------------------------------------------------------------------------------

    def call_upstream(self, method, target, pairs=(), key="sk_test_12345"):
        body = urllib.parse.urlencode(list(pairs))
        status, answer = self.pass_on(method, target, body.encode(), f"Bearer {key}")
        if status != 200:
            raise AssertionError(f"{method} {target} answered {status}: {answer}")
        return answer

    def pass_on(self, method, target, body, authorization):
        url = urllib.parse.urlsplit(self.upstream)
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=10)
        try:
            headers = {"Authorization": authorization, "Content-Type": "application/x-www-form-urlencoded"}
            connection.request(method, target, body or None, headers)
            response = connection.getresponse()
            text = response.read()
            try:
                return response.status, modernized(json.loads(text))
            except ValueError:
                return response.status, {"error": {"type": "api_error", "message": text.decode(errors="replace")}}
        finally:
            connection.close()


def modernized(value):
    """localstripe's objects in today's shape: items have a price and the period."""
    if isinstance(value, list):
        return [modernized(member) for member in value]
    if not isinstance(value, dict):
        return value
    value = {name: modernized(member) for name, member in value.items()}
    if value.get("object") == "subscription" and "current_period_end" in value:
        period = {name: value.pop(name) for name in ("current_period_start", "current_period_end")}
        for item in value["items"]["data"]:
            item.update(period)
    if value.get("object") == "subscription_item" and "price" not in value:
        plan = value["plan"]
        value["price"] = {"id": plan["id"], "object": "price", "active": plan["active"],
                          "recurring": {"interval": plan["interval"]}}
    return value


def post(url, payload, headers):
    """The status of a POST; None when nobody answered."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    try:
        connection.request("POST", parts.path, payload, {"Content-Type": "application/json; charset=utf-8", **headers})
        response = connection.getresponse()
        response.read()
        return response.status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address, double):
        self.double = double
        super().__init__(address, Handler)

    def handle_error(self, request, client_address):
        """A client that left is no error here."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.serve("GET")

    def do_POST(self):
        self.serve("POST")

    def do_DELETE(self):
        self.serve("DELETE")

    def serve(self, method):
        double = self.server.double
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urllib.parse.urlsplit(self.path)
        query = unflatten(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        form = unflatten(urllib.parse.parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        key = self.headers.get("Idempotency-Key")
        with double.lock:
            double.requests.append({
                "method": method, "path": parts.path, "query": query, "form": form, "key": key,
                "version": self.headers.get("Stripe-Version"), "type": self.headers.get("Content-Type")})
            fault = next((fault for fault in double.faults if fault.takes(method, parts.path)), None)
        kind = fault.kind if fault else ""
        if kind == "slow":
            double.closing.wait(fault.seconds)
        if kind == "closed":
            return self.close()
        if kind.isdigit():
            error = {"error": {"type": "api_error", "message": "Something went wrong on our end."}}
            more = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            return self.send(int(kind), json.dumps(error), more)
        status, answer, more = self.once(method, parts.path, query, form, body, key, kind == "failed")
        if kind == "lost":
            return self.close()
        text = json.dumps(answer)
        if kind == "nonsense":
            status, text = 200, "<html><body>Stripe is having a day off</body></html>"
        self.send(status, text, more, half=kind == "cut-off")

    def once(self, method, path, query, form, body, key, fails):
        """The answer; with an idempotency key the one that was given to it first."""
        double = self.server.double
        if method != "POST" or key is None:
            return *self.work(method, path, query, form, body), {}
        asked = (path, hashlib.sha256(body).hexdigest())
        with double.lock:
            if known := double.replies.get(key):
                if known[0] != asked:
                    error = StripeError(400, "Keys for idempotent requests can only be used with the same parameters "
                                        "they were first used with.", "idempotency_error")
                    return error.status, error.body, {}
                if known[1] is None:
                    error = StripeError(409, "There is currently another in-progress request using this Idempotent "
                                        "Key.", "idempotency_error", code="idempotency_key_in_use")
                    return error.status, error.body, {}
                return *known[1], {"Idempotent-Replayed": "true"}
            double.replies[key] = (asked, None)
        reply = self.work(method, path, query, form, body)
        if fails:
            reply = 500, {"error": {"type": "api_error", "message": "Something went wrong on our end."}}
        with double.lock:
            double.replies[key] = (asked, reply)
        return *reply, {}

    def work(self, method, path, query, form, body):
        double = self.server.double
        try:
            if not (double.upstream and (method, path) in StripeDouble.PASSED_ON):
                if reply := double.answer(method, path, query, form, self.headers):
                    return reply
            if double.upstream:
                return double.pass_on(method, self.path, body, self.headers.get("Authorization", ""))
            raise StripeError(404, f"Unrecognized request URL or no such object ({method}: {path}).",
                              code="resource_missing")
        except StripeError as error:
            return error.status, error.body

    def send(self, status, text, more=None, half=False):
        payload = text.encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.send_header("Request-Id", new_id("req_"))
            for name, value in (more or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload[: len(payload) // 2] if half else payload)
        except OSError:
            self.close_connection = True
        if half:
            self.close()

    def close(self):
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--upstream")
    parser.add_argument("--webhook")
    parser.add_argument("--secret")
    options = parser.parse_args()
    double = StripeDouble(options.port, options.upstream)
    if options.webhook and options.secret:
        double.webhooks.append((options.webhook, options.secret))
    print(json.dumps({"event": "listening", "url": double.url}), flush=True)
    try:
        double.thread.join()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
