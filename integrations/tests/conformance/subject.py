"""What the properties are about: a provider, an account of it, people, events and profiles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from hypothesis import HealthCheck, settings

from integrations.providers.base import (
    Account,
    Call,
    Event,
    Fault,
    Packed,
    Profile,
    Provider,
    Record,
    Request,
    Response,
    Verification,
)
from integrations.tests import contract

NOW = contract.NOW
FEW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
KNOWN = {
    "nector_coins": 0,
    "nector_coins_as_of": NOW,
    "nector_tier": "Gold",
    "nector_tier_as_of": NOW,
    "nector_referral_code": None,
    "nector_next_expiry_coins": 40,
    "nector_next_expiry_at": NOW + timedelta(days=8),
    "nector_next_expiry_as_of": NOW,
}


@dataclass(frozen=True)
class Subject:
    """A provider, an account of it, and the hosts that it may call."""

    provider: Provider
    account: Account
    hosts: frozenset[str]
    remote_ids: dict[str, str] = field(default_factory=dict)

    def person(self, number: int) -> dict[str, Any]:
        """Return somebody whom every provider can name."""
        name = {"customer_id": f"cust-{number:05}", "email": f"asha{number}@example.com", "name": f"Asha Rao {number}"}
        return name | {"phone": f"+9198765{number:05}"}

    def remote_id(self, ref: str) -> str:
        """Return the id of our own making, where the provider wants one; a customer keeps it."""
        return self.remote_ids.setdefault(ref, self.provider.new_remote_id())

    def event(self, delivery: str, number: int = 0, properties: dict[str, Any] | None = None, **changes: Any) -> Event:
        """Return an event of somebody."""
        name = self.provider.event_name(self.provider.default_event_name("walletreward_create"))
        recipient, ref = self.person(number), f"ref{number}"
        event = Event(delivery, name, ref, recipient, properties or {"coins": 5}, NOW, self.remote_id(ref))
        return replace(event, **changes)

    def profile(self, number: int = 0, **changes: Any) -> Profile:
        """Return somebody's profile."""
        ref = f"ref{number}"
        return replace(Profile(ref, self.person(number), remote_id=self.remote_id(ref)), **changes)

    def pack(self, *events: Event, profiles: Iterable[Profile] = (), account: Account | None = None) -> Packed:
        """Pack events."""
        known = {profile.customer_ref: profile for profile in profiles}
        return self.provider.pack_events(account or self.account, events, known, NOW)

    def push(self, *profiles: Profile, bulk: bool = False, account: Account | None = None) -> tuple[Call, ...]:
        """Pack profiles alone."""
        return self.provider.pack_contacts(account or self.account, profiles, NOW, bulk).calls

    def requests(self, account: Account) -> Iterator[Request]:
        """Yield a request of every kind: events, contacts alone and in bulk, and the credential check's."""
        calls = [*self.pack(*(self.event(f"d{n}", n) for n in range(9)), profiles=[self.profile()], account=account).calls]
        people = [self.profile(number) for number in range(3)]
        calls += [*self.push(*people, account=account), *self.push(*people, bulk=True, account=account)]
        yield from (call.request for call in calls)
        yield from verify(self.provider, account, Response(404, {}, ""))[0]


def subject_of(provider: Provider) -> Subject:
    """Return a provider with the account of its contract's first check that ends well."""
    cases = contract.load(provider.slug)
    (good, *_others) = (
        case for case in cases if case["given"]["operation"] == "verify" and case["expect_outcome"] == "delivered"
    )
    urls = [case["expect_request"]["url"] for case in cases if case["expect_request"]]
    return Subject(provider, contract.account_of(good["given"]), frozenset(str(urlsplit(url).hostname) for url in urls))


def verify(provider: Provider, account: Account, answer: Response | Fault) -> tuple[list[Request], Verification]:
    """Walk through a credential check in which every question gets this answer."""
    steps, asked = provider.verify_steps(account), []
    try:
        asked.append(next(steps))
        while len(asked) < 9:
            asked.append(steps.send(answer))
    except StopIteration as end:
        return asked, end.value
    raise AssertionError("the check has no end")


def values_in(data: Any) -> Iterator[Any]:
    """Yield every value in a JSON document, however deep."""
    if isinstance(data, dict):
        for value in data.values():
            yield from values_in(value)
    elif isinstance(data, list):
        for value in data:
            yield from values_in(value)
    else:
        yield data


def records_of(packed: Packed) -> Iterator[Record]:
    """Yield the records of all calls."""
    for call in packed.calls:
        yield from call.records
