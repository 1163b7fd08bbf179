"""What Mailmodo answers: keys, events, contacts one at a time and by the hundred, lists, rates, and what it remembers."""

from __future__ import annotations

import json
import time
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
from nectorbridge.sandbox.tests.conftest import Client

KEY = "AAAAAAA-BBBBBBB-CCCCCCC-DDDDDDD"
GATEWAY = {"error": "error", "message": "Some Internal Error Occurred: 404"}
LIST = "Nector customers"
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def call(sandbox: Sandbox, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
    sent = {"mmApiKey": KEY, "Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    data = body if isinstance(body, str | bytes) or body is None else json.dumps(body)
    return requests.request(method, f"{sandbox.url_of('mailmodo')}/api/v1/{path}", data=data, headers=sent, timeout=10)


def present(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if value is not ...}


def event(sandbox: Sandbox, key: str = KEY, **changes: Any) -> requests.Response:
    properties = {"nector_delivery_id": "dlv_01", "coins": 120, "is_vip": True}
    record = {"email": "asha@example.com", "event_name": "walletreward_create", "ts": 1767225600, "event_properties": properties}
    return call(sandbox, "POST", "addEvent", present(record | changes), mmApiKey=key)


def add(sandbox: Sandbox, **changes: Any) -> requests.Response:
    record = {"email": "jack@example.com", "listName": LIST, "data": {"name": "Jack", "nector_coins": 560}}
    return call(sandbox, "POST", "addToList", present(record | changes))


def batch(sandbox: Sandbox, *values: Any, name: Any = LIST, **more: Any) -> requests.Response:
    return call(sandbox, "POST", "addToList/batch", {"listName": name, "values": list(values), **more})


def person(email: str, **data: Any) -> dict[str, Any]:
    return {"email": email, "data": data} if data else {"email": email}


def test_a_good_event_gets_a_ref_and_arrives(sandbox: Sandbox) -> None:
    answer = event(sandbox)

    assert (answer.status_code, answer.json().keys(), answer.json()["success"]) == (200, {"success", "ref"}, True)
    (arrived,) = sandbox.arrived("mailmodo")
    assert (arrived.kind, arrived.name, arrived.identity) == ("event", "walletreward_create", "asha@example.com")
    assert (arrived.delivery, arrived.account) == ("dlv_01", "…DDDD")
    assert sandbox.times("mailmodo", "dlv_01") == 1 and sandbox.summary()["mailmodo"]["events"] == 1


def test_a_repeated_event_is_a_second_event(sandbox: Sandbox) -> None:
    assert event(sandbox).json()["ref"] != event(sandbox).json()["ref"]
    assert sandbox.times("mailmodo", "dlv_01") == 2


@pytest.mark.parametrize("changes", [{"ts": ...}, {"ts": 1767225600.5}, {"event_properties": ...}, {"event_properties": {}}])
def test_what_may_be_absent_may_be_absent(sandbox: Sandbox, changes: dict[str, Any]) -> None:
    assert event(sandbox, **changes).json()["success"] is True


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"email": ...}, "email must be a string"),
        ({"email": ""}, "email is not allowed to be empty"),
        ({"email": "asha"}, "email must be a valid email"),
        ({"event_name": 7}, "event_name must be a string"),
        ({"event_name": " "}, "event_name is not allowed to be empty"),
        ({"ts": 1767225600000}, "ts must be a UNIX time in seconds"),
        ({"ts": -1}, "ts must be a UNIX time in seconds"),
        ({"ts": "1767225600"}, "ts must be a number"),
        ({"ts": True}, "ts must be a number"),
        ({"event_properties": []}, "event_properties must be an object"),
        ({"event_properties": {"a": None}}, "event_properties.a must be a string, a number or a boolean"),
        ({"event_properties": {"a": {"b": 1}}}, "event_properties.a must be a string, a number or a boolean"),
        ({"event_properties": {"a": []}}, "event_properties.a must be a string, a number or a boolean"),
        ({"event_properties": {" ": 1}}, "event_properties has a property without a name"),
        ({"listName": LIST}, "listName is not allowed"),
    ],
)
def test_a_wrong_event_is_refused_and_counts_as_refused(sandbox: Sandbox, changes: dict[str, Any], message: str) -> None:
    answer = event(sandbox, **changes)

    assert (answer.status_code, answer.json()) == (400, {"message": message})
    assert sandbox.arrived("mailmodo") == [] and len(sandbox.refused("mailmodo")) == 1


def test_a_property_keeps_the_type_of_its_first_value(sandbox: Sandbox) -> None:
    assert event(sandbox, event_properties={"coins": "12"}).status_code == 200
    answer = event(sandbox, event_properties={"coins": 12})
    assert (answer.status_code, answer.json()) == (400, {"message": "coins must be a string"})
    assert event(sandbox, event_name="other", event_properties={"coins": 12}).status_code == 200
    assert event(sandbox, key="another-key", event_properties={"coins": 12}).status_code == 200

    assert add(sandbox, data={"vip": 1}).status_code == 200
    assert add(sandbox, data={"vip": True}).json()["message"] == "vip must be a number"
    assert add(sandbox, data={"phone": 919812345678}).json()["message"] == "phone must be a string"


def test_a_contact_is_put_on_a_list_that_is_made_for_it(sandbox: Sandbox) -> None:
    answer = add(sandbox, email="Jack@Example.com")

    assert answer.json() == {"success": True, "message": "The contact is successfully added/updated"}
    (member,) = sandbox.members(LIST).values()
    assert (member.email, member.how, member.started_journeys) == ("jack@example.com", ("single",), True)
    assert member.data == {"name": "Jack", "nector_coins": 560}
    (found,) = call(sandbox, "GET", "getAllContactLists").json()["listDetails"]
    assert (found["name"], found["contacts_count"], found.keys()) == (LIST, 1, {"id", "name", "created_at", "contacts_count"})
    assert sandbox.summary()["mailmodo"]["profiles"] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"listName": ...}, "listName must be a string"),
        ({"listName": " "}, "listName is not allowed to be empty"),
        ({"email": ...}, "email must be a string"),
        ({"data": {"a": {}}}, "data.a must be a string, a number or a boolean"),
        ({"values": []}, "values is not allowed"),
    ],
)
def test_a_wrong_contact_is_refused(sandbox: Sandbox, changes: dict[str, Any], message: str) -> None:
    answer = add(sandbox, **changes)

    assert answer.status_code == 400
    assert answer.json() == {"error": "ValidationError", "success": False, "status": "error", "message": message}
    assert sandbox.members(LIST) == {} and sandbox.arrived("mailmodo") == []


def test_a_batch_adds_and_updates_and_starts_no_journeys(sandbox: Sandbox) -> None:
    add(sandbox, email="a@x.io", data={"name": "A", "nector_coins": 1})
    answer = batch(sandbox, person("a@x.io", nector_coins=2), person("b@x.io"))

    assert answer.status_code == 200 and answer.json().keys() == {"message", "listId"}
    members = sandbox.members(LIST)
    assert (members["a@x.io"].how, dict(members["a@x.io"].data)) == (("single", "batch"), {"name": "A", "nector_coins": 2})
    assert members["a@x.io"].started_journeys and not members["b@x.io"].started_journeys
    assert [record.identity for record in sandbox.arrived("mailmodo")] == ["a@x.io", "a@x.io", "b@x.io"]


@pytest.mark.parametrize(
    ("values", "more", "message"),
    [
        ([person("a@x.io"), person("A@x.io")], {}, "email should be unique in values. Found duplicates for 'a@x.io'"),
        ([person(f"c{n}@x.io") for n in range(101)], {}, "values must contain at most 100 contacts"),
        ([], {}, "values must be a list of contacts"),
        ([person("a@x.io")], {"name": ""}, "listName is not allowed to be empty"),
        ([person("a@x.io")], {"success": True}, "success is not allowed"),
    ],
)
def test_a_wrong_batch_adds_nobody(sandbox: Sandbox, values: list[Any], more: dict[str, Any], message: str) -> None:
    answer = batch(sandbox, *values, **more)

    assert (answer.status_code, answer.json()["message"]) == (400, message)
    assert sandbox.members(LIST) == {} and len(sandbox.refused("mailmodo")) == len(values)


def test_a_hundred_are_one_batch(sandbox: Sandbox) -> None:
    assert batch(sandbox, *[person(f"c{n}@x.io") for n in range(100)]).status_code == 200
    assert len(sandbox.members(LIST)) == 100 and sandbox.summary()["mailmodo"]["profiles"] == 100


def test_a_wrong_contact_in_a_batch_is_listed_and_the_others_are_added(sandbox: Sandbox) -> None:
    answer = batch(sandbox, person("a@x.io"), person("bad"), "odd")

    assert answer.status_code == 207
    assert answer.json()["errors"] == [
        {"email": "bad", "failure reason": "email must be a valid email"},
        {"email": None, "failure reason": "a contact must be an object"},
    ]
    assert list(sandbox.members(LIST)) == ["a@x.io"] and len(sandbox.refused("mailmodo")) == 2


def test_refusals_on_demand_are_a_success_false_or_a_207(sandbox: Sandbox) -> None:
    sandbox.fault("mailmodo", "partial", every=2)

    answers = [event(sandbox).json()["success"], add(sandbox).json()["success"]]
    answer = batch(sandbox, person("a@x.io"), person("b@x.io"), person("c@x.io"))

    assert answers == [True, False]
    assert [error["email"] for error in answer.json()["errors"]] == ["b@x.io"]
    assert sorted(sandbox.members(LIST)) == ["a@x.io", "c@x.io"]


def test_nobody_can_be_added_to_a_static_segment(sandbox: Sandbox) -> None:
    sandbox.make_segments("VIPs")
    refused = {"success": False, "message": "Cannot add users to static segmentation list"}

    for name in ("VIPs", "Segment: VIPs"):
        for answer in (add(sandbox, listName=name), batch(sandbox, person("a@x.io"), name=name)):
            assert (answer.status_code, answer.json()) == (400, refused)
        assert sandbox.members(name) == {}
    assert add(sandbox).status_code == 200


def test_batches_must_follow_each_other_and_nothing_else_must() -> None:
    with Sandbox.running(latency=0.4) as sandbox, ThreadPoolExecutor(8) as pool:
        batches = list(pool.map(lambda n: batch(sandbox, person(f"c{n}@x.io")), range(3)))
        others = list(pool.map(lambda n: (add if n % 2 else event)(sandbox), range(8)))
        other_key = pool.submit(call, sandbox, "POST", "addToList/batch", {"listName": "L", "values": [person("a@x.io")]})
        another = call(sandbox, "POST", "addToList/batch", {"listName": "L", "values": [person("a@x.io")]}, mmApiKey="k2")

    assert sorted(answer.status_code for answer in batches) == [200, 400, 400]
    assert "in progress" in next(answer.json()["message"] for answer in batches if answer.status_code == 400)
    assert {answer.status_code for answer in others} == {200}
    assert other_key.result().status_code == another.status_code == 200


@pytest.mark.parametrize("rate", [5, 10])
def test_calls_above_the_rate_are_turned_away_until_a_second_has_passed(rate: int) -> None:
    with Sandbox.running(rates={"mailmodo": rate}) as sandbox:
        answers = [event(sandbox) for _ in range(rate + 2)]
        assert [answer.status_code for answer in answers] == [200] * rate + [429, 429]
        assert answers[-1].json() == {"message": "Too many requests"}
        assert event(sandbox, key="another-key").status_code == 200
        time.sleep(1.05)
        assert event(sandbox).status_code == 200
        sandbox.limit("mailmodo")
        assert {event(sandbox).status_code for _ in range(rate + 2)} == {200}


def test_every_kind_of_call_counts_for_the_rate() -> None:
    with Sandbox.running(rates={"mailmodo": 3}) as sandbox:
        codes = [event(sandbox).status_code, add(sandbox).status_code, batch(sandbox, person("a@x.io")).status_code]
        assert [*codes, call(sandbox, "GET", "getAllContactLists").status_code] == [200, 200, 200, 429]


def test_rates_and_members_are_there_for_other_processes(client: Client) -> None:
    add(client.sandbox)
    members = client.own("GET", "/_sandbox/members.json", params={"list": LIST}).json()["members"]
    assert members == [{"email": "jack@example.com", "how": ["single"], "data": {"name": "Jack", "nector_coins": 560}}]

    assert client.own("POST", "/_sandbox/rates", json={"mailmodo": 1}).json() == {"rates": {"mailmodo": 1}}
    assert [event(client.sandbox).status_code for _ in range(2)] == [200, 429]
    for wrong in ([], {"nobody": 1}, {"mailmodo": -1}, {"mailmodo": True}, {"mailmodo": "5"}):
        assert client.own("POST", "/_sandbox/rates", json=wrong).status_code == 400


def test_a_reset_forgets_lists_and_types(sandbox: Sandbox) -> None:
    add(sandbox, data={"vip": 1})
    sandbox.reset()

    assert sandbox.members(LIST) == {} and call(sandbox, "GET", "getAllContactLists").json() == {"listDetails": []}
    assert add(sandbox, data={"vip": True}).status_code == 200


def test_a_wrong_key_is_refused(sandbox: Sandbox) -> None:
    for method, path in (("POST", "addEvent"), ("POST", "addToList"), ("POST", "addToList/batch"), ("GET", "getAllContactLists")):
        answer = call(sandbox, method, path, "{}", mmApiKey="BADkey")
        assert (answer.status_code, answer.json()) == (401, {"success": False, "message": "Invalid API key"})
    missing = call(sandbox, "GET", "getAllContactLists", mmApiKey="")
    assert (missing.status_code, missing.json()) == (200, {"listDetails": [], "Error": "API key missing"})
    assert sandbox.refused("mailmodo") == []


def test_only_listed_keys_are_let_in() -> None:
    with Sandbox.running(accounts={"acme": KEY}) as sandbox:
        assert event(sandbox).status_code == 200
        assert event(sandbox, key="other").status_code == 401


def test_lists_belong_to_a_key(sandbox: Sandbox) -> None:
    add(sandbox)
    assert call(sandbox, "GET", "getAllContactLists", mmApiKey="other").json() == {"listDetails": []}


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '{"event_name":NaN}', b"\xff", '{"a":' + "[" * 100_000])
@pytest.mark.parametrize("path", ["addEvent", "addToList", "addToList/batch"])
def test_a_body_that_is_no_object_is_a_bad_request(sandbox: Sandbox, path: str, body: str | bytes) -> None:
    assert call(sandbox, "POST", path, body).status_code == 400


def test_what_is_not_declared_as_json_is_a_bad_request(sandbox: Sandbox) -> None:
    assert call(sandbox, "POST", "addEvent", "{}", Content_Type="text/plain").status_code == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "addEvent"),
        ("POST", "getAllContactLists"),
        ("POST", "event/walletreward_create"),
        ("POST", "addToList/"),
        ("GET", ""),
    ],
)
def test_an_unrouted_call_gets_the_gateways_answer(sandbox: Sandbox, method: str, path: str) -> None:
    answer = call(sandbox, method, path, "{}")
    assert (answer.status_code, answer.json()) == (404, GATEWAY)


def test_faults_are_served_by_path(sandbox: Sandbox) -> None:
    sandbox.fault("mailmodo", "rate_limit", times=1, path="/addToList/batch")
    sandbox.fault("mailmodo", "garbage", times=1, path="/addEvent")

    assert add(sandbox).status_code == 200
    assert batch(sandbox, person("a@x.io")).status_code == 429
    assert event(sandbox).text.startswith("<html>")
    assert list(sandbox.members(LIST)) == ["jack@example.com"]


def test_what_the_providers_module_packs_is_taken(sandbox: Sandbox) -> None:
    mailmodo = get_provider("mailmodo")
    account = Account({"list_name": LIST}, {"api_key": KEY}, "email", sandbox.url_of("mailmodo"))
    asha = {"customer_id": "c", "email": "Asha@example.com", "phone": "+919812345678", "name": "Asha Rao"}
    odd = {"coins": 1, "none": None, "nested": {"a": [1], "b": {}}, "": 1, "ok": True, "x": float("inf"), "nested_a": "[1]"}
    before = verify(mailmodo, account)
    loyalty = {"nector_coins": 560, "nector_coins_as_of": NOW, "nector_tier": "Gold", "nector_next_expiry_at": NOW}
    profiles = [Profile(f"c{n}", {"email": f"c{n % 120}@x.io", "name": f"C{n}"}, attributes=loyalty) for n in range(130)]

    calls = [
        *mailmodo.pack_contacts(account, [Profile("c", asha, attributes=loyalty)], NOW).calls,
        *mailmodo.pack_contacts(account, profiles, NOW, bulk=True).calls,
        *mailmodo.pack_events(account, [Event("dlv_07", "Wallet Coins Rewarded", "c", asha, odd, NOW)], {}, NOW).calls,
    ]
    readings = [mailmodo.read(sent, http.send(sent.request, 10)) for sent in calls]

    assert [reading.verdict.outcome for reading in readings] == [Outcome.ACCEPTED] * 4
    assert {ref for reading in readings for ref in reading.contacts} == {"c", *(f"c{n}" for n in range(130))}
    assert len(sandbox.members(LIST)) == 121 and sandbox.members(LIST)["asha@example.com"].how == ("single",)
    assert sandbox.times("mailmodo", "dlv_07") == 1
    assert before.ok and "will be made" in before.detail and "121 contacts" in verify(mailmodo, account).detail


def test_the_providers_module_reads_what_is_refused(sandbox: Sandbox) -> None:
    mailmodo = get_provider("mailmodo")
    account = Account({"list_name": "Segment: VIPs"}, {"api_key": KEY}, "email", sandbox.url_of("mailmodo"))
    profiles = [Profile(f"c{n}", {"email": f"c{n}@x.io"}) for n in range(4)]
    (sent,) = mailmodo.pack_contacts(account, profiles, NOW, bulk=True).calls
    assert mailmodo.read(sent, http.send(sent.request, 10)).verdict.outcome is Outcome.CONFIGURATION

    sandbox.fault("mailmodo", "partial", every=2)
    account = Account({"list_name": LIST}, {"api_key": KEY}, "email", sandbox.url_of("mailmodo"))
    (sent,) = mailmodo.pack_contacts(account, profiles, NOW, bulk=True).calls
    reading = mailmodo.read(sent, http.send(sent.request, 10))
    assert reading.contacts == {"c0", "c2"} and set(reading.refused) == {"c1", "c3"} == set(reading.refused_reasons)

    sandbox.clear_faults()
    bad = Account({"list_name": LIST}, {"api_key": "BADkey"}, "email", sandbox.url_of("mailmodo"))
    checked = verify(mailmodo, bad)
    assert not checked.ok and checked.reachable and "Invalid API key" in checked.reason
