"""Which deliveries a list shows, as a value that can be frozen: what a bulk action touches and an export writes.

Everything here works in windows of ids, so that no statement is long however many millions of rows there are and however
few of them match.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from events.models import EventDelivery

WINDOW_ROWS = 20_000  # rows of the merchant that one statement looks at
ZERO_ID, LAST_ID = UUID(int=0), UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """What a row must be. Empty means any. `since` and `before` bound the ids: a period (`identifiers.first_id_at`)."""

    merchant_id: int | None = None
    statuses: tuple[str, ...] = ()
    reason: str | None = None
    integration_id: int | None = None
    definition_id: int | None = None
    portal: str | None = None
    is_test: bool | None = None
    customer_ref: str | None = None
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
            "customer_ref": self.customer_ref,
            "id__gte": self.since,
            "id__lt": self.before,
        }
        rows = EventDelivery.objects.filter(**{name: value for name, value in equal.items() if value is not None})
        if self.statuses:
            rows = rows.filter(status__in=self.statuses)
        return rows.filter(search_condition(self.search)).order_by()

    def of(self, merchant_id: int) -> DeliveryFilter:
        """Return the same filter for one merchant alone."""
        return replace(self, merchant_id=merchant_id)

    def frozen(self) -> dict[str, Any]:
        """Return it as JSON, without what is empty."""
        kept = {name: value for name, value in asdict(self).items() if value not in (None, "", ())}
        return {name: str(value) if isinstance(value, UUID) else value for name, value in kept.items()}

    @classmethod
    def thawed(cls, values: dict[str, Any]) -> DeliveryFilter:
        """Return what `frozen` froze. Raises ValueError for a field that this version does not know: it would match more."""
        known = {field.name for field in fields(cls)}
        if unknown := set(values) - known:
            raise ValueError(f"unknown parts of a filter: {', '.join(sorted(unknown))}")
        found = dict(values)
        found["statuses"] = tuple(found.get("statuses", ()))
        for name in ("since", "before"):
            found[name] = UUID(found[name]) if name in found else None
        return cls(**found)


def search_condition(term: str) -> Q:
    """Return what a search means: the whole delivery id, email or customer ID. Exact values only, never a fragment."""
    term = term.strip()
    if not term:
        return Q()
    try:
        return Q(pk=uuid.UUID(term))
    except ValueError:
        named = Q(recipient__customer_id=term)
        for email in {term, term.lower()}:
            named |= Q(recipient__email=email)
        return named


# --- Windows -------------------------------------------------------------------------------------------------------------
def window_end(merchant_id: int, after: UUID, upper: UUID) -> UUID:
    """Return the id behind which the next window begins: by the index alone, whatever the filter."""
    rows = EventDelivery.objects.filter(merchant=merchant_id, id__gt=after, id__lte=upper).order_by("id")
    ahead = rows.values_list("id", flat=True)[WINDOW_ROWS - 1 : WINDOW_ROWS]
    return next(iter(ahead), upper)


def window_start(merchant_id: int, before: UUID, lower: UUID) -> UUID:
    """Return the id at which the window that ends before that id begins."""
    rows = EventDelivery.objects.filter(merchant=merchant_id, id__lt=before, id__gte=lower).order_by("-id")
    behind = rows.values_list("id", flat=True)[WINDOW_ROWS - 1 : WINDOW_ROWS]
    return next(iter(behind), lower)


@dataclass(frozen=True, slots=True)
class Page:
    """The next ids that match, the cursor behind them, and whether there is nothing behind that."""

    ids: Sequence[UUID]
    cursor: UUID
    is_last: bool


def next_page(wanted: DeliveryFilter, rows: QuerySet[EventDelivery], cursor: UUID, upper: UUID, limit: int) -> Page:
    """Return up to `limit` ids of `rows` behind the cursor, of one window, oldest first."""
    assert wanted.merchant_id is not None
    end = window_end(wanted.merchant_id, cursor, upper)
    found = rows.filter(merchant=wanted.merchant_id, id__gt=cursor, id__lte=end).order_by("id")
    ids = list(found.values_list("id", flat=True)[:limit])
    if len(ids) == limit:
        return Page(ids, ids[-1], ids[-1] >= upper)
    return Page(ids, end, end >= upper)


@dataclass(frozen=True, slots=True)
class Counted:
    """How many rows match, and whether there are more: they were not counted to the end."""

    number: int
    is_more: bool = False


def count(rows: QuerySet[EventDelivery], merchant_id: int, lower: UUID, upper: UUID, limit: int, seconds: float) -> Counted:
    """Count the rows of one merchant between two ids, both included, up to a limit and for so long; the newest first."""
    deadline, number, edge = time.monotonic() + seconds, 0, UUID(int=min(upper.int + 1, LAST_ID.int))
    while edge > lower:
        start = window_start(merchant_id, edge, lower)
        window = rows.filter(merchant=merchant_id, id__gte=start, id__lt=edge).order_by()
        number += window[: limit + 1 - number].count()
        edge = start
        if number > limit:
            return Counted(limit, True)
        if edge > lower and time.monotonic() > deadline:
            return Counted(number, True)
    return Counted(number)


def bounds(merchant_id: int, wanted: DeliveryFilter) -> tuple[UUID, UUID] | None:
    """Return the merchant's oldest and newest id within the filter's period; None where there is no row."""
    rows = replace(DeliveryFilter(merchant_id), since=wanted.since, before=wanted.before).rows()
    oldest = rows.order_by("id").values_list("id", flat=True).first()
    newest = rows.order_by("-id").values_list("id", flat=True).first()
    return (oldest, newest) if oldest and newest else None


def newest_first(wanted: DeliveryFilter, rows: QuerySet[EventDelivery], size: int) -> Iterator[list[EventDelivery]]:
    """Yield all matching rows of one merchant in pages, newest first, as `rows` loads them."""
    assert wanted.merchant_id is not None
    ends = bounds(wanted.merchant_id, wanted)
    if ends is None:
        return
    lower, edge = ends[0], UUID(int=min(ends[1].int + 1, LAST_ID.int))
    while edge > lower:
        start = window_start(wanted.merchant_id, edge, lower)
        page = list(rows.filter(merchant=wanted.merchant_id, id__gte=start, id__lt=edge).order_by("-id")[:size])
        edge = page[-1].pk if len(page) == size else start
        if page:
            yield page
