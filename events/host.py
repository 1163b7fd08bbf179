"""The one door through which the outbox asks the application that owns customers and wallets.

`settings.NECTORBRIDGE_HOST` names a subclass of `Host`. Every method is set-based: one question, one answer for many
customers. Without a host there is no search, no customer to push and nothing that changes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string


class Consent(StrEnum):
    """What a customer said about being written to."""

    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"
    UNKNOWN = "unknown"


CHANNELS = ("email", "sms", "whatsapp")


def strongest(answers: Iterable[str]) -> str:
    """Return what several channels' answers mean together: one yes is a yes, otherwise one no is a no."""
    said = set(answers)
    return next((answer for answer in (Consent.SUBSCRIBED, Consent.UNSUBSCRIBED) if answer in said), Consent.UNKNOWN)


@dataclass(frozen=True, slots=True)
class ConsentNews:
    """What a provider says a customer said. `channel` empty: on all. `occurred_at` is aware, `source` says who says it."""

    ref: str
    channel: str
    answer: str
    source: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class HostProfile:
    """A customer as the host knows it now.

    `ref` is the host's own reference, `recipient` has customer_id, email, phone, name; `attributes` are named as in
    `integrations.providers.base.LOYALTY_ATTRIBUTES`, with those left out that are not known. Times are aware.
    """

    ref: str
    recipient: Mapping[str, Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exposure:
    """A customer from whose actions an event's worth is read: those after `since` and until `until` count, both aware.

    `key` is that of the activity by which they were reached, or would have been. Where it reminded of coins that are about to
    expire, `coins` is how many, `ends_at` until when.
    """

    ref: str
    since: datetime
    until: datetime
    key: str = ""
    coins: int = 0
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a customer did within an exposure's time. Money is in the merchant's currency, less what was given back of it."""

    has_ordered: bool = False
    revenue: Decimal = Decimal(0)
    has_used_coupon: bool = False
    has_opted_out: bool = False
    has_completed_referral: bool = False
    has_written_review: bool = False
    coins_spent: int = 0  # of those that the reminder named, before they expired


class Host:
    """What a host answers. These answers are those of a host that owns nobody."""

    def search_customers(self, merchant_id: int, query: str, limit: int = 20) -> Sequence[HostProfile]:
        """Return customers whose email, phone, customer ID or name begins with the query; an exact match comes first."""
        return []

    def count_customers(self, merchant_id: int) -> int:
        """Return how many customers the merchant has."""
        return 0

    def profiles(
        self, merchant_id: int, refs: Collection[str] | None = None, after: str = "", limit: int = 500
    ) -> Sequence[HostProfile]:
        """Return these customers; without `refs` the next `limit` behind the reference `after`, in a stable order.

        A reference of somebody who was merged into another customer names that one: the profile has the reference of today.
        """
        return []

    def refs_of_phones(self, merchant_id: int, phones: Collection[str]) -> Mapping[str, Collection[str]]:
        """Return the references of whom these phone numbers belong to, as far as this host knows; a number may lack its plus."""
        return {}

    def resolve_refs(self, merchant_id: int, refs: Collection[str]) -> Mapping[str, str]:
        """Return under which reference each of these is known now: another one where two customers were made one."""
        return {ref: ref for ref in refs}

    def resolve_ref(self, ref: str) -> str:
        """Return under which reference one customer is known now, of whichever merchant they are."""
        return ref

    def erase(self, merchant_id: int, refs: Collection[str]) -> Mapping[str, int]:
        """Forget these people, here and in the outbox (`events.personal.erase`). Returns how many rows of which kind."""
        return {}

    def changed_since(self, merchant_id: int, since: datetime, limit: int = 5000) -> tuple[Sequence[str], datetime | None]:
        """Return who changed at or after `since`, oldest change first, and until when this answer reaches (None: until now).

        A change is one of a person's data or of a loyalty attribute. Asking again from that moment on misses nobody.
        A change has its time before its transaction ends: who was answered None asks on from a little before the question.
        """
        return [], None

    def still_relevant(self, trigger: str, keys: Collection[str]) -> Mapping[str, str | None]:
        """Tell, right before these activities are sent, which are no longer worth it: a reason in words, or None.

        Asked only for triggers that may be overtaken (`events.triggers.OVERTAKEN`). `keys` are the activities' own; one that
        the answer leaves out is relevant.
        """
        return {}

    def consents(self, merchant_id: int, refs: Collection[str], channel: str = "") -> Mapping[str, str]:
        """Return what these customers said about being written to, by reference, as values of `Consent`.

        `channel` is `email`, `sms` or `whatsapp`; empty where the provider's own journey chooses it: then somebody who agreed
        to any channel counts as subscribed. Whoever is left out is unknown, and unknown is no refusal.
        """
        return {}

    def unsubscribed_since(self, since: datetime) -> Mapping[int, Collection[str]]:
        """Return who unsubscribed from anything at or after `since`, by merchant: what waits for them is looked at once more.

        What is recorded while somebody unsubscribes may not know of it yet.
        """
        return {}

    def on_consent_change(self, merchant_id: int, news: Sequence[ConsentNews]) -> Collection[str]:
        """Keep what came back from a provider about its customers' consent. Returns the references of whom this host keeps it.

        What is older than what is known already changes nothing.
        """
        return set()

    def outcomes(self, merchant_id: int, trigger: str, exposures: Sequence[Exposure]) -> Mapping[str, Outcome]:
        """Return what these customers did, each within their own time, by reference; at most a thousand are asked about at once.

        Whoever the answer leaves out is nobody of whom the host could know: they are counted in nowhere. Coins that were about
        to expire are answered for the trigger that reminds of them, the rest for any.
        """
        return {}

    def merchants_changed_since(self, since: datetime) -> Collection[int]:
        """Return the merchants of whom any customer changed at or after `since`."""
        return set()


@cache
def _load(name: str) -> Host:
    """Return the host of this name."""
    host: Host = import_string(name)()
    return host


def get_host() -> Host:
    """Return the project's host, or one that owns nobody."""
    name = getattr(settings, "NECTORBRIDGE_HOST", "")
    return _load(name) if name else Host()
