"""What CleverTap answers to a whole call: paths, credentials, headers, bodies, limits."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from nectorbridge.sandbox import Sandbox
from nectorbridge.sandbox.tests.conftest import Client, event, profile


def test_an_upload_of_good_records_is_answered_as_recorded(client: Client) -> None:
    answer = client.upload(profile(Name="Asha Rao", Email="asha@example.com", Phone="+919876543210"), event())

    assert answer.status_code == 200
    assert answer.json() == {"status": "success", "processed": 2, "unprocessed": []}
    assert answer.headers["Content-Type"] == "application/json"
    assert [(r.kind, r.name, r.delivery) for r in client.sandbox.arrived("clevertap")] == [
        ("profile", "", ""),
        ("event", "Wallet Coins Rewarded", "dlv_01"),
    ]


def test_good_credentials_connect(client: Client) -> None:
    answer = client.connect()

    assert (answer.status_code, answer.json()) == (200, {"status": "success"})


def test_connect_needs_a_partner(client: Client) -> None:
    assert client.connect("").status_code == 400


@pytest.mark.parametrize("path", ["upload", "connect"])
@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({"X-CleverTap-Account-Id": "BAD-1"}, "Account ID is not valid"),
        ({"X-CleverTap-Passcode": "BAD-BAD-BADD"}, "Invalid Credentials"),
        ({"X-CleverTap-Passcode": ""}, "Invalid Credentials"),
    ],
)
def test_wrong_credentials_are_refused_as_recorded(client: Client, path: str, headers: dict[str, str], error: str) -> None:
    answer = client.upload(event(), headers=headers) if path == "upload" else client.connect(headers=headers)

    assert answer.status_code == 401
    assert answer.json() == {"status": "fail", "error": error, "code": 401}
    assert client.sandbox.arrived("clevertap") == []


def test_an_empty_account_is_unavailable_to_connect_and_invalid_to_upload(client: Client) -> None:
    headers = {"X-CleverTap-Account-Id": ""}

    assert client.connect(headers=headers).status_code == 503
    assert client.upload(event(), headers=headers).json()["error"] == "Account ID is not valid"


def test_only_the_listed_accounts_are_let_in() -> None:
    with Sandbox.running(accounts={"TEST-000-000-000": "RIGHT"}) as sandbox:
        client = Client(sandbox)

        assert client.connect(headers={"X-CleverTap-Passcode": "RIGHT"}).status_code == 200
        assert client.connect().json()["error"] == "Invalid Credentials"
        assert client.connect(headers={"X-CleverTap-Account-Id": "OTHER"}).json()["error"] == "Account ID is not valid"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"d":{}}',
        '{"d":[]}',
        '{"d":[NaN]}',
        '{"d":[1e999]}',
        b'{"d":["\xff"]}',
        '{"d":' + "[" * 100_000,
    ],
)
def test_a_body_without_a_list_of_records_is_a_bad_request(client: Client, body: str | bytes) -> None:
    answer = client.send(body)

    assert answer.status_code == 400
    assert (answer.json()["status"], answer.json()["code"]) == ("fail", 400)


@pytest.mark.parametrize("content_type", ["text/plain", "", "application/json; charset=latin-1"])
def test_an_upload_that_is_not_declared_as_json_is_a_bad_request(client: Client, content_type: str) -> None:
    answer = client.upload(event(), headers={"Content-Type": content_type})

    assert answer.status_code == 400


def test_a_declared_charset_of_utf_8_is_fine(client: Client) -> None:
    assert client.upload(event(), headers={"Content-Type": "application/json; charset=utf-8"}).status_code == 200


def test_a_thousand_records_pass_and_one_more_does_not(client: Client) -> None:
    records = [event(f"dlv_{i}") for i in range(1001)]

    assert client.upload(*records[:1000]).json()["processed"] == 1000
    assert client.upload(*records).status_code == 400
    assert client.sandbox.summary()["clevertap"]["events"] == 1000


def test_a_dry_run_judges_and_keeps_nothing(client: Client) -> None:
    answer = client.upload(event(), event(evtName=None), query="?dryRun=1")

    assert (answer.json()["status"], answer.json()["processed"]) == ("partial", 1)
    assert client.sandbox.arrived("clevertap") == []
    assert client.sandbox.times("clevertap", "dlv_01") == 0
    summary = client.sandbox.summary()["clevertap"]
    assert (summary["dry_runs"], summary["events"], summary["refused"]) == (1, 0, 0)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
def test_an_upload_by_another_method_is_not_allowed(client: Client, method: str) -> None:
    answer = client.call(method, "/1/upload")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_connect_takes_get_alone(client: Client) -> None:
    answer = client.call("POST", "/v1/connect")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")


@pytest.mark.parametrize("path", ["", "/", "/1/connect", "/v1/upload", "/1/upload/", "/2/upload"])
def test_another_path_is_not_found(client: Client, path: str) -> None:
    assert client.call("POST", path).status_code == 404


def test_another_provider_is_not_found(client: Client) -> None:
    assert client.own("POST", "/nobody/1/upload").status_code == 404


def test_fifteen_uploads_at_once_pass_and_more_are_too_many() -> None:
    # given an upload that takes long enough for twenty to be under way at once
    with Sandbox.running(latency=1.0) as sandbox:
        start = threading.Barrier(20)

        def upload(i: int) -> tuple[int, str, bool]:
            client = Client(sandbox)
            start.wait()
            answer = client.upload(event(f"dlv_{i}"))
            return answer.status_code, answer.json().get("error", ""), "Retry-After" in answer.headers

        # when they arrive
        with ThreadPoolExecutor(20) as pool:
            answers = sorted(pool.map(upload, range(20)))

        # then fifteen pass, and the others are told so without a hint when to come back
        assert answers == [(200, "", False)] * 15 + [(429, "Too many concurrent requests", False)] * 5
        assert sandbox.summary()["clevertap"]["in_flight_peak"] == 15
        assert len(sandbox.arrived("clevertap")) == 15

        # and afterwards there is room again
        assert Client(sandbox).upload(event("dlv_after")).status_code == 200


def test_accounts_do_not_take_each_others_places() -> None:
    with Sandbox.running(latency=0.5) as sandbox:

        def upload(i: int) -> int:
            return Client(sandbox).upload(event(), headers={"X-CleverTap-Account-Id": f"TEST-{i % 2}"}).status_code

        with ThreadPoolExecutor(20) as pool:
            assert list(pool.map(upload, range(20))) == [200] * 20


def test_a_connection_is_kept_alive(client: Client, sandbox: Sandbox) -> None:
    accepted = []
    sandbox._server.process_request = _counting(sandbox._server.process_request, accepted)  # type: ignore[method-assign]

    for i in range(5):
        client.upload(event(f"dlv_{i}"))
        client.upload("nonsense")
        client.call("GET", "/nowhere")

    assert len(accepted) == 1


def _counting(inner, seen):  # type: ignore[no-untyped-def]
    def process_request(request, address):  # type: ignore[no-untyped-def]
        seen.append(address)
        inner(request, address)

    return process_request


def test_a_body_without_a_length_is_refused(client: Client) -> None:
    answer = client.call("POST", "/1/upload", data=iter([b"{}"]))

    assert (answer.status_code, answer.headers["Connection"]) == (411, "close")


def test_text_beyond_ascii_arrives_unchanged(client: Client) -> None:
    name = "Münzen für Ásha 🪙"

    client.send(json.dumps({"d": [event(evtName=name)]}, ensure_ascii=False).encode())

    assert [record.name for record in client.sandbox.arrived("clevertap")] == [name]
