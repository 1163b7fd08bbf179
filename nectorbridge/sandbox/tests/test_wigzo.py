"""What Wigzo answers: tokens in the query, contacts before events, and what it keeps of them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from integrations import http
from integrations.providers import get_provider
from integrations.providers.base import Account, Event, Outcome, Profile
from integrations.verification import verify
from nectorbridge.sandbox import Sandbox

ORG, TOKEN = "AbCdEfGhIjKlMnOpQrStUv", "0123456789abcdef0123456789"
USER, OTHER = "3f0c6a1e-5b7d-4c2a-9e41-7d2b8f6a0c13", "b7e0f5d2-93a4-4c18-a6de-0f1c2b3a4d5e"
EVENT, IDENTIFY = "/rest/v1/learn/event", "/rest/v1/learn/identify"


def call(sandbox: Sandbox, path: str, body: Any = None, method: str = "POST", **query: str) -> requests.Response:
    data = body if isinstance(body, str | bytes) or body is None else json.dumps(body)
    sent = {"token": TOKEN, "org_token": ORG, **query}
    given = {name: value for name, value in sent.items() if value is not ...}
    url = sandbox.url_of("wigzo") + path
    return requests.request(method, url, params=given, data=data, headers={"Content-Type": "application/json"}, timeout=10)


def given(record: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**record, **changes}.items() if value is not ...}


def identify(sandbox: Sandbox, query: dict[str, str] | None = None, **changes: Any) -> requests.Response:
    record = {"userId": USER, "email": "asha@example.com", "phone": "+919812345678", "is_active": True, "source": "web"}
    return call(sandbox, IDENTIFY, given(record, changes), **query or {})


def send(sandbox: Sandbox, query: dict[str, str] | None = None, **changes: Any) -> requests.Response:
    record = {
        "eventName": "walletreward_create",
        "eventval": {"email": "asha@example.com", "nector_delivery_id": "dlv_01", "coins": 120},
        "eventCategory": "EXTERNAL",
        "userId": USER,
        "is_active": True,
        "source": "web",
    }
    return call(sandbox, EVENT, given(record, changes), **query or {})


def said(answer: requests.Response) -> tuple[int, Any]:
    return answer.status_code, answer.json().get("message", "")


@pytest.fixture
def known(sandbox: Sandbox) -> Sandbox:
    """A sandbox that knows Asha, with nothing else in it."""
    assert identify(sandbox).status_code == 200
    sandbox.stores["wigzo"].reset()
    return sandbox


def test_a_good_contact_is_a_success_and_arrives(sandbox: Sandbox) -> None:
    answer = identify(sandbox, firstName="Asha", customer_id="c1", createdAt="2022-10-09")

    assert (answer.status_code, answer.json()) == (200, {"status": "success"})
    (arrived,) = sandbox.arrived("wigzo")
    assert (arrived.kind, arrived.identity, arrived.account) == ("profile", "asha@example.com", "…StUv")
    assert sandbox.summary()["wigzo"]["profiles"] == 1


def test_an_event_of_a_known_contact_is_a_success_and_arrives(known: Sandbox) -> None:
    answer = send(known)

    assert (answer.status_code, answer.json()) == (200, {"status": "success"})
    (arrived,) = known.arrived("wigzo")
    assert (arrived.kind, arrived.name, arrived.identity) == ("event", "walletreward_create", "asha@example.com")
    assert (arrived.delivery, arrived.account) == ("dlv_01", "…StUv")
    assert known.times("wigzo", "dlv_01") == 1 and known.summary()["wigzo"]["events"] == 1


def test_an_event_of_somebody_who_was_never_identified_is_refused(sandbox: Sandbox) -> None:
    assert said(send(sandbox)) == (400, "userId was never identified")
    assert identify(sandbox, userId=OTHER).ok and said(send(sandbox)) == (400, "userId was never identified")
    assert identify(sandbox).ok and send(sandbox).ok
    assert [record.code for record in sandbox.refused("wigzo")] == ["400", "400"]


def test_who_is_known_to_one_store_is_unknown_to_another(known: Sandbox) -> None:
    assert said(send(known, {"org_token": "another-store"})) == (400, "userId was never identified")


def test_a_reset_forgets_who_was_identified(known: Sandbox) -> None:
    known.reset()

    assert said(send(known)) == (400, "userId was never identified")


def test_a_sandbox_knows_nobody_of_another_one(known: Sandbox) -> None:
    with Sandbox.running() as other:
        assert send(other).status_code == 400 and send(known).ok


def test_a_contact_that_was_refused_is_not_known(sandbox: Sandbox) -> None:
    assert not identify(sandbox, email="asha").ok
    sandbox.fault("wigzo", "partial", every=1, times=1)
    assert identify(sandbox).json()["status"] == "error"

    assert send(sandbox).status_code == 400


def test_a_contact_whose_answer_was_lost_is_known(sandbox: Sandbox) -> None:
    sandbox.fault("wigzo", "drop_after_accept", times=1)
    with pytest.raises(requests.ConnectionError):
        identify(sandbox)

    assert send(sandbox).ok


@pytest.mark.parametrize("path", [EVENT, IDENTIFY])
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"token": ...}, "token is required"),
        ({"token": " "}, "token is required"),
        ({"org_token": ...}, "org_token is required"),
        ({"org_token": ..., "orgtoken": ORG}, "org_token is required"),
        ({"token": "BADtoken"}, "Invalid token"),
        ({"org_token": "BADorg"}, "Invalid token"),
    ],
)
def test_a_token_that_is_missing_or_wrong_is_refused(sandbox: Sandbox, path: str, query: dict[str, Any], message: str) -> None:
    assert said(call(sandbox, path, {}, **query)) == (401, message)
    assert sandbox.refused("wigzo") == []


def test_only_listed_tokens_are_let_in() -> None:
    with Sandbox.running(accounts={ORG: TOKEN}) as sandbox:
        assert identify(sandbox).ok
        assert identify(sandbox, {"token": "other"}).status_code == identify(sandbox, {"org_token": "other"}).status_code == 401


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"eventName": ""}, "eventName is required"),
        ({"eventName": ...}, "eventName is required"),
        ({"eventName": " E"}, "eventName has spaces around it"),
        ({"eventName": "order"}, "eventName order is reserved"),
        ({"eventName": "AddToCart"}, "eventName AddToCart is reserved"),
        ({"eventName": "cart_value"}, "eventName cart_value is reserved"),
        ({"eventval": ...}, "eventval should be an object"),
        ({"eventval": "text"}, "eventval should be an object"),
        ({"eventval": {}}, "eventval should not be empty"),
        ({"eventval": {"a": None}}, "eventval.a should not be null"),
        ({"eventval": {"a": [{"b": None}]}}, "eventval.a.0.b should not be null"),
        ({"eventval": {"": 1}}, "eventval has a value without a name"),
        ({"eventCategory": "INTERNAL"}, "eventCategory should be EXTERNAL"),
        ({"eventCategory": ...}, "eventCategory should be EXTERNAL"),
        ({"userId": ...}, "userId is required"),
        ({"userId": ""}, "userId is required"),
        ({"userId": "+919812345678"}, "userId should be a UUIDv4"),
        ({"userId": "3f0c6a1e-5b7d-5c2a-9e41-7d2b8f6a0c13"}, "userId should be a UUIDv4"),
        ({"userId": "3f0c6a1e-5b7d-4c2a-ce41-7d2b8f6a0c13"}, "userId should be a UUIDv4"),
        ({"is_active": "true"}, "is_active should be true or false"),
        ({"source": "server"}, "source should be web or app"),
        ({"email": "asha@example.com"}, "Unknown field email"),
    ],
)
def test_a_wrong_event_is_refused_and_counts_as_refused(known: Sandbox, changes: dict[str, Any], message: str) -> None:
    assert said(send(known, **changes)) == (400, message)
    assert known.arrived("wigzo") == [] and len(known.refused("wigzo")) == 1


@pytest.mark.parametrize(
    "changes", [{"is_active": ...}, {"source": ...}, {"source": "app"}, {"eventval": {"order": {"lines": [{"id": 1}]}}}]
)
def test_what_may_be_absent_or_nested_may_be(known: Sandbox, changes: dict[str, Any]) -> None:
    assert send(known, **changes).json() == {"status": "success"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"email": ..., "phone": ...}, "email or phone is required"),
        ({"email": ""}, "email should be a text that is not empty"),
        ({"phone": None}, "phone should be a text that is not empty"),
        ({"lastName": ""}, "lastName should be a text that is not empty"),
        ({"customer_id": 7}, "customer_id should be a text that is not empty"),
        ({"email": "asha"}, "email is not valid"),
        ({"phone": "9812345678"}, "phone is not valid"),
        ({"createdAt": "yesterday"}, "createdAt should be an ISO date"),
        ({"userId": "u1"}, "userId should be a UUIDv4"),
        ({"userId": ...}, "userId is required"),
        ({"coins": 5}, "Unknown field coins"),
        ({"source": "server"}, "source should be web or app"),
    ],
)
def test_a_wrong_contact_is_refused(sandbox: Sandbox, changes: dict[str, Any], message: str) -> None:
    assert said(identify(sandbox, **changes)) == (400, message)
    assert sandbox.arrived("wigzo") == []


@pytest.mark.parametrize("changes", [{"email": ...}, {"phone": ...}, {"is_active": ..., "source": ...}, {"fullName": "Asha"}])
def test_email_or_phone_is_enough_for_a_contact(sandbox: Sandbox, changes: dict[str, Any]) -> None:
    assert identify(sandbox, **changes).json() == {"status": "success"}


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '{"eventval":NaN}', b"\xff", '{"a":' + "[" * 100_000])
def test_a_body_that_is_no_object_is_a_bad_request(sandbox: Sandbox, body: str | bytes) -> None:
    assert call(sandbox, EVENT, body).status_code == call(sandbox, IDENTIFY, body).status_code == 400


def test_values_that_are_nested_without_end_are_refused(known: Sandbox) -> None:
    assert said(call(known, EVENT, '{"eventName":"E","eventval":{"a":' + "[" * 200 + "]" * 200 + "}}"))[0] == 400


def test_what_is_not_declared_as_json_is_refused(sandbox: Sandbox) -> None:
    url = f"{sandbox.url_of('wigzo')}{EVENT}?token={TOKEN}&org_token={ORG}"

    assert requests.post(url, data="{}", headers={"Content-Type": "text/plain"}, timeout=10).status_code == 415


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", EVENT, 405), ("PUT", IDENTIFY, 405)]
    + [("POST", path, 404) for path in ("/", "/learn/event", "/rest/v1/learn", f"{EVENT}/", "/rest/v2/learn/event")],
)
def test_another_method_or_path_is_refused(sandbox: Sandbox, method: str, path: str, status: int) -> None:
    assert call(sandbox, path, "{}", method).status_code == status


def test_refusals_on_demand_are_an_error_within_a_200(known: Sandbox) -> None:
    known.fault("wigzo", "partial", every=2)

    answers = [send(known) for _ in range(4)]

    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [(200, "success"), (200, "error")] * 2
    assert [record.code for record in known.refused("wigzo")] == ["555", "555"]


def test_faults_are_served_and_a_rate_limit_has_no_body(known: Sandbox) -> None:
    known.fault("wigzo", "rate_limit", times=1)
    known.fault("wigzo", "garbage", times=1, path=EVENT)

    limited, garbage = send(known), send(known)

    assert (limited.status_code, limited.text) == (429, "")
    assert garbage.status_code == 200 and garbage.text.startswith("<html>")
    assert known.arrived("wigzo") == []


def test_calls_at_once_are_counted_and_none_is_too_many() -> None:
    with Sandbox.running(latency=0.3) as sandbox, ThreadPoolExecutor(24) as pool:
        assert set(pool.map(lambda _: identify(sandbox).status_code, range(24))) == {200}
        assert sandbox.summary()["wigzo"]["in_flight_peak"] > 8


def test_what_the_providers_module_packs_is_taken(sandbox: Sandbox) -> None:
    wigzo, now = get_provider("wigzo"), datetime(2026, 11, 22, tzinfo=UTC)
    secrets = {"org_token": "a/b+c=d", "api_token": "x&y z".replace(" ", "%")}
    account = Account({}, secrets, "email", sandbox.url_of("wigzo"), "owner@store.example", OTHER)
    person = {"customer_id": "c", "email": "asha@example.com", "phone": "98123", "name": "Asha"}
    odd = {"none": None, "nested": {"a": [1, None, {"x": float("nan")}], "b": {}}, "ok": True, "when": now, "": 1}
    user = wigzo.new_remote_id()
    event = Event("dlv_07", wigzo.event_name(" Wallet Coins Rewarded "), "c", person, odd, now, user)
    profile = Profile("c", person, remote_id=user)

    calls = [*wigzo.pack_contacts(account, [profile], now).calls, *wigzo.pack_events(account, [event], {}, now).calls]
    verdicts = [wigzo.read(sent, http.send(sent.request, 10)).verdict.outcome for sent in calls]

    assert verdicts == [Outcome.ACCEPTED, Outcome.ACCEPTED]
    arrived = sandbox.arrived("wigzo")
    assert [(record.kind, record.name) for record in arrived] == [("profile", ""), ("event", "Wallet Coins Rewarded")]
    assert {record.account for record in arrived} == {"…+c=d"} and arrived[1].record["userId"] == user
    assert verify(wigzo, account).ok


def test_the_modules_check_tells_wrong_tokens_from_an_outage(sandbox: Sandbox) -> None:
    wigzo = get_provider("wigzo")
    wrong = Account({}, {"org_token": ORG, "api_token": "BADtoken"}, "email", sandbox.url_of("wigzo"), "o@store.example", OTHER)

    refused = verify(wigzo, wrong)
    assert not refused.ok and refused.reachable and "BADtoken" not in refused.reason

    sandbox.fault("wigzo", "status", status=503, times=1)
    busy = verify(wigzo, wrong)
    assert not busy.ok and not busy.reachable
