"""A host that tests register: a handful of customers per merchant, kept in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from events.host import Consent, ConsentNews, Host, HostProfile

CUSTOMERS: dict[int, list[HostProfile]] = {}


def person(ref: str, **values: Any) -> HostProfile:
    """Return a customer of whom everything is known, unless said otherwise."""
    recipient = {"customer_id": f"id-{ref}", "email": f"{ref}@example.com", "phone": "+919876543210", "name": ref.title()}
    return HostProfile(ref, {key: value for key, value in (recipient | values).items() if value is not None})


class FakeHost(Host):
    """Answers from `CUSTOMERS`."""

    def search_customers(self, merchant_id: int, query: str, limit: int = 20) -> Sequence[HostProfile]:
        found = CUSTOMERS.get(merchant_id, [])
        return [row for row in found if any(str(value).startswith(query) for value in row.recipient.values())][:limit]

    def profiles(
        self, merchant_id: int, refs: Collection[str] | None = None, after: str = "", limit: int = 500
    ) -> Sequence[HostProfile]:
        return [row for row in CUSTOMERS.get(merchant_id, []) if refs is None or row.ref in refs][:limit]


class KnowingHost(Host):
    """Knows of some activities that they are overtaken, and notes what it is asked."""

    def __init__(self) -> None:
        self.reasons: dict[str, str | None] = {}
        self.asked: list[tuple[str, set[str]]] = []
        self.broken = False

    def still_relevant(self, trigger: str, keys: Collection[str]) -> Mapping[str, str | None]:
        if self.broken:
            raise RuntimeError("the host is away")
        self.asked.append((trigger, set(keys)))
        return {key: self.reasons.get(key) for key in keys}


class ConsentHost(Host):
    """Whose customers called `no-...` said no; it keeps what comes back about these, and notes everything."""

    asked: ClassVar[list[tuple[set[str], str]]] = []
    told: ClassVar[list[ConsentNews]] = []
    lately: ClassVar[dict[int, set[str]]] = {}

    def consents(self, merchant_id: int, refs: Collection[str], channel: str = "") -> Mapping[str, str]:
        self.asked.append((set(refs), channel))
        return {ref: Consent.UNSUBSCRIBED for ref in refs if ref.startswith("no-")}

    def unsubscribed_since(self, since: datetime) -> Mapping[int, Collection[str]]:
        return self.lately

    def on_consent_change(self, merchant_id: int, news: Sequence[ConsentNews]) -> Collection[str]:
        self.told.extend(news)
        return {item.ref for item in news if item.ref.startswith("no-")}
