"""MoEngage in the sandbox: who may call, what is refused as a whole, and what is dropped without a word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from integrations.providers import get_provider
from integrations.providers.base import Account, Event, Outcome, Profile
from integrations.providers.base import Response as Answer
from nectorbridge.sandbox import Sandbox

WORKSPACE = "TESTWORKSPACE000000000001"
OK = {"status": "success", "message": "Your request has been accepted and will be processed soon."}


class Client:
    """Speaks MoEngage's Data API to a sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.trust_env = False
        self.auth: tuple[str, str] | None = (WORKSPACE, "key")

    def post(self, path: str, data: Any, method: str = "POST", **headers: str) -> requests.Response:
        body = data if isinstance(data, str | bytes) else json.dumps(data)
        headers = {"Content-Type": "application/json"} | {key.replace("_", "-"): value for key, value in headers.items()}
        url = self.sandbox.url_of("moengage") + path
        return self.session.request(method, url, data=body, headers=headers, auth=self.auth, timeout=10)

    def send(self, data: Any, kind: str = "event", query: str = "") -> requests.Response:
        return self.post(f"/v1/{kind}/{WORKSPACE}{query}", data)

    def check(self, **changes: Any) -> requests.Response:
        body = {"app_id": WORKSPACE, "app_secret": "key", "source": "nector", "region": "03"} | changes
        return self.post("/v1/integrations/authentication", body, MOE_APPKEY=WORKSPACE)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.running() as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Client:
    return Client(sandbox)


def event(*deliveries: str, **changes: Any) -> dict[str, Any]:
    return {"type": "event", "customer_id": "6937201", "actions": [action(key) for key in deliveries or ["dlv_01"]]} | changes


def action(delivery: str = "dlv_01", **changes: Any) -> dict[str, Any]:
    attributes = {"nector_delivery_id": delivery, "coins": 50}
    return {"action": "WalletRewardCreate", "attributes": attributes, "current_time": "2026-09-12T10:15:30Z"} | changes


def with_action(**changes: Any) -> dict[str, Any]:
    return event(actions=[action(**changes)])


def customer(**attributes: Any) -> dict[str, Any]:
    return {"type": "customer", "customer_id": "6937201", "attributes": attributes or {"u_n": "Asha"}}


def dropped(client: Client) -> list[str]:
    return [record.code for record in client.sandbox.refused("moengage")]


def test_events_of_one_customer_are_accepted_each_as_a_record(client: Client) -> None:
    answer = client.send(event("dlv_01", "dlv_02"))

    assert (answer.status_code, answer.json()) == (200, OK)
    found = [(r.kind, r.name, r.identity, r.delivery, r.account) for r in client.sandbox.arrived("moengage")]
    assert found == [("event", "WalletRewardCreate", "6937201", key, WORKSPACE) for key in ("dlv_01", "dlv_02")]


def test_a_bulk_call_takes_customers_and_events(client: Client) -> None:
    answer = client.send(
        {"type": "transition", "elements": [customer(), event("dlv_01", "dlv_02"), event("dlv_03")]}, "transition"
    )

    assert answer.json() == OK
    assert [r.kind for r in client.sandbox.arrived("moengage")] == ["profile", "event", "event", "event"]
    assert client.sandbox.deliveries("moengage") == {"dlv_01": 1, "dlv_02": 1, "dlv_03": 1}
    assert client.sandbox.summary()["moengage"]["events"] == 3


def test_a_profile_alone_is_accepted(client: Client) -> None:
    assert client.send(customer(u_em="a@b.c", u_mb="919876543210"), "customer").json() == OK
    assert client.sandbox.summary()["moengage"]["profiles"] == 1


def test_the_test_of_a_connection_names_the_workspace_and_keeps_nothing(client: Client) -> None:
    answer = client.check()

    assert (answer.status_code, answer.json()) == (200, {"status": "success", "app_name": "Sandbox"})
    assert client.sandbox.arrived("moengage") == []


@pytest.mark.parametrize(("changes", "status"), [({"app_secret": "other"}, 401), ({"region": "07"}, 400), ({"source": ""}, 400)])
def test_the_test_of_a_connection_reads_its_body(client: Client, changes: dict[str, Any], status: int) -> None:
    assert client.check(**changes).status_code == status


@pytest.mark.parametrize(
    ("auth", "status", "message"),
    [
        (None, 401, "Authentication Header Required"),
        (("BAD0000000", "key"), 401, "Invalid APP_ID used in Authentication Header"),
        ((WORKSPACE, "BAD-key"), 401, "App Secret key mismatch. Please login to the dashboard to verify key"),
        (("OTHERWORKSPACE", "key"), 409, "App key mismatch in params and authentication"),
    ],
)
def test_strangers_are_turned_away_as_recorded(client: Client, auth: Any, status: int, message: str) -> None:
    client.auth = auth

    answer = client.send(event())

    assert (answer.status_code, answer.json()["status"], answer.json()["error"]["message"]) == (status, "fail", message)
    assert client.sandbox.arrived("moengage") == []


def test_a_header_that_cannot_be_read_names_nobody(client: Client) -> None:
    client.auth = None

    answer = client.post(f"/v1/event/{WORKSPACE}", event(), Authorization="Basic ???")

    assert answer.json()["error"]["message"] == "No identity information found"


WHOLE = [
    ("event", "", "Empty request body"),
    ("event", "{", "Malformed JSON"),
    ("event", "[]", "Malformed JSON"),
    ("event", '{"a":NaN}', "Malformed JSON"),
    ("event", event(actions=[]), "actions can not be empty Array"),
    ("event", {"type": "event", "actions": [action()]}, "customer_id is not found in the payload"),
    ("event", event(actions=[{}]), "action is not found in the payload"),
    ("event", event(elements=[]), "elements is for bulk calls"),
    ("transition", {"type": "transition", "elements": []}, "elements can not be empty Array"),
    ("transition", {"type": "transition", "elements": [event(), {"type": "Event"}]}, "Invalid element type"),
    ("transition", {"type": "transition", "elements": [event(), event(actions=[])]}, "actions can not be empty Array"),
]


@pytest.mark.parametrize(("kind", "body", "message"), WHOLE)
def test_a_structural_fault_refuses_the_whole_call(client: Client, kind: str, body: Any, message: str) -> None:
    answer = client.send(body, kind)

    assert (answer.status_code, answer.json()["error"]["message"]) == (400, message)
    assert client.sandbox.arrived("moengage") == []


TOMORROW = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
SILENT = [
    ("type", event(type="Event")),
    ("type", event(type="customer")),
    ("customer_id", event(customer_id="guest")),
    ("customer_id", event(customer_id="7")),
    ("customer_id", event(customer_id=6937201)),
    ("action_name", with_action(action="Wallet Coins")),
    ("action_name", with_action(action="x" * 201)),
    ("blacklisted", with_action(action="moe_event")),
    ("action_field", with_action(platform="server")),
    ("action_field", with_action(unknown=1)),
    ("action_field", with_action(real_time_action=True)),
    ("current_time", with_action(current_time=1786634590)),
    ("current_time", with_action(current_time="2026-09-31T10:15:30Z")),
    ("current_time", with_action(current_time="2026-09-12T10:15:30+05:30")),
    ("future", with_action(current_time=TOMORROW)),
    ("attributes", with_action(attributes={f"k{i}": i for i in range(101)})),
    ("attribute_name", with_action(attributes={"a.b": 1})),
    ("attribute_name", with_action(attributes={"moe_x": 1})),
    ("attribute_name", with_action(attributes={"x" * 201: 1})),
    ("attribute_value", with_action(attributes={"a": None})),
    ("attribute_value", with_action(attributes={"a": "x" * 513})),
    ("attribute_value", with_action(attributes={"a": {"b": 1}})),
    ("attribute_value", with_action(attributes={"a": [1, "x"]})),
    ("attribute_value", with_action(attributes={"a": list(range(51))})),
    ("attribute_value", with_action(attributes={"a": "2026-09-12T10:15:30+00:00"})),
]


@pytest.mark.parametrize(("code", "body"), SILENT)
def test_what_breaks_a_rule_is_accepted_and_dropped_in_silence(client: Client, code: str, body: dict[str, Any]) -> None:
    assert client.send(body).json() == OK
    assert dropped(client) == [code]
    assert client.sandbox.arrived("moengage") == [] and client.sandbox.deliveries("moengage") == {}


PROFILES = [{"status": "x"}, {"MOE_X": 1}, {"moe_x": 1}, {"u_em": "asha"}, {"u_mb": "+919876543210"}, {"u_n": None}]


@pytest.mark.parametrize("attributes", PROFILES)
def test_a_wrong_profile_is_dropped_in_silence(client: Client, attributes: dict[str, Any]) -> None:
    assert client.send(customer(**attributes), "customer").json() == OK
    assert len(dropped(client)) == 1


def test_a_bulk_call_of_the_wrong_case_creates_nothing(client: Client) -> None:
    assert client.send({"type": "Transition", "elements": [event()]}, "transition").json() == OK
    assert dropped(client) == ["type"]


def test_a_body_beyond_the_limit_is_too_large(client: Client) -> None:
    big = {f"k{i}": "x" * 500 for i in range(99)}

    def actions(count: int) -> dict[str, Any]:
        return event(actions=[action(attributes=big) for _ in range(count)])

    assert client.send(actions(2)).status_code == 200
    assert client.send(actions(3)).json()["error"]["message"] == "Payload size exceeds 128 KB"
    answer = client.send({"type": "transition", "elements": [actions(2)]}, "transition")
    assert (answer.status_code, answer.json()["error"]["message"]) == (413, "Payload size exceeds 100 KB")


@pytest.mark.parametrize(("content_type", "status"), [("", 400), ("text/plain", 415), ("application/json; charset=utf-8", 200)])
def test_a_body_must_be_declared_as_json(client: Client, content_type: str, status: int) -> None:
    assert client.post(f"/v1/event/{WORKSPACE}", event(), Content_Type=content_type).status_code == status


@pytest.mark.parametrize(
    ("query", "status"), [("?project_code=p", 400), ("?app_id=X", 400), (f"?app_id={WORKSPACE}&project_code=p", 200)]
)
def test_a_portfolios_query_is_whole_or_refused(client: Client, query: str, status: int) -> None:
    assert client.send(event(), query=query).status_code == status


def test_other_addresses_and_methods_do_not_exist(client: Client) -> None:
    assert client.post("/v1/event", event()).status_code == 404
    assert client.post(f"/v2/event/{WORKSPACE}", event()).status_code == 404
    assert client.post(f"/v1/event/{WORKSPACE}", "", method="GET").headers["Allow"] == "POST"


def test_a_rate_limit_names_its_reset(client: Client) -> None:
    client.sandbox.fault("moengage", "rate_limit", times=1, headers={"x-ratelimit-reset": "30"})

    answer = client.send(event())

    assert (answer.status_code, answer.headers["x-ratelimit-reset"], answer.headers["x-ratelimit-remaining"]) == (429, "30", "0")
    assert client.send(event()).status_code == 200


def test_a_refusal_on_demand_concerns_the_whole_call(client: Client) -> None:
    client.sandbox.fault("moengage", "partial", every=3, times=1)

    assert client.send(event("a", "b", "c")).status_code == 400
    assert client.sandbox.arrived("moengage") == []


def test_events_can_be_blacklisted() -> None:
    with Sandbox.running(discarded=["WalletRewardCreate"]) as sandbox:
        client = Client(sandbox)

        client.send(event())

        assert dropped(client) == ["blacklisted"]


@pytest.mark.parametrize("allow_bulk", [True, False])
def test_what_our_own_module_packs_is_all_kept(client: Client, allow_bulk: bool) -> None:
    # given awkward values
    moengage, now = get_provider("moengage"), datetime.now(UTC)
    settings = {"workspace_id": WORKSPACE, "server_prefix": "3", "project_code": "p1", "allow_bulk": allow_bulk}
    account = Account(settings, {"data_api_key": "key"}, base_url=client.sandbox.url_of("moengage"))
    values = {"a.b": None, "x y": "z" * 600, "o": {"p": 1}, "l": [1, "x"], "t": "2027-01-01T05:30:00+05:30", "moe_a": 1}
    people = [{"customer_id": f"c-{n}", "name": "Asha", "email": "a@b.c", "phone": "+919876543210"} for n in range(10)]
    events = [
        Event(f"d{n}", "Wallet Coins", p["customer_id"], p, values, now + timedelta(hours=1)) for n, p in enumerate(people * 3)
    ]
    profiles = {p["customer_id"]: Profile(p["customer_id"], p) for p in people}

    # when packed and sent
    calls = moengage.pack_events(account, events, profiles, now).calls
    for call in calls:
        answer = client.session.post(call.request.url, data=call.request.body, headers=dict(call.request.headers), timeout=10)
        assert moengage.read(call, Answer(answer.status_code, {}, answer.text)).verdict.outcome is Outcome.ACCEPTED

    # then nothing is dropped
    assert dropped(client) == []
    assert client.sandbox.deliveries("moengage") == {f"d{n}": 1 for n in range(30)}
    assert client.sandbox.summary()["moengage"]["profiles"] == 10
