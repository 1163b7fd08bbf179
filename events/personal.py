"""One person in the outbox: all that is stored about them, and how it is forgotten.

A person is known here by the host's references, of which there may be several: of who was merged, and of the friend they were
before they became a customer. What is forgotten stays as an anonymous count: who, what and where to is gone, while state,
reason, event and times remain, so that the statistics say what they said. See docs/personal-data.md.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Model, QuerySet

from events.lookups import of_customer
from events.mentions import Words
from events.models import Contact, DeliveryAttempt, Engagement, EventDelivery, Suppression
from events.sql import in_parts

ALIAS = "erased:"  # what a reference begins with that names nobody any more
PAGE = 200
WORDS_FROM = 5_000  # deliveries whose recipients are read for former addresses
LEFT_OUT = ("merchant", "call", "lease_owner", "lease_until", "lost_claims")  # of a delivery that is exported
NAMING = ("email", "phone", "customer_id")


class Busy(Exception):
    """Something of theirs is on its way to a provider at this very moment; a minute later it is over."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who is to be forgotten.

    `refs` are all references of theirs, `related` those of people whose events may name them (who referred them, say).
    `words` are values that are theirs alone, for what has no reference. `alias` is their deliveries' reference from then on.
    """

    merchant_id: int
    refs: tuple[str, ...]
    related: tuple[str, ...] = ()
    words: Words = field(default_factory=lambda: Words(()))
    alias: str = field(default_factory=lambda: f"{ALIAS}{uuid.uuid4().hex}")


@dataclass(frozen=True, slots=True)
class Part:
    """What one part of the work did: how many rows of which kind, and where the next begins (None: the step is over)."""

    counts: Counter[str]
    cursor: str | None


Step = Callable[[Person, str], Part]  # from this place on: "" is the beginning


# --- What is stored --------------------------------------------------------------------------------------------------------
def export(merchant_id: int, refs: Collection[str]) -> dict[str, Iterator[dict[str, Any]]]:
    """Return all that the outbox has about a person, by kind: each is read as it is iterated, a page at a time."""
    return {
        "deliveries": _deliveries(merchant_id, refs),
        "contacts": _plain(Contact.objects.filter(integration__merchant=merchant_id, customer_ref__in=refs), "integration"),
        "suppressions": _plain(Suppression.objects.filter(merchant=merchant_id, customer_ref__in=refs)),
    }


def _deliveries(merchant_id: int, refs: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield deliveries with tries and engagements, oldest first.

    A try has its request and answer where its call carried nothing else: other calls hold other people's data.
    """
    rows = of_customer(EventDelivery.objects.select_related("integration"), merchant_id, *refs).order_by("id")
    for page in pages(rows):
        keys = [row.pk for row in page]
        tries = _by_delivery(DeliveryAttempt.objects.filter(delivery__in=keys).select_related("call").order_by("number"))
        came = _by_delivery(Engagement.objects.filter(delivery__in=keys).order_by("id"))
        for row in page:
            yield {
                **plain(row, LEFT_OUT),
                "provider": row.integration.provider,
                "attempts": [_attempt(item) for item in tries.get(row.pk, ())],
                "engagements": [plain(item, ("delivery", "is_counted", "is_first")) for item in came.get(row.pk, ())],
            }


def _attempt(row: DeliveryAttempt) -> dict[str, Any]:
    """Return a try, with what was said where it was about this delivery alone."""
    found = plain(row, ("delivery", "call"))
    if row.call is not None and row.call.records == 1:
        found |= {"request": row.call.request, "response": row.call.response}
    return found


def _by_delivery(rows: QuerySet[Any]) -> dict[uuid.UUID, list[Any]]:
    """Return rows by the delivery they belong to."""
    found: dict[uuid.UUID, list[Any]] = {}
    for row in rows:
        found.setdefault(row.delivery_id, []).append(row)
    return found


def pages(rows: QuerySet[Any]) -> Iterator[Sequence[Any]]:
    """Yield rows, which are ordered by their key, in lists of a bounded size."""
    page = list(rows[:PAGE])
    while page:
        yield page
        page = list(rows.filter(pk__gt=page[-1].pk)[:PAGE])


def _plain(rows: QuerySet[Any], *related: str) -> Iterator[dict[str, Any]]:
    """Yield rows as JSON has them; of related ones their name."""
    for page in pages(rows.select_related(*related).order_by("pk")):
        for row in page:
            yield plain(row) | {name: str(getattr(row, name)) for name in related}


def plain(row: Model, left_out: Collection[str] = ()) -> dict[str, Any]:
    """Return a row's columns by name."""
    return {field.name: getattr(row, field.attname) for field in row._meta.concrete_fields if field.name not in left_out}


# --- Forgetting it -----------------------------------------------------------------------------------------------------------
def words_of(merchant_id: int, refs: Collection[str]) -> dict[str, set[str]]:
    """Return what deliveries and contacts of these references say of the person, by name: also what was true formerly."""
    rows = (
        EventDelivery.objects.filter(merchant=merchant_id, customer_ref__in=refs).order_by().values_list("recipient", flat=True)
    )
    known = Contact.objects.filter(integration__merchant=merchant_id, customer_ref__in=refs).values_list("recipient", flat=True)
    found: dict[str, set[str]] = {name: set() for name in (*NAMING, "name")}
    for recipients in (rows[:WORDS_FROM], known):
        for recipient in recipients:
            for name in found:
                if isinstance(recipient, Mapping) and (value := str(recipient.get(name) or "").strip()):
                    found[name].add(value)
    return found


def erase(merchant_id: int, refs: Collection[str], words: Words | None = None) -> Counter[str]:
    """Forget a person: for hosts that have no ledger of ours. Returns how many rows of which kind (see `events.erasing`).

    Safe to stop at any moment and to repeat. `words` are values that are theirs alone; without them, what the outbox knows
    of them. Raises Busy where something of theirs is on its way; nothing is changed then.
    """
    if words is None:
        found = words_of(merchant_id, refs)
        words = Words({value for name in NAMING for value in found[name]}, found["name"])
    return forget(Person(merchant_id, tuple(dict.fromkeys(refs)), words=words))


def forget(person: Person) -> Counter[str]:
    """Do every step for a person, one short transaction after another. Returns rows by kind; raises Busy."""
    from events.erasing import STEPS, refuse_busy

    refuse_busy(person)
    counts: Counter[str] = Counter()
    for step in STEPS:
        cursor: str | None = ""
        while cursor is not None:
            part = step(person, cursor)
            counts, cursor = counts + part.counts, part.cursor
    return counts


def of_refs(rows: QuerySet[Any], person: Person) -> Iterator[QuerySet[Any]]:
    """Yield rows of this person, some references at a time."""
    for refs in in_parts(person.refs, PAGE):
        yield rows.filter(customer_ref__in=refs)
