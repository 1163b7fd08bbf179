"""Which deliveries a list shows, as a value that can be frozen: what a bulk action touches and an export writes.

Everything here works in windows of ids, so that statements stay short however many millions of rows there are and however few
of them match.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from events.identifiers import new_id
from events.lookups import sent_to
from events.models import EventDelivery

FIRST_PARTS = 4096  # the first window is so small a part of the whole
QUICK_SECONDS, SLOW_SECONDS = 0.05, 0.2


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """What a row must be. What is left out means any; an empty portal is one that is not known.

    `since` and `before` bound the ids: a period (`identifiers.first_id_at`).
    """

    merchant_id: int | None = None
    statuses: tuple[str, ...] = ()
    reason: str | None = None
    integration_id: int | None = None
    definition_id: int | None = None
    portal: str | None = None
    is_test: bool | None = None
    customer_refs: tuple[str, ...] = ()  # of one person, who may have been known under others before
    search: str = ""
    since: UUID | None = None  # included
    before: UUID | None = None  # not included

    def rows(self) -> QuerySet[EventDelivery]:
        """Return the rows that match, in no order. Without a merchant they are those of all: for whoever scopes them."""
        equal = {
            "merchant": self.merchant_id,
            "reason": self.reason,
            "integration": self.integration_id,
            "definition": self.definition_id,
            "portal": self.portal,
            "is_test": self.is_test,
            "id__gte": self.since,
            "id__lt": self.before,
        }
        rows = EventDelivery.objects.filter(**{name: value for name, value in equal.items() if value is not None})
        if self.statuses:
            rows = rows.filter(status__in=self.statuses)
        if self.customer_refs:
            rows = rows.filter(customer_ref__in=self.customer_refs)
        return rows.filter(search_condition(self.search)).order_by()

    def of(self, merchant_id: int) -> DeliveryFilter:
        """Return the same filter for one merchant alone."""
        return replace(self, merchant_id=merchant_id)

    def frozen(self) -> dict[str, Any]:
        """Return it as JSON, without what is empty."""
        kept = {field.name: value for field in fields(self) if (value := getattr(self, field.name)) != field.default}
        return {name: str(value) if isinstance(value, UUID) else value for name, value in kept.items()}

    @classmethod
    def thawed(cls, values: dict[str, Any]) -> DeliveryFilter:
        """Return what `frozen` froze. Raises ValueError for a field that this version does not know: it would match more."""
        known, found = {field.name for field in fields(cls)}, dict(values)
        if "customer_ref" in found:  # frozen when there was one at most
            found["customer_refs"] = [found.pop("customer_ref")]
        if unknown := set(found) - known:
            raise ValueError(f"unknown parts of a filter: {', '.join(sorted(unknown))}")
        for name in ("statuses", "customer_refs"):
            found[name] = tuple(found.get(name, ()))
        for name in ("since", "before"):
            found[name] = UUID(found[name]) if name in found else None
        return cls(**found)


def search_condition(term: str) -> Q:
    """Return what a search means: the whole delivery id, email or customer ID. Exact values only, never a fragment."""
    return reduce(or_, search_arms(term), Q())


def search_arms(term: str) -> list[Q]:
    """Return the ways in which a row can be what is searched for, each with an index of its own; none: no search."""
    term = term.strip().replace("\x00", "")
    if not term:
        return []
    try:
        return [Q(pk=uuid.UUID(term))]
    except ValueError:
        return sent_to([term.lower()], [term])


# --- Windows -------------------------------------------------------------------------------------------------------------
class Walk:
    """Goes from one id to another in windows that grow while they are quick and shrink when they are slow.

    Ids grow with time, so a window is a stretch of time. Where an index knows the answer a few windows are enough; where
    none does, each stays short.
    """

    def __init__(self, lower: UUID, upper: UUID) -> None:
        """Walk between these ids, both included."""
        self.lower, self.upper = lower.int, upper.int
        self.size = max((self.upper - self.lower) // FIRST_PARTS, 1)

    def after(self, cursor: UUID) -> UUID:
        """Return the last id of the window behind the cursor."""
        return UUID(int=min(max(cursor.int, self.lower - 1) + self.size, self.upper))

    def before(self, edge: UUID) -> UUID:
        """Return the first id of the window that ends before the edge."""
        return UUID(int=max(edge.int - self.size, self.lower))

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Measure a statement about a window."""
        began = time.monotonic()
        yield
        took = time.monotonic() - began
        if took < QUICK_SECONDS:
            self.size *= 2
        elif took > SLOW_SECONDS:
            self.size = max(self.size // 2, 1)


def bounds(wanted: DeliveryFilter) -> tuple[UUID, UUID] | None:
    """Return the first and the last id that a row of the filter recorded up to now can have; None where there is no row."""
    oldest = EventDelivery.objects.order_by("id").values_list("id", flat=True).first()
    if oldest is None:
        return None
    newest = new_id()
    lower = max(oldest, wanted.since) if wanted.since else oldest
    upper = min(newest, UUID(int=max(wanted.before.int - 1, 0))) if wanted.before else newest
    return (lower, upper) if lower <= upper else None


@dataclass(frozen=True, slots=True)
class Page:
    """The next ids that match, the cursor behind them, and whether there is nothing behind that."""

    ids: Sequence[UUID]
    cursor: UUID
    is_last: bool


def next_page(rows: QuerySet[EventDelivery], cursor: UUID, walk: Walk, limit: int) -> Page:
    """Return up to `limit` ids of `rows` behind the cursor, of one window, oldest first."""
    end = walk.after(cursor)
    with walk.timed():
        found = rows.filter(id__gt=cursor, id__lte=end).order_by("id")
        ids = list(found.values_list("id", flat=True)[:limit])
    behind = ids[-1] if len(ids) == limit else end
    return Page(ids, behind, behind.int >= walk.upper)


@dataclass(frozen=True, slots=True)
class Counted:
    """How many rows match, and whether there are more: they were not counted to the end."""

    number: int
    is_more: bool = False


def count(rows: QuerySet[EventDelivery], walk: Walk, limit: int, seconds: float) -> Counted:
    """Count the rows of a walk up to a limit and for so long, the newest first."""
    deadline, number, edge = time.monotonic() + seconds, 0, UUID(int=walk.upper + 1)
    while edge.int > walk.lower:
        start = walk.before(edge)
        with walk.timed():
            number += rows.filter(id__gte=start, id__lt=edge).order_by()[: limit + 1 - number].count()
        edge = start
        if number > limit:
            return Counted(limit, True)
        if edge.int > walk.lower and time.monotonic() > deadline:
            return Counted(number, True)
    return Counted(number)


def newest_first(wanted: DeliveryFilter, rows: QuerySet[EventDelivery], size: int) -> Iterator[list[EventDelivery]]:
    """Yield all of these rows, which the filter matches, in pages, newest first, as `rows` loads them."""
    ends = bounds(wanted)
    if ends is None:
        return
    walk = Walk(*ends)
    edge = UUID(int=walk.upper + 1)
    while edge.int > walk.lower:
        start = walk.before(edge)
        with walk.timed():
            page = list(rows.filter(id__gte=start, id__lt=edge).order_by("-id")[:size])
        edge = page[-1].pk if len(page) == size else start
        if page:
            yield page
