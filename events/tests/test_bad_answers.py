"""Whatever comes back over a real socket, at every provider: the drain lives on, the try is written down, the next one leaves."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading
import time
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest
from django.utils import timezone

from events import record
from events.drain import drain
from events.models import Call, DeliveryAttempt, EventDelivery
from integrations import http as door
from integrations.providers import all_providers
from nectorbridge.sandbox import Sandbox
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db
TIMEOUT_SECONDS = 0.5
PROVIDERS = [provider.slug for provider in all_providers()]
# What each provider's integration needs: settings, names of secrets.
ACCOUNTS: dict[str, tuple[dict[str, object], list[str]]] = {
    "clevertap": ({"account_id": "TEST-000-000-000", "server_prefix": "in1"}, ["private_api_key"]),
    "moengage": ({"workspace_id": "TEST000000000", "server_prefix": "01"}, ["data_api_key"]),
    "contlo": ({}, ["private_api_key"]),
    "wigzo": ({}, ["org_token", "api_token"]),
    "mailmodo": ({"list_name": "Test", "requests_per_second": 50}, ["api_key"]),
}
IDENTIFY_FIRST = [provider.slug for provider in all_providers() if provider.identify_first]


def body(data: bytes, *headers: bytes, status: bytes = b"200 OK", length: bytes | None = None) -> bytes:
    """Return an answer as it goes over the wire."""
    said = str(len(data)).encode() if length is None else length
    return b"\r\n".join([b"HTTP/1.1 " + status, b"Content-Length: " + said, *headers, b"", data])


def chunked(data: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked", *headers, b"", data])


def slowly(connection: socket.socket, data: bytes) -> None:
    for byte in data * 50:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


HUGE = b" " * (door.LARGEST_ANSWER_BYTES + 1)
BOMB = gzip.compress(b" " * 20_000_000)
# Nobody can know what became of the event: the request had left.
UNCERTAIN = {
    "huge": body(HUGE),
    "huge in chunks": chunked(b"500000\r\n" + HUGE[:5_242_880] + b"\r\n0\r\n\r\n"),
    "huge without an end": b"HTTP/1.1 200 OK\r\n\r\n" + HUGE,
    "a gzip bomb": body(BOMB, b"Content-Encoding: gzip"),
    "a bomb in a bomb": body(gzip.compress(BOMB), b"Content-Encoding: gzip, gzip"),
    "gzip that is none": body(b'{"status"', b"Content-Encoding: gzip"),
    "silence": lambda connection: time.sleep(TIMEOUT_SECONDS * 1.5),
    "a drip": lambda connection: slowly(connection, b"HTTP/1.1 200 OK\r\n"),
    "a drip of headers": lambda connection: slowly(connection, b"HTTP/1.1 200 OK\r\nX: " + b"y" * 50),
    "a drip of the body": lambda connection: slowly(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{"),
    "nothing at all": b"",
    "half a status line": b"HTTP/1.",
    "no status line": b"It works!\r\n\r\n",
    "HTTP/0.9": b'{"status":"success"}',
    "a status that is none": b"HTTP/1.1 OK\r\n\r\n",
    "a status of one digit": b"HTTP/1.1 7 Odd\r\nContent-Length: 0\r\n\r\n",
    "endless headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500,
    "an endless header": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000,
    "endless continues": b"HTTP/1.1 100 Continue\r\n\r\n" * 2000,
    "longer than it is": body(b'{"status":"success"}', length=b"9999"),
    "chunks of nonsense": chunked(b"zz\r\n{}\r\n"),
    "chunks without an end": chunked(b"5\r\n{    \r\n"),
    "a chunk of minus one": chunked(b"-1\r\n{}\r\n0\r\n\r\n"),
    "shorter than it is": body(b'{"status":"success"}', length=b"9"),
    "HTML": body(b"<html>It works!</html>", b"Content-Type: text/html"),
    "UTF-16": body('{"status":"success"}'.encode("utf-16"), b"Content-Type: application/json; charset=utf-8"),
    "null bytes": body(b"\x00" * 500),
    "bytes of no charset": body(b"\xff\xfe\xfd{", b"Content-Type: application/json; charset=nonsense"),
    "as deep as it goes": body(b"[" * 200_000),
}
# The provider said something, and each reads it in its own way.
SAID = {
    "an empty yes": body(b""),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "NaN": body(b'{"status": NaN, "processed": NaN, "success": NaN, "code": Infinity}'),
    "a number without an end": body(b'{"status":"fail","code":' + b"9" * 6000 + b"}"),
    "a refusal with a null": body(
        b'{"status":"fail","success":false,"error":"a\\u0000b","message":"a\\u0000b"}', status=b"400 No"
    ),
    "a refusal with half a pair": body(
        b'{"status":"fail","success":false,"error":"\\ud800","message":"\\ud800"}', status=b"400 No"
    ),
    "half a pair": body(b'{"status":"fail","success":false,"error":"\\ud800\\u0000","message":"\\ud800\\u0000"}'),
    "a failure with a null": body(b'{"status":"fail","error":"a\\u0000\\udfff","message":"a\\u0000\\udfff"}', status=b"500 No"),
    "raw nulls in an error": body(b'{"error":"\x00\x01\x02"}', status=b"500 No"),
    "an error of a megabyte": body(json.dumps({"error": "x" * 1_000_000, "message": "x" * 1_000_000}).encode(), status=b"400 No"),
    "a list": body(b"[1, 2, 3]"),
    "null": body(b"null"),
    "shapes that nobody expects": body(b'{"status":["x"],"success":{"a":1},"error":[[]],"message":7,"unprocessed":"x"}'),
    "headers of nulls": body(b"{}", b"X-\x00Y: \x00", b"no colon", b"\xff\xfe: \xff", status=b"500 No"),
    "a length of letters": b"HTTP/1.1 500 No\r\nContent-Length: many\r\n\r\n{}",
    "a length below zero": b"HTTP/1.1 500 No\r\nContent-Length: -5\r\n\r\n{}",
    "two lengths": body(b"{}", b"Content-Length: 7", status=b"500 No"),
    "status 600": body(b"{}", status=b"600 Odd"),
    "status 999": body(b"{}", status=b"999 Odd"),
    "a date of nonsense": body(b"{}", b"Retry-After: Never", b"Date: yesterday", status=b"503 No"),
    "an endless hold": body(b"{}", b"Retry-After: 1e400", status=b"429 No"),
    "a hold that is no number": body(b"{}", b"Retry-After: nan", b"X-RateLimit-Reset: -inf", status=b"429 No"),
}
REDIRECTS = {
    f"{status} to {words}": body(b"", b"Location: " + to, status=str(status).encode() + b" Moved")
    for status, words, to in [
        (301, "another host", b"http://127.0.0.1:1/"),
        (302, "nowhere", b""),
        (307, "itself", b"/"),
        (308, "a file", b"file:///etc/passwd"),
        (300, "nonsense", b"\xff\x00"),
        (304, "what is known", b""),
    ]
}


class BadServer:
    """Stands before the sandbox: what is asked with `words` in it gets `answer`, everything else the sandbox's own answer."""

    def __init__(self, sandbox: Sandbox, words: bytes, answer: object) -> None:
        self.sandbox, self.words, self.answer = sandbox, words, answer
        self.asked = 0

    @contextmanager
    def running(self):
        listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.close()

    def _accept(self, listener):
        with suppress(OSError):
            while True:
                connection, _address = listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, suppress(OSError):
            head, data = read_request(connection)
            if self.words not in data:
                connection.sendall(self._forward(head, data))
                return
            self.asked += 1
            self.answer(connection) if callable(self.answer) else connection.sendall(self.answer)
            connection.shutdown(socket.SHUT_WR)

    def _forward(self, head: bytes, data: bytes) -> bytes:
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _version = first.split()
        headers = dict(line.split(": ", 1) for line in lines if line and not line.lower().startswith("host"))
        there = http.client.HTTPConnection(urlsplit(self.sandbox.url).netloc)
        there.request(method, target, data, headers)
        reply = there.getresponse()
        return body(reply.read(), b"Connection: close", status=f"{reply.status} x".encode())


def read_request(connection) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, rest = data.partition(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0)
    while len(rest) < length:
        rest += connection.recv(65536)
    return head, rest


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox.running() as running:
        yield running


@pytest.fixture
def connect(sandbox, settings):
    settings.DELIVERY_HTTP_TIMEOUT_SECONDS = TIMEOUT_SECONDS

    def connected(provider):
        values, names = ACCOUNTS[provider]
        secrets = dict.fromkeys(names, "canary-secret")
        row = make.integration(provider=provider, settings=values, secrets=secrets, common_property="email")
        return make.definition(row).integration

    return connected


def drain_at(integration, url, settings):
    settings.PROVIDER_BASE_URLS = {integration.provider: f"{url}/{integration.provider}"}
    drain(integration.pk)


def person(name):
    return {"customer_id": name, "email": f"{name}@example.com", "name": name}


def answered_badly(integration, sandbox, settings, answer, words=b"nector_delivery_id"):
    """Record one event whose calls are answered so. Returns its row, its only attempt, and how often was asked."""
    server = BadServer(sandbox, words, answer)
    with server.running() as url:
        (row,) = record(make.activity(integration.merchant, person="bad", recipient=person("bad")))
        drain_at(integration, url, settings)
    row.refresh_from_db()
    assert server.asked >= 1
    assert not Call.objects.filter(ended_at__isnull=True).exists(), "every call has an end"
    assert (row.lease_owner, row.lease_until) == ("", None)
    return row, row.attempts.order_by("-number").first()


def assert_the_next_one_leaves(integration, sandbox, settings):
    """Another customer's event goes out, once a hold that was asked for is over."""
    integration.refresh_from_db()
    type(integration).objects.filter(pk=integration.pk).update(hold_until=None)
    (other,) = record(make.activity(integration.merchant, person="good", recipient=person("good")))
    drain_at(integration, sandbox.url, settings)
    other.refresh_from_db()
    assert other.status == "sent" and sandbox.times(integration.provider, str(other.pk)) == 1


@pytest.mark.parametrize("kind", UNCERTAIN)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_answer_that_says_nothing_is_an_uncertain_try(connect, sandbox, settings, provider, kind):
    integration = connect(provider)
    row, attempt = answered_badly(integration, sandbox, settings, UNCERTAIN[kind])
    assert (attempt.number, attempt.outcome, row.status, row.attempt_count) == (1, "uncertain", "retrying", 1)
    assert row.next_attempt_at > timezone.now() and (row.uncertain_count, row.failure_count) == (1, 0)
    assert attempt.error_code and attempt.error_message and attempt.call.outcome == "uncertain"
    assert_the_next_one_leaves(integration, sandbox, settings)


@pytest.mark.parametrize("kind", REDIRECTS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_redirect_is_not_followed_and_sent_again_later(connect, sandbox, settings, provider, kind):
    integration = connect(provider)
    row, attempt = answered_badly(integration, sandbox, settings, REDIRECTS[kind])
    assert (attempt.number, attempt.outcome, attempt.error_code) == (1, "transient", "redirect")
    assert (row.status, row.failure_count) == ("retrying", 1) and row.next_attempt_at > timezone.now()
    assert_the_next_one_leaves(integration, sandbox, settings)


@pytest.mark.parametrize("kind", SAID)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_answer_that_nobody_expects_is_a_recorded_try_of_some_outcome(connect, sandbox, settings, provider, kind):
    integration = connect(provider)
    row, attempt = answered_badly(integration, sandbox, settings, SAID[kind])
    assert attempt.outcome in {"accepted", "transient", "uncertain", "permanent"} and attempt.error_code != "internal"
    assert row.status == {"accepted": "sent", "permanent": "failed"}.get(attempt.outcome, "retrying")
    assert row.attempt_count == DeliveryAttempt.objects.filter(delivery=row).count() == 1
    assert_the_next_one_leaves(integration, sandbox, settings)


@pytest.mark.parametrize("kind", ["huge", "silence", "half a status line", "HTML", "null bytes", "shorter than it is"])
@pytest.mark.parametrize("provider", IDENTIFY_FIRST)
def test_a_contact_answered_so_gives_its_event_a_try_and_the_event_does_not_leave(connect, sandbox, settings, provider, kind):
    integration = connect(provider)
    row, attempt = answered_badly(integration, sandbox, settings, UNCERTAIN[kind], words=b"bad@example.com")
    assert (attempt.outcome, row.status, row.attempt_count) == ("transient", "retrying", 1)
    assert sandbox.times(provider, str(row.pk)) == 0 and not EventDelivery.objects.filter(status="sent").exists()
    assert_the_next_one_leaves(integration, sandbox, settings)
