"""The public addresses behind gunicorn, next to a bare Django view behind the same server, in the same run.

The server is started as `up` starts it. So many connections stay open, and each asks again as soon as it is answered. A
click or an open looks its delivery up and is committed before the answer leaves; a webhook or callback is stored.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from events import tracking
from events.models import Engagement, EventDelivery
from integrations.models import Merchant
from nectorbridge.bench import world
from nectorbridge.bench.catalogue import Options
from nectorbridge.bench.measure import Bar, Comparison, compare
from nectorbridge.bench.running import START_SECONDS, process, wait_for
from nectorbridge.management.commands.up import answers, members

BAR = Bar(0.4, at_most=False)
CONNECTIONS = 16
REQUESTS, QUICK_REQUESTS = 4000, 40
DELIVERIES, QUICK_DELIVERIES = 2000, 10
AGENT = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36"
BUFFER = 65_536
HOST = "127.0.0.1"


class Server:
    """A running web server, and how quickly it answers."""

    def __init__(self, port: int, requests: int) -> None:
        """Ask this port so many requests a figure."""
        self.port, self.requests = port, requests

    def rate(self, request: Callable[[], bytes], expected: int) -> float:
        """Return the answers per second to what `request()` makes anew each time. Raises RuntimeError for another answer."""
        share = self.requests // CONNECTIONS or 1
        made = [[request() for _number in range(share)] for _connection in range(CONNECTIONS)]
        failed: list[str] = []
        threads = [threading.Thread(target=self._ask, args=[part, expected, failed]) for part in made]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise RuntimeError(f"{len(failed)} connections failed, the first: {failed[0]}")
        return share * CONNECTIONS / (time.perf_counter() - began)

    def _ask(self, requests: list[bytes], expected: int, failed: list[str]) -> None:
        """Ask one after another over one connection."""
        try:
            with socket.create_connection((HOST, self.port), timeout=30) as sock:
                for request in requests:
                    sock.sendall(request)
                    answer = _answer(sock)
                    if not answer.startswith(f"HTTP/1.1 {expected}".encode()):
                        raise RuntimeError(answer[:200].decode(errors="replace"))
        except (OSError, RuntimeError) as error:
            failed.append(f"{type(error).__name__}: {error}")


def _answer(sock: socket.socket) -> bytes:
    """Read one answer, whose length its head tells."""
    data = sock.recv(BUFFER)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0)
    while len(body) < length:
        more = sock.recv(BUFFER)
        if not more:
            raise RuntimeError("the connection was cut")
        body += more
    return data


def request(method: str, path: str, body: bytes = b"", headers: str = "") -> bytes:
    """Return a request as it travels."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: {AGENT}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


@contextmanager
def server(requests: int) -> Iterator[Server]:
    """Run the web server of `up` on a free port."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = int(probe.getsockname()[1])
    web = members(HOST, port, None)[0]
    with process(*web.command):
        wait_for(lambda: answers(HOST, port), START_SECONDS, "the web server to answer")
        yield Server(port, requests)


def _tokens(options: Options) -> Iterator[str]:
    """Make deliveries and yield their tokens, round and round."""
    place = world.build(options.size(100, 5), "clevertap")
    place.queue(options.size(DELIVERIES, QUICK_DELIVERIES))
    EventDelivery.objects.update(destination="https://shop.example/coins")
    return itertools.cycle([tracking.token(pk) for pk in EventDelivery.objects.values_list("pk", flat=True)])


def _run(options: Options, name: str, what: str, make: Callable[[], bytes], expected: int, bare: bytes) -> dict[str, Any]:
    """Measure one address; answers per second."""
    with server(options.size(REQUESTS, QUICK_REQUESTS)) as web:

        def ours() -> float:
            return web.rate(make, expected)

        def baseline() -> float:
            return web.rate(lambda: bare, 204)

        baseline(), ours()  # connections, caches, prepared statements
        comparison = Comparison(name, f"{what} / a bare view answering 204, {CONNECTIONS} connections", "answers/s", BAR)
        found = compare(comparison, baseline, ours, options.pairs, options.note)
        found.extra["database"] = connection.vendor
        return found.as_dict()


def click(options: Options) -> dict[str, Any]:
    """Measure the click redirect."""
    tokens = _tokens(options)
    found = _run(options, "public-click", "clicks", lambda: request("GET", f"/t/c/{next(tokens)}"), 302, request("GET", "/bare/"))
    found["extra"]["engagements"] = Engagement.objects.count()
    return found


def opened(options: Options) -> dict[str, Any]:
    """Measure the open pixel."""
    tokens = _tokens(options)
    found = _run(
        options, "public-open", "opens", lambda: request("GET", f"/t/o/{next(tokens)}.gif"), 200, request("GET", "/bare/")
    )
    found["extra"]["engagements"] = Engagement.objects.count()
    return found


def callback(options: Options) -> dict[str, Any]:
    """Measure the door for what providers send back: an open each, with an id of its own."""
    place = world.build(options.size(100, 5), "clevertap")
    numbers = itertools.count()
    path = f"/callbacks/clevertap/{place.integration.callback_token}/open/"

    def make() -> bytes:
        number = next(numbers)
        body = json.dumps({"id": f"e-{number}", "email": f"c{number % 100}@bench.example", "event": "open"}).encode()
        return request("POST", path, body, "Content-Type: application/json\r\n")

    return _run(options, "public-callback", "callbacks", make, 200, request("POST", "/bare/", b"{}"))


def webhook(options: Options) -> dict[str, Any]:
    """Measure Nector's door: a wallet transaction each, with a content of its own."""
    place = world.build(options.size(100, 5), "clevertap")
    merchant = Merchant.objects.get(pk=place.integration.merchant_id)
    merchant.nector_webhook_secret = "bench"  # noqa: S105 - of a throw-away installation
    merchant.save()
    numbers = itertools.count()
    secret = hashlib.sha256(b"bench").hexdigest()
    path = f"/webhooks/nector/{merchant.nector_webhook_token}/"

    def make() -> bytes:
        number = next(numbers)
        person = {"id": f"shopify-{number % 100}", "email": f"c{number % 100}@bench.example"}
        body = {"_id": f"tx-{number}", "amount": "5", "operation": "cr", "status": "success", "customer": person}
        text = json.dumps(body).encode()
        headers = (
            "Content-Type: application/json\r\nx-nector-topic: walletreward_create\r\n"
            f"x-nector-webhook-secret: {secret}\r\nx-nector-delivery-id: d-{number}\r\n"
        )
        return request("POST", path, text, headers)

    return _run(options, "public-webhook", "webhooks", make, 200, request("POST", "/bare/", b"{}"))
