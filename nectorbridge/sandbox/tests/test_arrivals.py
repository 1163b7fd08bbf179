"""What is kept of what arrived: records, counters, duplicates, the index by delivery, and the bounds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from nectorbridge.sandbox import Sandbox
from nectorbridge.sandbox.tests.conftest import Client, event, profile


def test_a_record_is_kept_with_its_time_account_and_place(client: Client) -> None:
    before = datetime.now(UTC)
    client.connect()
    client.upload(profile(Name="Asha"), event())

    record = client.sandbox.arrived("clevertap")[1]

    assert before <= record.at <= datetime.now(UTC)
    assert (record.account, record.call, record.number) == ("TEST-000-000-000", 2, 2)
    assert (record.kind, record.name, record.identity) == ("event", "Wallet Coins Rewarded", "6937201")
    assert record.record == event()


def test_a_delivery_that_comes_again_is_counted_as_a_duplicate(client: Client) -> None:
    client.upload(event("dlv_01"), event("dlv_02"))
    client.upload(event("dlv_01"), event("dlv_01"))

    assert client.sandbox.deliveries("clevertap") == {"dlv_01": 3, "dlv_02": 1}
    assert client.sandbox.times("clevertap", "dlv_01") == 3
    assert [(r.call, r.number) for r in client.sandbox.arrived("clevertap", "dlv_01")] == [(1, 1), (2, 1), (2, 2)]
    summary = client.sandbox.summary()["clevertap"]
    assert (summary["events"], summary["duplicates"], summary["deliveries"]) == (4, 2, 2)


def test_a_refused_delivery_is_not_counted_as_accepted(client: Client) -> None:
    client.upload(event("dlv_01", ts=0))

    assert client.sandbox.times("clevertap", "dlv_01") == 0
    assert client.sandbox.arrived("clevertap", "dlv_01") == []
    assert [record.delivery for record in client.sandbox.refused("clevertap")] == ["dlv_01"]


def test_the_counters_are_exact_under_many_threads(client: Client) -> None:
    def upload(i: int) -> int:
        return Client(client.sandbox).upload(*[event(f"dlv_{i}_{k}") for k in range(20)], event("same")).status_code

    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(upload, range(50))) == [200] * 50

    summary = client.own("GET", "/_sandbox/summary.json").json()["clevertap"]
    assert (summary["calls"], summary["events"], summary["profiles"], summary["duplicates"]) == (50, 1050, 0, 49)
    assert (summary["answers"], summary["refusals"], summary["deliveries"]) == ({"200": 50}, {}, 1001)
    assert summary["kept"] == 1050


def test_the_oldest_calls_are_forgotten_but_not_their_numbers() -> None:
    with Sandbox.running(keep=5) as sandbox:
        client = Client(sandbox)
        for i in range(4):
            client.upload(event(f"dlv_{i}_a"), event(f"dlv_{i}_b"))
        client.upload(event("dlv_0_a"))

        assert [r.delivery for r in sandbox.arrived("clevertap")] == ["dlv_2_a", "dlv_2_b", "dlv_3_a", "dlv_3_b", "dlv_0_a"]
        assert [r.call for r in sandbox.arrived("clevertap", "dlv_0_a")] == [5]
        assert sandbox.arrived("clevertap", "dlv_0_b") == []
        assert sandbox.times("clevertap", "dlv_0_a") == 2
        summary = sandbox.summary()["clevertap"]
        assert (summary["kept"], summary["events"], summary["duplicates"], summary["deliveries"]) == (5, 9, 1, 8)


def test_arrivals_can_be_read_over_http(client: Client) -> None:
    client.upload(event("dlv_01"), event("dlv_02", ts=0), event("dlv_03"))

    accepted = client.own("GET", "/_sandbox/arrived.json?provider=clevertap").json()
    everything = client.own("GET", "/_sandbox/arrived.json?provider=clevertap&refused=1").json()
    newest = client.own("GET", "/_sandbox/arrived.json?provider=clevertap&limit=1").json()

    assert [record["delivery"] for record in accepted["records"]] == ["dlv_01", "dlv_03"]
    assert [(r["delivery"], r["accepted"], r["code"]) for r in everything["records"]][1] == ("dlv_02", False, "525")
    assert [record["delivery"] for record in newest["records"]] == ["dlv_03"]
    assert accepted["records"][0]["record"] == event("dlv_01")


def test_one_delivery_can_be_looked_up_over_http(client: Client) -> None:
    client.upload(event("dlv_01"), event("dlv_02"))
    client.upload(event("dlv_02"))

    found = client.own("GET", "/_sandbox/arrived.json?provider=clevertap&delivery=dlv_02").json()

    assert (found["delivery"], found["times"]) == ("dlv_02", 2)
    assert [(record["call"], record["number"]) for record in found["records"]] == [(1, 2), (2, 1)]
    missing = client.own("GET", "/_sandbox/arrived.json?provider=clevertap&delivery=nobody").json()
    assert (missing["times"], missing["records"]) == (0, [])


@pytest.mark.parametrize("query", ["", "?provider=nobody", "?provider=clevertap&limit=0", "?provider=clevertap&limit=x"])
def test_a_wrong_question_is_answered_with_what_is_needed(client: Client, query: str) -> None:
    assert client.own("GET", f"/_sandbox/arrived.json{query}").status_code == 400


def test_a_reset_forgets_everything(client: Client) -> None:
    client.upload(event(), event(ts=0))
    client.sandbox.fault("clevertap", "status", status=500)

    assert client.own("POST", "/_sandbox/reset").json() == {"reset": True}

    assert client.sandbox.arrived("clevertap") == []
    assert client.sandbox.deliveries("clevertap") == {}
    summary = client.sandbox.summary()["clevertap"]
    assert (summary["calls"], summary["events"], summary["refused"], summary["kept"]) == (0, 0, 0, 0)
    assert (summary["answers"], summary["refusals"], summary["faults"]) == ({}, {}, [])


def test_a_reset_needs_a_post(client: Client) -> None:
    answer = client.own("GET", "/_sandbox/reset")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
