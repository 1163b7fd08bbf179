"""What Contlo answers: keys, checks, events, contacts, and what it keeps of them."""

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

KEY = "0123456789abcdef0123456789abcdef"
CONFIG_KEYS = {"logging_enabled", "sync_timeframe", "logo_url", "log_level", "notification_brand_icon"}


def call(sandbox: Sandbox, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
    sent = {"X-API-KEY": KEY, "Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    data = body if isinstance(body, str | bytes) or body is None else json.dumps(body)
    return requests.request(method, sandbox.url_of("contlo") + path, data=data, headers=sent, timeout=10)


def track(sandbox: Sandbox, **changes: Any) -> requests.Response:
    record = {
        "event": "walletreward_create",
        "email": "asha@example.com",
        "phone_number": "+919812345678",
        "properties": {"nector_delivery_id": "dlv_01", "coins": 120},
        "profile_properties": {"nector_coin_balance": 560},
        **changes,
    }
    return call(sandbox, "POST", "/v1/track", {key: value for key, value in record.items() if value is not ...})


def identify(sandbox: Sandbox, **changes: Any) -> requests.Response:
    record = {"first_name": "Jack", "email": "jack@example.com", "custom_properties": {"coin_balance": "560"}, **changes}
    return call(sandbox, "POST", "/v1/identify", {key: value for key, value in record.items() if value is not ...})


def test_a_good_event_is_a_success_and_arrives(sandbox: Sandbox) -> None:
    answer = track(sandbox)

    assert (answer.status_code, answer.json()) == (200, {"success": True})
    (arrived,) = sandbox.arrived("contlo")
    assert (arrived.kind, arrived.name, arrived.identity) == ("event", "walletreward_create", "asha@example.com")
    assert (arrived.delivery, arrived.account) == ("dlv_01", "…cdef")
    assert sandbox.times("contlo", "dlv_01") == 1 and sandbox.summary()["contlo"]["events"] == 1


def test_a_good_contact_is_a_success_and_arrives(sandbox: Sandbox) -> None:
    assert identify(sandbox).json() == {"success": True}
    (arrived,) = sandbox.arrived("contlo")
    assert (arrived.kind, arrived.identity, arrived.delivery) == ("profile", "jack@example.com", "")
    assert sandbox.summary()["contlo"]["profiles"] == 1


def test_a_good_key_passes_the_check_and_gets_the_configuration(sandbox: Sandbox) -> None:
    assert call(sandbox, "POST", "/api/integrations/zapier").json() == {"success": True}
    assert call(sandbox, "GET", "/v1/fetch_config").json().keys() == CONFIG_KEYS


@pytest.mark.parametrize("key", ["", "BADkey"])
def test_a_wrong_key_is_told_so_as_documented(sandbox: Sandbox, key: str) -> None:
    checked = call(sandbox, "POST", "/api/integrations/zapier", X_API_KEY=key)
    assert (checked.status_code, checked.json()) == (200, {"success": False})
    for method, path in (("POST", "/v1/track"), ("POST", "/v1/identify"), ("GET", "/v1/fetch_config")):
        answer = call(sandbox, method, path, "{}", X_API_KEY=key)
        assert (answer.status_code, answer.json()) == (401, {"success": False, "error": "Invalid API key"})
    assert sandbox.refused("contlo") == []


def test_only_listed_keys_are_let_in() -> None:
    with Sandbox.running(accounts={"acme": KEY}) as sandbox:
        assert track(sandbox).status_code == 200
        assert call(sandbox, "POST", "/api/integrations/zapier", X_API_KEY="other").json() == {"success": False}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"event": ""}, "Event name cannot be empty"),
        ({"event": ...}, "Event name cannot be empty"),
        ({"event": "Order phone"}, "Event name cannot have spaces"),
        ({"event": "Charged"}, "Event name Charged is reserved"),
        ({"event": "Email_Sent"}, "Event name Email_Sent is reserved"),
        ({"email": ..., "phone_number": ...}, "email or phone_number is required"),
        ({"email": None, "phone_number": None}, "email or phone_number is required"),
        ({"email": ""}, "email is not valid"),
        ({"email": "asha"}, "email is not valid"),
        ({"phone_number": "9812345678"}, "phone_number is not valid"),
        ({"phone_number": ""}, "phone_number is not valid"),
        ({"properties": []}, "properties should be an object"),
        ({"properties": {"title": None}}, "properties.title should be a text or a number"),
        ({"properties": {"order": {"id": 1}}}, "properties.order should be a text or a number"),
        ({"properties": {"items": []}}, "properties.items should be a text or a number"),
        ({"properties": {"": 1}}, "properties has a property without a name"),
        ({"properties": {"event_type": "custom"}}, "event_type is reserved"),
        ({"profile_properties": {"tags": ["a"]}}, "profile_properties.tags should be a text or a number"),
        ({"fcm_token": "x"}, "Unknown field fcm_token"),
        ({"device_event_time": 1}, "Unknown field device_event_time"),
    ],
)
def test_a_wrong_event_is_refused_and_counts_as_refused(sandbox: Sandbox, changes: dict[str, Any], error: str) -> None:
    answer = track(sandbox, **changes)

    assert (answer.status_code, answer.json()) == (400, {"success": False, "error": error})
    assert sandbox.arrived("contlo") == [] and len(sandbox.refused("contlo")) == 1


@pytest.mark.parametrize("changes", [{"phone_number": ...}, {"email": ...}, {"email": None}, {"profile_properties": ...}])
def test_what_may_be_absent_may_be_absent(sandbox: Sandbox, changes: dict[str, Any]) -> None:
    assert track(sandbox, **changes).json() == {"success": True}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"email": ...}, "email or phone_number is required"),
        ({"city": ""}, "city should be a text that is not empty"),
        ({"zip": 560037}, "zip should be a text that is not empty"),
        ({"subscribed_channels": ["EMAIL"]}, "Unknown field subscribed_channels"),
        ({"custom_properties": {"a": {}}}, "custom_properties.a should be a text or a number"),
    ],
)
def test_a_wrong_contact_is_refused(sandbox: Sandbox, changes: dict[str, Any], error: str) -> None:
    answer = identify(sandbox, **changes)

    assert (answer.status_code, answer.json()) == (400, {"success": False, "error": error})
    assert sandbox.arrived("contlo") == []


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '{"event":NaN}', b"\xff", '{"a":' + "[" * 100_000])
def test_a_body_that_is_no_object_is_a_bad_request(sandbox: Sandbox, body: str | bytes) -> None:
    assert call(sandbox, "POST", "/v1/track", body).status_code == 400


def test_an_event_that_is_not_declared_as_json_is_a_bad_request(sandbox: Sandbox) -> None:
    assert call(sandbox, "POST", "/v1/track", "{}", Content_Type="text/plain").status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/track", 405), ("GET", "/api/integrations/zapier", 405), ("POST", "/v1/fetch_config", 405)]
    + [("POST", path, 404) for path in ("/", "/track", "/v2/track", "/v1/track/", "/v1/contact/sync")],
)
def test_another_method_or_path_is_refused(sandbox: Sandbox, method: str, path: str, status: int) -> None:
    assert call(sandbox, method, path, "{}").status_code == status


def test_an_event_that_was_not_whitelisted_is_a_success_and_appears_nowhere(sandbox: Sandbox) -> None:
    sandbox.discard("walletreward_create")

    assert track(sandbox).json() == {"success": True}
    assert sandbox.arrived("contlo") == [] and sandbox.times("contlo", "dlv_01") == 0


def test_refusals_on_demand_are_a_success_false(sandbox: Sandbox) -> None:
    sandbox.fault("contlo", "partial", every=2)

    answers = [track(sandbox).json()["success"] for _ in range(4)]

    assert answers == [True, False, True, False]
    assert [record.code for record in sandbox.refused("contlo")] == ["555", "555"]


def test_faults_are_served_and_a_rate_limit_has_no_body(sandbox: Sandbox) -> None:
    sandbox.fault("contlo", "rate_limit", times=1)
    sandbox.fault("contlo", "garbage", times=1, path="/v1/track")

    limited, garbage = track(sandbox), track(sandbox)

    assert (limited.status_code, limited.text) == (429, "")
    assert garbage.status_code == 200 and garbage.text.startswith("<html>")
    assert sandbox.arrived("contlo") == []


def test_calls_at_once_are_counted_and_none_is_too_many() -> None:
    with Sandbox.running(latency=0.3) as sandbox, ThreadPoolExecutor(20) as pool:
        assert set(pool.map(lambda _: track(sandbox).status_code, range(20))) == {200}
        assert sandbox.summary()["contlo"]["in_flight_peak"] > 8


def test_what_the_providers_module_packs_is_taken(sandbox: Sandbox) -> None:
    contlo, now = get_provider("contlo"), datetime(2026, 11, 22, tzinfo=UTC)
    account = Account({}, {"private_api_key": KEY}, "email", sandbox.url_of("contlo"))
    person = {"customer_id": "c", "email": "asha@example.com", "phone": "+919812345678", "name": "Asha Rao"}
    odd = {"coins": 1, "none": None, "nested": {"a": [1], "b": {}}, "event_type": "custom", "ok": True, "x": float("inf")}
    event = Event("dlv_07", contlo.event_name("Wallet Coins Rewarded"), "c", person, odd, now)
    profile = Profile("c", person)

    calls = [
        *contlo.pack_events(account, [event], {"c": profile}, now).calls,
        *contlo.pack_contacts(account, [profile], now).calls,
    ]
    verdicts = [contlo.read(sent, http.send(sent.request, 10)).verdict.outcome for sent in calls]

    assert verdicts == [Outcome.ACCEPTED, Outcome.ACCEPTED]
    assert [(record.kind, record.name) for record in sandbox.arrived("contlo")] == [
        ("event", "Wallet_Coins_Rewarded"),
        ("profile", ""),
    ]
    assert verify(contlo, account).ok
