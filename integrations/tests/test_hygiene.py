"""Tokens that travel in the query string, and what echoes them: they are in no log line, no fault, no answer."""

from __future__ import annotations

import html
import json
import logging
from urllib.parse import quote, quote_plus, urlencode

import pytest

from events.excerpts import masked_url, request_text, response_text
from integrations import http
from integrations.hygiene import LOGGERS, keep_queries_out_of_logs, storable, without
from integrations.providers.base import Fault, Request
from integrations.secrets import MASK
from integrations.tests.test_http import read_request, reply, server

TOKEN = 'CANARY/7f+3d=4f &2a%2B"ü'
PLAIN = "CANARYAbCdEfGhIjKlMnOpQr"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
BAD_HEADERS = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nno colon CANARY\r\n\r\n{}"  # urllib3 warns, with the address
ENCODINGS = {
    "as it is": str,
    "percent-encoded": lambda text: quote(text, safe=""),
    "with slashes kept": quote,
    "with plus for space": quote_plus,
    "in small letters": lambda text: quote(text, safe="").replace("%2F", "%2f").replace("%2B", "%2b").replace("%3D", "%3d"),
    "encoded twice": lambda text: quote(quote(text, safe=""), safe=""),
    "as JSON": lambda text: json.dumps(text)[1:-1],
    "as JSON with its slashes escaped": lambda text: json.dumps(text, ensure_ascii=False)[1:-1].replace("/", r"\/"),
    "as HTML": html.escape,
}


@pytest.fixture
def lines(caplog):
    """Everything that is logged, formatted as a handler would, at the lowest level."""
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "urllib3"):
        yield lambda: "\n".join(logging.Formatter("%(name)s %(message)s").format(record) for record in caplog.records)


def request(url: str) -> Request:
    query = urlencode({"token": TOKEN, "org_token": PLAIN})
    return Request("POST", f"{url}?{query}", {}, b"{}", secret_params=frozenset({"token", "org_token"}))


def send(behave):
    with server(behave) as url:
        sent = request(url)
        return sent, http.send(sent, 1.0, (TOKEN, PLAIN))


def redirect(connection):
    line = read_request(connection).split(b" ")[1]
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: " + line + b"\r\nContent-Length: 0\r\n\r\n")


def echo(connection):
    body = read_request(connection).split(b" ")[1]
    connection.sendall(b"HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


@pytest.mark.parametrize("behave", [reply(OK), reply(BAD_HEADERS), reply(b"garbage\r\n\r\n"), read_request, redirect, echo])
def test_no_log_line_fault_or_answer_shows_a_token_in_the_query(behave, lines):
    sent, answer = send(behave)

    seen = "\n".join([lines(), repr(answer), repr(sent), request_text(sent), response_text(answer), masked_url(sent)])
    assert "urllib3.connectionpool" in seen and "CANARY" not in seen


def test_a_request_is_still_logged_without_its_query(lines):
    send(reply(OK))

    assert f'"POST /1/upload?{MASK} HTTP/1.1" 200 2' in lines()


def test_a_warning_about_bad_headers_is_kept_without_address_and_traceback(lines):
    send(reply(BAD_HEADERS))

    assert "Failed to parse headers" in lines() and "Traceback" not in lines()


def test_a_provider_that_cannot_be_reached_leaves_no_token_either(lines):
    answer = http.send(request("http://127.0.0.1:1/rest"), 1.0, (TOKEN, PLAIN))

    assert isinstance(answer, Fault) and "CANARY" not in lines() + repr(answer)


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
def test_a_secret_is_masked_however_it_was_encoded(encode):
    text = f"before {encode(TOKEN)} after {encode(PLAIN)}."

    assert without([TOKEN, PLAIN], text) == f"before {MASK} after {MASK}."


def test_what_is_no_secret_stays_as_it_is():
    assert without([TOKEN, ""], '{"status":"a+b%2Bc"}') == '{"status":"a+b%2Bc"}'


def test_a_secret_that_begins_with_another_is_masked_whole():
    assert without(["abc", "abcdef"], "abcdef abc") == f"{MASK} {MASK}"


def test_a_secret_that_was_stored_with_spaces_around_it_is_masked_without_them():
    assert without([" abcdef ", "  "], "a abcdef.") == f"a {MASK}."


def test_the_filter_stands_once_on_each_logger():
    keep_queries_out_of_logs()

    assert all(len(logging.getLogger(name).filters) == 1 for name in LOGGERS)


def test_a_record_whose_arguments_do_not_fit_breaks_nothing(lines):
    logging.getLogger("urllib3.connectionpool").debug("%d", "no number /x?token=CANARY")

    assert "CANARY" not in lines()


def test_an_empty_parameter_is_shown_and_order_kept():
    sent = Request("GET", "https://x.io/a?token=T&empty=&b=1", secret_params=frozenset({"token"}))

    assert masked_url(sent) == f"https://x.io/a?token={MASK}&empty=&b=1"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a\x00b", "a\ufffdb"),
        (r'{"m":"a\u0000b"}', '{"m":"a\ufffdb"}'),
        (r'{"m":"\ud800"}', '{"m":"\ufffd"}'),
        (r'{"m":"\udc00\ud83d"}', '{"m":"\ufffd\ufffd"}'),
        (r'{"m":"\ud83d\ude00 \u00e9"}', r'{"m":"\ud83d\ude00 \u00e9"}'),
        (r'{"m":"C:\\u0000 \\\ud800"}', '{"m":"C:\\\\u0000 \\\\\ufffd"}'),
        ("\\", "\\"),
    ],
)
def test_what_no_database_can_store_is_replaced_and_nothing_else(text, kept):
    assert storable(text) == kept
