"""localstripe as the tests need it: on loopback only, nothing kept on disk, and telling of changed subscriptions."""

import argparse
import json
import logging
import socket

from aiohttp import web
from localstripe import resources
from localstripe.server import app


def update_subscription(id, **data):
    subscription = resources.Subscription._api_retrieve(id)
    subscription._update(**data)
    resources.schedule_webhook(resources.Event("customer.subscription.updated", subscription))
    return subscription


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    resources.Store.dump_to_disk = lambda _: None
    resources.Subscription._api_update = update_subscription
    listener = socket.create_server(("127.0.0.1", options.port))
    logging.getLogger("aiohttp.access").disabled = True
    print(json.dumps({"event": "listening", "url": f"http://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)
    web.run_app(app, sock=listener, access_log=None, print=None)


if __name__ == "__main__":
    main()
