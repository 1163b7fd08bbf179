"""What leaves: JSON without nulls, secrets in their places, to the provider's own host."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

from events.triggers import CATALOGUE
from integrations.providers.base import Response
from integrations.tests.conformance.subject import KNOWN, Subject, values_in, verify

BASE = "http://127.0.0.1:9/some/prefix"


def null_never_leaves(it: Subject) -> None:
    odd = {"nothing": None, "nan": float("nan"), "inside": {"a": None, "b": 1}, "list": [None, 1], "zero": 0, "no": False}
    bare = it.person(0) | {"name": None, "phone": None}
    profile = it.profile(recipient=bare, attributes=KNOWN | {"nector_tier": None, "nector_coins": float("nan")})
    calls = [*it.pack(it.event("d", properties=odd, recipient=bare), profiles=[profile]).calls, *it.push(profile)]
    assert calls
    for call in calls:
        document = json.loads(call.request.body, parse_constant=_refuse)
        assert all(value is not None for value in values_in(document))


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def values_keep_their_types(it: Subject) -> None:
    (call,) = it.pack(it.event("d", properties={"coins": 120, "rate": 0.5, "code": "007"})).calls
    found = list(values_in(json.loads(call.request.body)))
    assert 120 in found and 0.5 in found and "007" in found and "120" not in found


def every_property_of_the_catalogue_can_leave(it: Subject) -> None:
    for trigger in CATALOGUE.values():
        packed = it.pack(it.event("d", properties=dict(trigger.properties)))
        assert len(packed.calls) == 1 and not packed.skipped, trigger.key


def a_customer_without_identity_is_skipped_without_a_call(it: Subject) -> None:
    for nobody in ({}, dict.fromkeys(it.person(0)), dict.fromkeys(it.person(0), ""), dict.fromkeys(it.person(0), "  ")):
        packed = it.pack(it.event("d", recipient=nobody))
        assert not packed.calls and set(packed.skipped) == {"d"} and packed.skipped["d"]
        assert it.push(it.profile(recipient=nobody)) == it.push(it.profile(recipient=nobody), bulk=True) == ()


def secrets_stay_in_their_places(it: Subject) -> None:
    canaries = {name: f"CANARY{index}x{'7' * 20}" for index, name in enumerate(it.account.secrets)}
    assert canaries and canaries.keys() == {item.name for item in it.provider.fields if item.secret}
    account = replace(it.account, secrets=canaries)
    checks, _end = verify(it.provider, account, Response(500, {}, ""))
    assert checks
    for request in [*it.requests(account), *checks]:
        open_headers = [value for name, value in request.headers.items() if name not in request.secret_headers]
        query = parse_qsl(urlsplit(request.url).query, keep_blank_values=True)
        open_query = [value for name, value in query if name not in request.secret_params]
        shown = "\n".join([*open_headers, *open_query, urlsplit(request.url)._replace(query="").geturl(), repr(request)])
        if request.url not in {check.url for check in checks}:
            shown += request.body.decode()
        for canary in canaries.values():
            assert canary not in shown
            assert base64.b64encode(canary.encode()).decode().rstrip("=")[4:-4] not in shown
        assert request.secret_headers <= set(request.headers), "a secret header is one that is sent, spelled alike"
        assert request.secret_params <= {name for name, _value in query}


def requests_go_to_the_providers_own_host_over_https(it: Subject) -> None:
    plain = list(it.requests(replace(it.account, base_url="")))
    moved = list(it.requests(replace(it.account, base_url=BASE)))
    assert len(plain) == len(moved) >= 3
    for ours, theirs in zip(plain, moved, strict=True):
        parts = urlsplit(ours.url)
        assert parts.scheme == "https" and parts.hostname in it.hosts and parts.port is None and not parts.fragment
        rest = parts._replace(scheme="", netloc="").geturl()
        assert theirs.url == f"{BASE}{rest}" and rest.startswith("/")


def packing_is_a_function_of_what_is_given(it: Subject) -> None:
    events = [it.event(f"d{number}", number % 5) for number in range(12)]
    people = [it.profile(number) for number in range(5)]
    assert it.pack(*events, profiles=people) == it.pack(*events, profiles=people)
    assert it.push(*people) == it.push(*people)
