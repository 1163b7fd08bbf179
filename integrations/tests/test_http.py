"""The HTTP door against real loopback servers that misbehave."""

from __future__ import annotations

import base64
import socket
import threading
import time
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime

import pytest

from integrations import http
from integrations.providers.base import Fault, Request, Response


@contextmanager
def server(behave, accept: int = 5):
    """Serve connections with `behave(connection)` in threads."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run():
        for _ in range(accept):
            try:
                connection, _address = listener.accept()
            except OSError:
                return
            threading.Thread(target=safely, args=(connection,), daemon=True).start()

    def safely(connection):
        with connection, suppress(OSError):
            behave(connection)

    threading.Thread(target=run, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/1/upload"
    finally:
        listener.close()


def read_request(connection) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def reply(text: bytes):
    def behave(connection):
        read_request(connection)
        connection.sendall(text)

    return behave


def send(url: str, timeout: float = 1.0):
    return http.send(Request("POST", url, {"Content-Type": "application/json"}, b'{"d":[]}'), timeout)


def test_an_answer_is_read_with_lower_case_headers_and_our_user_agent():
    seen = []

    def behave(connection):
        seen.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Thing: 1\r\nContent-Length: 2\r\n\r\n{}")

    with server(behave) as url:
        answer = send(url)
    assert isinstance(answer, Response) and answer.status == 200 and answer.headers["x-thing"] == "1" and answer.json() == {}
    assert b"Nectorbridge/" in seen[0] and seen[0].endswith(b'{"d":[]}')


def test_connections_are_reused():
    accepted = []

    def behave(connection):
        accepted.append(1)
        for _ in range(3):
            read_request(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with server(behave) as url:
        for _ in range(3):
            assert isinstance(send(url), Response)
    assert len(accepted) == 1


def test_silence_is_a_read_timeout_within_the_wall_clock_and_uncertain():
    with server(lambda c: (read_request(c), time.sleep(3))) as url:
        began = time.monotonic()
        answer = send(url, 0.4)
        spent = time.monotonic() - began
    assert isinstance(answer, Fault) and answer.kind == "read_timeout" and answer.sent
    assert spent < 1.0


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"])
def test_a_server_that_drips_is_cut_off_at_the_wall_clock(head):
    def behave(connection):
        read_request(connection)
        connection.sendall(head)
        for byte in b"HTTP/1.1 200 OK" * 50:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    with server(behave) as url:
        began = time.monotonic()
        answer = send(url, 0.5)
        spent = time.monotonic() - began
    assert isinstance(answer, Fault) and answer.sent and answer.kind == "read_timeout"
    assert spent < 1.2


def test_a_connection_cut_after_the_body_left_is_uncertain():
    with server(lambda c: read_request(c)) as url:
        answer = send(url)
    assert isinstance(answer, Fault) and answer.sent and answer.kind == "cut"


def test_an_answer_shorter_than_it_says_is_uncertain():
    with server(reply(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{}")) as url:
        answer = send(url)
    assert isinstance(answer, Fault) and answer.sent


def test_a_refused_connection_sent_nothing():
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    answer = send(f"http://127.0.0.1:{port}/")
    assert isinstance(answer, Fault) and not answer.sent and answer.kind == "refused"


def test_a_name_that_does_not_resolve_sent_nothing(monkeypatch):
    def unknown(*_args, **_kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    answer = send("http://nowhere.invalid/1/upload")
    assert isinstance(answer, Fault) and not answer.sent and answer.kind == "dns" and "nowhere" not in answer.message


def test_no_tls_where_tls_is_expected_sent_nothing():
    with server(lambda c: (c.recv(10), c.sendall(b"HTTP/1.1 400 Bad\r\n\r\n"))) as url:
        answer = send(url.replace("http:", "https:"))
    assert isinstance(answer, Fault) and not answer.sent and answer.kind == "tls"


def test_a_redirect_is_not_followed():
    with server(reply(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")) as url:
        answer = send(url)
    assert isinstance(answer, Fault) and answer.kind == "redirect"


def test_a_huge_answer_is_not_read_to_the_end(monkeypatch):
    monkeypatch.setattr(http, "LARGEST_ANSWER_BYTES", 100_000)
    with server(reply(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + b"x" * 900_000)) as url:
        answer = send(url)
    assert isinstance(answer, Fault) and answer.kind == "too_large" and answer.sent


@pytest.mark.parametrize(
    "text",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_a_malformed_answer_is_uncertain_and_never_raises(text):
    with server(reply(text)) as url:
        answer = send(url)
    assert isinstance(answer, Fault) and answer.sent


def test_a_wrong_charset_is_read_without_raising():
    with server(
        reply(b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-7\r\nContent-Length: 4\r\n\r\n\xff\xfe\x00{")
    ) as url:
        answer = send(url)
    assert isinstance(answer, Response) and answer.json() is None


def test_a_fault_never_carries_the_address():
    with server(lambda c: read_request(c)) as url:
        answer = send(url + "?token=CANARY")
    assert "CANARY" not in repr(answer)


def test_the_key_is_masked_in_base64_too():
    basic = base64.b64encode(b"WORKSPACE:CANARY-KEY").decode()
    said = f'{{"error":"Basic {basic} is no good, nor is {basic}"}}'.encode()
    text = b"HTTP/1.1 401 No\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said)
    with server(reply(text)) as url:
        request = Request("POST", url, {"Authorization": f"Basic {basic}"}, b"{}", frozenset({"Authorization"}))
        answer = http.send(request, 1.0, ["CANARY-KEY"])
    assert isinstance(answer, Response) and basic not in answer.text and "Basic" in answer.text


def test_an_answer_without_a_date_gets_ours_and_a_byte_order_mark_is_no_part_of_the_body():
    with server(reply(b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n\xef\xbb\xbf{"ok":true}')) as url:
        answer = send(url)
    assert isinstance(answer, Response) and answer.json() == {"ok": True}
    assert abs(parsedate_to_datetime(answer.headers["date"]).timestamp() - time.time()) < 5
