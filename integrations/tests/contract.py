"""What the contract tests of all providers share: the cases, their outcomes, and comparing a request with a case's."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest

from integrations.providers.base import (
    Account,
    Answer,
    Event,
    Fault,
    Outcome,
    Packed,
    Profile,
    Provider,
    Request,
    Response,
    Verification,
)

FOLDER = Path(__file__).parent.parent / "contracts"
OUTCOMES = {
    "delivered": Outcome.ACCEPTED,
    "retry": Outcome.TRANSIENT,
    "failed": Outcome.PERMANENT,
    "disable_integration": Outcome.CONFIGURATION,
}


def load(slug: str) -> list[dict]:
    """Return a provider's contract cases."""
    return json.loads((FOLDER / f"{slug}.json").read_text())


def assert_subset(expected, actual, path="$"):
    """Check that everything expected is there; our own fields may be added to objects."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            assert key in actual, f"{path}.{key}"
            assert_subset(value, actual[key], f"{path}.{key}")
    elif isinstance(expected, list):
        assert len(expected) == len(actual), path
        for index, value in enumerate(expected):
            assert_subset(value, actual[index], f"{path}[{index}]")
    else:
        assert expected == actual, path


def assert_request(expected: dict, request: Request) -> None:
    """Check method, address, headers and body against a case's `expect_request`."""
    assert (request.method, request.url) == (expected["method"], expected["url"])
    assert_subset(expected["headers"], request.headers)
    if expected["json"] is None:
        assert request.body == b""
    else:
        assert_subset(expected["json"], json.loads(request.body))


def response(reply: dict) -> Response:
    """Return a case's `provider_reply` as it would be received."""
    return answer(reply["body"], reply["status"], reply.get("headers"))


def answer(body: object, status: int = 200, headers: dict | None = None) -> Response:
    """Return an answer; a text is sent as it is, everything else as JSON."""
    return Response(status, headers or {}, body if isinstance(body, str) else json.dumps(body))


def verify(provider: Provider, account, *answers: Answer) -> tuple[list[Request], Verification]:
    """Walk through a credential check with these answers; every one of them must be asked for."""
    steps = provider.verify_steps(account)
    requests = [next(steps)]
    for given in answers[:-1]:
        requests.append(steps.send(given))
    with pytest.raises(StopIteration) as end:
        steps.send(answers[-1])
    return requests, end.value.value


DOWN = Fault("dns", "no name", False)

# --- Driving a case: what is given, packed and read as its file says -------------------------------------------------
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
EVENTS = ("send_event",)
CONTACTS = ("identify", "upsert_contact", "sync_contacts")
CHECKS = ("verify",)
OPERATIONS = frozenset([*EVENTS, *CONTACTS, *CHECKS, "inbound"])  # `inbound` is no business of a provider's module


def cases(slug: str, *operations: str) -> list[dict]:
    """Return a provider's cases of these operations; none where it has no file."""
    found = load(slug) if (FOLDER / f"{slug}.json").exists() else []
    return [case for case in found if case["given"]["operation"] in operations]


def account_of(given: dict) -> Account:
    """Return the account of a case. `merchant` is for checks that write a test profile of the merchant's own."""
    settings = dict(given["settings"])
    common_property = settings.pop("common_property")
    merchant = given.get("merchant", {})
    probe = next((value for key, value in merchant.items() if key.endswith("_probe_user_id")), "")
    more = {"contact_email": merchant.get("email", ""), "probe_id": probe}
    known = {item.name for item in fields(Account)}
    return Account(settings, given["credentials"], common_property, **{key: more[key] for key in more if key in known})


def person_of(customer: dict) -> tuple[dict, str]:
    """Return a case's customer as a recipient, and the id of our own making that the provider knows them by."""
    ours = {key: value for key, value in customer.items() if key.endswith(("_user_id", "_identified"))}
    recipient = {"phone" if key == "mobile" else key: value for key, value in customer.items() if key not in ours}
    return recipient, next((value for key, value in ours.items() if key.endswith("_user_id")), "")


def events_of(given: dict) -> list[Event]:
    """Return the events of a case."""
    events = []
    for item in given.get("events") or [given["event"]]:
        recipient, remote_id = person_of(item["customer"])
        occurred_at = datetime.fromisoformat(item["occurred_at"].replace("Z", "+00:00"))
        ref = str(recipient.get("customer_id") or recipient.get("email") or "c")
        events.append(Event(item["id"], item["name"], ref, recipient, item["data"], occurred_at, remote_id))
    return events


def profiles_of(given: dict) -> list[Profile]:
    """Return the contacts of a case."""
    customers = given.get("customers") or [given.get("customer") or given["event"]["customer"]]
    people = [person_of(customer) for customer in customers]
    return [Profile(f"c{number}", person, remote_id=remote_id) for number, (person, remote_id) in enumerate(people)]


def pack(provider: Provider, given: dict) -> Packed:
    """Pack what is given as its operation says."""
    if given["operation"] in CONTACTS:
        return provider.pack_contacts(account_of(given), profiles_of(given), NOW, bulk=given["operation"] == "sync_contacts")
    events = events_of(given)
    profiles = {event.customer_ref: Profile(event.customer_ref, event.recipient) for event in events}
    return provider.pack_events(account_of(given), events, profiles, NOW)


def check_packing(provider: Provider, case: dict) -> None:
    """Check that a case leaves in the one request that it expects, or in none."""
    packed = pack(provider, case["given"])
    if case["expect_request"] is None:
        assert not packed.calls
        assert set(packed.skipped) == {event.delivery_id for event in events_of(case["given"])}
        return
    assert not packed.skipped
    (call,) = packed.calls
    if not case["given"].get("only_the_reply"):  # a request that our side never makes
        assert_request(case["expect_request"], call.request)


def check_reading(provider: Provider, case: dict) -> None:
    """Check that the reply of a case means what it expects, record by record where it says so."""
    reply = case["provider_reply"] or {}
    if reply.get("error") or not reply:  # no answer at all is not for a provider's module to read
        return
    (call,) = pack(provider, case["given"]).calls
    reading = provider.read(call, response(reply))
    outcome = OUTCOMES[case["expect_outcome"]]
    for delivery_id in call.delivery_ids:
        wanted = OUTCOMES[case.get("expect_records", {}).get(delivery_id, case["expect_outcome"])]
        assert reading.deliveries.get(delivery_id, reading.verdict).outcome is wanted, delivery_id
    if not call.delivery_ids:
        assert reading.verdict.outcome is outcome
        refs = {record.customer_ref for record in call.records}
        assert reading.contacts == (refs if outcome is Outcome.ACCEPTED else set())
        assert set(reading.refused) == (refs if outcome is Outcome.PERMANENT else set())
    if "expect_retry_after_seconds" in case:
        assert reading.hold_seconds == case["expect_retry_after_seconds"]


def check_verifying(provider: Provider, case: dict) -> None:
    """Check that the credentials of a case are asked about, and the answer understood, as it expects."""
    account = account_of(case["given"])
    if case["expect_request"] is None:
        with pytest.raises(StopIteration) as end:
            next(provider.verify_steps(account))
        result = end.value.value
    else:
        (request,), result = verify(provider, account, response(case["provider_reply"]))
        assert_request(case["expect_request"], request)
    assert result.ok is (case["expect_outcome"] == "delivered") and result.reachable
