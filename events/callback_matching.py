"""Which delivery something that a provider tells is about: the one it names, or the only one that fits its customer and time."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from events.host import get_host
from events.lookups import over, sent_to
from events.models import EventDelivery
from events.sql import in_parts
from events.states import State
from integrations.models import Integration
from integrations.providers.callbacks import CallbackItem

WINDOW = timedelta(days=7)  # between what was sent and what came back, where only the customer is known
SLACK = timedelta(minutes=5)  # clocks differ
KEYS_AT_A_TIME = 500
PHONE = re.compile(r"\+?[0-9]{7,15}")


@dataclass(frozen=True, slots=True)
class Sent:
    """A delivery that an item may be about."""

    pk: uuid.UUID
    customer_ref: str
    event_name: str
    sent_at: datetime | None
    people: frozenset[str]


class Matcher:
    """Finds the deliveries of many items in a few statements."""

    def __init__(self, integration: Integration, items: Sequence[CallbackItem]) -> None:
        """Look up what all of these name."""
        self.rows = EventDelivery.objects.filter(integration=integration).order_by()
        self.merchant_id = integration.merchant_id
        self.names = {name.lower() for name in integration.definitions.values_list("name", flat=True) if name}
        self.by_id = self._named({key for item in items if (key := _uuid(item.delivery_id))})
        others = [item for item in items if _uuid(item.delivery_id) not in self.by_id]
        self.by_person = self._of_people({person for item in others for person in item.people})

    def delivery_of(self, item: CallbackItem) -> Sent | None:
        """Return the delivery that an item is about, where there is no doubt."""
        key = _uuid(item.delivery_id)
        if key is not None:  # one of another integration, or none at all, is not guessed at
            return self.by_id.get(key)
        if item.is_foreign:
            return None
        at = item.occurred_at or timezone.now()
        fits = {sent.pk: sent for sent in self._sent_to(item) if sent.sent_at and at - WINDOW <= sent.sent_at <= at + SLACK}
        left, campaign = list(fits.values()), item.campaign.lower()
        if campaign in self.names | {sent.event_name.lower() for sent in left}:  # named after an event: it is about that one
            left = [sent for sent in left if sent.event_name.lower() == campaign]
        return left[0] if len(left) == 1 else None

    def customer_of(self, item: CallbackItem) -> str:
        """Return whose item this is, where all that was ever sent to them says the same."""
        refs = {sent.customer_ref for sent in self._sent_to(item)}
        return refs.pop() if len(refs) == 1 else ""

    def _sent_to(self, item: CallbackItem) -> list[Sent]:
        """Return what was sent to whom an item names."""
        return [sent for person in item.people for sent in self.by_person.get(person, ())]

    def _named(self, keys: Collection[uuid.UUID]) -> Mapping[uuid.UUID, Sent]:
        """Return the deliveries with these ids."""
        found: dict[uuid.UUID, Sent] = {}
        for part in in_parts(map(str, keys), KEYS_AT_A_TIME):
            found |= {sent.pk: sent for sent in _read(self.rows.filter(pk__in=part))}
        return found

    def _of_people(self, people: Collection[str]) -> Mapping[str, list[Sent]]:
        """Return what was sent to people with these emails, customer ids or phones."""
        found: dict[str, list[Sent]] = {}
        sent = over(self.rows.filter(status=State.SENT, is_test=False))
        for part in in_parts(people, KEYS_AT_A_TIME):
            phones = get_host().refs_of_phones(self.merchant_id, [person for person in part if PHONE.fullmatch(person)])
            lower, upper = [person.lower() for person in part], [person.upper() for person in part]
            ways = sent_to(lower, {*part, *lower, *upper})
            rows = [row for way in ways for row in _read(sent.filter(way))]
            if refs := {ref for owners in phones.values() for ref in owners}:
                rows += _read(
                    self.rows.filter(merchant=self.merchant_id, customer_ref__in=refs, status=State.SENT, is_test=False)
                )
            whose: dict[str, dict[uuid.UUID, Sent]] = {}
            of_ref: dict[str, dict[uuid.UUID, Sent]] = {}
            for row in rows:
                of_ref.setdefault(row.customer_ref, {})[row.pk] = row
                for name in {*row.people, *(person.lower() for person in row.people)}:
                    whose.setdefault(name, {})[row.pk] = row
            for person in part:  # as it is written, if anybody is called so
                called = whose.get(person) or whose.get(person.lower()) or {}
                theirs = [sent for ref in phones.get(person, ()) for sent in of_ref.get(ref, {}).items()]
                found[person] = list((called | dict(theirs)).values())
        return found


def _read(rows: QuerySet[EventDelivery]) -> Iterable[Sent]:
    """Return deliveries as far as matching needs them."""
    columns = ("pk", "customer_ref", "event_name", "sent_at", "recipient")
    for pk, ref, name, sent_at, recipient in rows.values_list(*columns):
        person = recipient if isinstance(recipient, dict) else {}
        people = {str(person[key]) for key in ("customer_id", "phone") if person.get(key)}
        people |= {address for address in [str(person.get("email") or "").lower()] if address}
        yield Sent(pk, ref, name, sent_at, frozenset(people))  # never the host's own reference: it may be another's customer ID


def _uuid(text: str) -> uuid.UUID | None:
    """Return the id in a text, or None."""
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        return None
