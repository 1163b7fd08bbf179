"""Each fault on demand, as a client sees it, and what was processed all the same."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests

from nectorbridge.sandbox import Sandbox
from nectorbridge.sandbox.faults import InvalidFault
from nectorbridge.sandbox.tests.conftest import Client, event

SUCCESS = {"status": "success", "processed": 1, "unprocessed": []}


def processed(client: Client) -> list[str]:
    return [record.delivery for record in client.sandbox.arrived("clevertap")]


def test_a_status_fault_answers_as_told_as_often_as_told(client: Client) -> None:
    # given a fault over HTTP
    fault = {
        "provider": "clevertap",
        "kind": "status",
        "status": 503,
        "headers": {"Retry-After": "2"},
        "body": "later",
        "times": 2,
    }
    added = client.own("POST", "/_sandbox/faults", json=fault).json()["fault"]
    assert (added["id"], added["kind"], added["times"], added["served"]) == (1, "status", 2, 0)

    # when three uploads are made
    answers = [client.upload(event()) for _ in range(3)]

    # then two meet it, unprocessed, and the third is let through
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert (answers[0].text, answers[0].headers["Retry-After"]) == ("later", "2")
    assert processed(client) == ["dlv_01"]
    assert client.own("GET", "/_sandbox/faults").json() == {"faults": []}


def test_a_fault_without_times_lasts_until_cleared(client: Client) -> None:
    client.sandbox.fault("clevertap", "status", status=500)

    assert [client.upload(event()).status_code for _ in range(5)] == [500] * 5
    assert client.own("DELETE", "/_sandbox/faults").json() == {"cleared": 1}
    assert client.upload(event()).status_code == 200


def test_one_fault_of_several_can_be_cleared(client: Client) -> None:
    first = client.sandbox.fault("clevertap", "status", status=500)
    client.sandbox.fault("clevertap", "status", status=502)

    assert client.own("DELETE", f"/_sandbox/faults?id={first.id}").json() == {"cleared": 1}
    assert client.upload(event()).status_code == 502
    assert client.sandbox.clear_faults("clevertap") == 1


def test_a_fault_can_be_kept_to_a_path(client: Client) -> None:
    client.sandbox.fault("clevertap", "status", status=502, path="connect")

    assert client.upload(event()).status_code == 200
    assert client.connect().status_code == 502


def test_faults_form_a_script_in_the_order_they_were_added(client: Client) -> None:
    client.sandbox.fault("clevertap", "status", status=503, times=1)
    client.sandbox.fault("clevertap", "rate_limit", times=1)
    client.sandbox.fault("clevertap", "status", status=401, body='{"status":"fail"}', times=1)

    answers = [client.upload(event()) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [503, 429, 401, 200]
    assert answers[2].headers["Content-Type"] == "application/json"


def test_latency_delays_the_answer_to_a_processed_call(client: Client) -> None:
    client.sandbox.fault("clevertap", "latency", seconds=0.3, times=1)

    with pytest.raises(requests.ReadTimeout):
        client.upload(event("dlv_slow"), timeout=0.1)

    assert processed(client) == ["dlv_slow"]


def test_latency_goes_with_other_faults(client: Client) -> None:
    client.sandbox.fault("clevertap", "latency", seconds=0.2, times=1)
    client.sandbox.fault("clevertap", "status", status=500, times=1)

    started = time.monotonic()

    assert client.upload(event()).status_code == 500
    assert time.monotonic() - started >= 0.2


def test_the_base_latency_holds_for_every_answer() -> None:
    with Sandbox.running(latency=0.1) as sandbox:
        started = time.monotonic()

        assert Client(sandbox).upload(event()).status_code == 200
        assert 0.1 <= time.monotonic() - started < 1


def test_a_partial_fault_refuses_each_nth_record(client: Client) -> None:
    client.sandbox.fault("clevertap", "partial", every=3, times=1)

    answer = client.upload(*[event(f"dlv_{i}") for i in range(1, 8)]).json()

    assert (answer["status"], answer["processed"]) == ("partial", 5)
    assert [(item["code"], item["error"]) for item in answer["unprocessed"]] == [
        (555, "Miscellaneous server error. Skipped record number : 3"),
        (555, "Miscellaneous server error. Skipped record number : 6"),
    ]
    assert processed(client) == ["dlv_1", "dlv_2", "dlv_4", "dlv_5", "dlv_7"]
    assert client.upload(event()).json() == SUCCESS


def test_a_partial_fault_refuses_with_the_code_it_is_given(client: Client) -> None:
    client.sandbox.fault("clevertap", "partial", every=1, code=999)

    assert client.connect().status_code == 200
    assert client.upload(event()).json()["unprocessed"][0]["code"] == 999


@pytest.mark.parametrize(("kind", "arrived"), [("drop_after_accept", ["dlv_01"]), ("drop_before", [])])
def test_a_dropped_call_gets_no_answer(client: Client, kind: str, arrived: list[str]) -> None:
    client.sandbox.fault("clevertap", kind, times=1)

    with pytest.raises(requests.ConnectionError):
        client.upload(event())

    assert processed(client) == arrived
    assert client.sandbox.summary()["clevertap"]["answers"] == {"cut": 1}
    assert client.upload(event("dlv_02")).json() == SUCCESS


def test_a_rate_limit_answers_as_the_provider_does(client: Client) -> None:
    client.sandbox.fault("clevertap", "rate_limit", headers={"Retry-After": "7"}, times=1)

    answer = client.upload(event())

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert answer.json() == {"status": "fail", "error": "Too many concurrent requests", "code": 429}
    assert processed(client) == []


def test_garbage_is_a_good_status_with_a_body_that_is_no_json(client: Client) -> None:
    client.sandbox.fault("clevertap", "garbage", times=1)

    answer = client.upload(event())

    assert (answer.status_code, answer.text) == (200, "<html><body>It works!</body></html>")
    assert processed(client) == []


def test_whether_a_call_is_processed_can_be_chosen(client: Client) -> None:
    client.sandbox.fault("clevertap", "status", status=500, process=True, times=1)
    client.sandbox.fault("clevertap", "latency", seconds=0, times=1)

    assert client.upload(event()).status_code == 500
    assert processed(client) == ["dlv_01"]


def test_a_dripping_answer_comes_whole_but_late(client: Client) -> None:
    client.sandbox.fault("clevertap", "drip", seconds=0.001, times=1)

    started = time.monotonic()

    assert client.upload(event(), timeout=2).json() == SUCCESS
    assert time.monotonic() - started > 0.1  # more than a hundred bytes


def test_a_huge_answer_is_that_large_and_has_no_length(client: Client) -> None:
    client.sandbox.fault("clevertap", "huge", size_bytes=3_000_000, times=1)

    answer = client.upload(event())

    assert len(answer.content) == 3_000_000 + len('{"status":"success","processed":1,"unprocessed":[]}')
    assert "Content-Length" not in answer.headers
    assert (answer.json(), processed(client)) == (SUCCESS, ["dlv_01"])


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"provider": "nobody"}, "provider must be one of clevertap"),
        ({"provider": ["clevertap"]}, "provider must be one of clevertap"),
        ({"kind": {}}, "kind must be one of status"),
        ({"kind": "fire"}, "kind must be one of status, latency, partial"),
        ({"status": "503"}, "status must be a whole number from 200 to 599"),
        ({"status": 999}, "status must be a whole number from 200 to 599"),
        ({"every": 0}, "every must be a whole number from 1"),
        ({"times": 0}, "times must be a whole number from 1"),
        ({"times": True}, "times must be a whole number from 1"),
        ({"seconds": -1}, "seconds must be a number from 0 to 3600"),
        ({"headers": {"A": "b\r\nC: d"}}, "headers must be printable ASCII texts"),
        ({"headers": ["A"]}, "headers must be an object"),
        ({"path": 1}, "path and body must be texts"),
        ({"process": 1}, "process must be true, false or null"),
        ({"sevrity": 1, "id": 4}, "unknown field: id, sevrity"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_with_the_reason(client: Client, changes: dict[str, Any], error: str) -> None:
    answer = client.own("POST", "/_sandbox/faults", json={"provider": "clevertap", "kind": "status", **changes})

    assert answer.status_code == 400
    assert answer.json()["error"].startswith(error)
    assert client.sandbox.faults.active() == []


def test_a_fault_that_is_no_json_is_refused(client: Client) -> None:
    assert client.own("POST", "/_sandbox/faults", data="{").status_code == 400
    assert client.own("POST", "/_sandbox/faults", data="[]").json() == {"error": "a fault is a JSON object"}


def test_the_python_door_refuses_nonsense_too(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidFault, match="seconds must be a number"):
        sandbox.fault("clevertap", "latency", seconds="1")


def test_stopping_does_not_wait_for_a_slow_answer() -> None:
    started = time.monotonic()
    with Sandbox.running() as sandbox:
        sandbox.fault("clevertap", "drip", seconds=30)
        with pytest.raises(requests.ReadTimeout):
            Client(sandbox).upload(event(), timeout=0.1)

    assert time.monotonic() - started < 2
