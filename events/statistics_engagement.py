"""Counting what came back: opens, clicks and the rest, by the quarter of an hour in which they happened.

Doors and callbacks only insert rows. Every few seconds what is new is counted into the statistics, in the order of the rows:
of people's opens of a delivery the first to be counted is its *unique* one. Clicks on two links of one customer within a
second are a scanner's and marked as such just before. A row is counted once, under the frontier's lock, and the row says so:
a reading is what was counted and the rows that were not yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.utils import timezone

from events import machines, statistics
from events.models import Engagement
from events.sql import id_list, moment
from events.states import EngagementKind

LINK = "link"  # the source of what a tracked link of ours tells; a provider judges by itself
MACHINE, FIRST = "_machine", "_first"
FIGURES = tuple(f"{kind}{end}" for kind in EngagementKind.values for end in ("", MACHINE, FIRST))
COUNTED_AT_ONCE = 2000
BUCKETS_PER_STATEMENT = 500
RIPE = 2 * machines.BURST  # younger ones wait: a click on another link may yet come
COLUMNS = ("pk", "delivery", "kind", "occurred_at", "source", "is_machine", "delivery__is_test")
OF_DELIVERY = ("delivery__definition", "delivery__integration", "delivery__merchant", "delivery__customer_ref")
ADD = """
    {into}
    VALUES {rows}
    ON CONFLICT (starts_at, definition_id, figure, reason) DO UPDATE SET kept = events_statbucket.kept + excluded.kept
"""
ADD_ROW = "(%s, %s, %s, %s, %s, '', %s, 0)"
MOVE = """
    {into}
    SELECT definition_id, integration_id, merchant_id, starts_at, figure, '', 0, COUNT(*) FROM ({figures}) AS figures
    GROUP BY definition_id, integration_id, merchant_id, starts_at, figure
    {then} RETURNING starts_at
"""
FIGURES_OF_ROWS = """
    SELECT d.definition_id, d.integration_id, d.merchant_id, {quarter} AS starts_at,
           CASE WHEN e.is_machine THEN e.kind || '_machine' ELSE e.kind END AS figure
    FROM events_engagement e JOIN events_eventdelivery d ON d.id = e.delivery_id
    WHERE {these} AND e.is_counted AND NOT d.is_test
    UNION ALL
    SELECT d.definition_id, d.integration_id, d.merchant_id, {quarter} AS starts_at, e.kind || '_first' AS figure
    FROM events_engagement e JOIN events_eventdelivery d ON d.id = e.delivery_id
    WHERE {these} AND e.is_counted AND e.is_first AND NOT d.is_test
"""
# What came back and is not counted yet, for readings. A person's first of its kind is the earliest of those rows, where none is
# counted. `place` is the span of a row, `key` further columns, `scope` which deliveries. Crossed, so that SQLite begins with
# those few rows: it would rather begin with all deliveries in the scope.
NOT_COUNTED = """
    SELECT {place}, e.kind || CASE WHEN e.is_machine THEN '_machine' ELSE '' END, COUNT(*){key}
    FROM events_engagement e CROSS JOIN events_eventdelivery d
    WHERE d.id = e.delivery_id AND NOT e.is_counted AND e.occurred_at >= {moment} AND e.occurred_at < {moment}
      AND NOT d.is_test {scope} GROUP BY 1, 2{groups}
    UNION ALL
    SELECT {place}, e.kind || '_first', COUNT(*){key}
    FROM events_engagement e CROSS JOIN events_eventdelivery d
    WHERE d.id = e.delivery_id AND NOT e.is_counted AND NOT e.is_machine
      AND e.occurred_at >= {moment} AND e.occurred_at < {moment}
      AND NOT d.is_test {scope} AND NOT EXISTS (
        SELECT 1 FROM events_engagement o WHERE o.delivery_id = e.delivery_id AND o.kind = e.kind
        AND (o.is_first OR (o.id < e.id AND NOT o.is_machine AND NOT o.is_counted))) GROUP BY 1, 2{groups}
"""
POSTGRESQL_QUARTER = "to_timestamp(floor(extract(epoch FROM e.occurred_at) / 900) * 900)"
SQLITE_QUARTER = "datetime(CAST(strftime('%%s', e.occurred_at) AS INTEGER) / 900 * 900, 'unixepoch')"


class Row(NamedTuple):
    """An engagement that is to be counted, with what must be known of its delivery."""

    key: int
    delivery: UUID
    kind: str
    at: datetime
    source: str
    is_machine: bool
    is_test: bool
    definition: int
    integration: int
    merchant: int
    customer: str


class Place(NamedTuple):
    """Where something is counted."""

    definition: int
    integration: int
    merchant: int
    starts_at: datetime
    figure: str


def quarter_sql() -> str:
    """Return the quarter of an hour in which an engagement `e` happened, as this database says it."""
    return POSTGRESQL_QUARTER if connection.vendor == "postgresql" else SQLITE_QUARTER


def count(now: datetime | None = None, most: int = COUNTED_AT_ONCE) -> int:
    """Count what has come back, up to `most` rows, in one transaction. Returns how many."""
    until = (now or timezone.now()) - RIPE
    if not Engagement.objects.filter(is_counted=False, occurred_at__lte=until).exists():
        return 0
    with statistics.frontier():
        rows = _rows(Engagement.objects.filter(is_counted=False, occurred_at__lte=until).order_by("pk")[:most])
        _count(rows)
    return len(rows)


def count_of(deliveries: Collection[UUID]) -> None:
    """Count what came back about these deliveries, however lately. Called under the frontier's lock, before they go."""
    _count(_rows(Engagement.objects.filter(is_counted=False, delivery__in=deliveries).order_by("pk")))


def count_gone(deliveries: Collection[UUID]) -> set[datetime]:
    """Move what came back about these deliveries to what is gone. Under the frontier's lock. Returns the quarters."""
    count_of(deliveries)
    these, parameter = id_list([str(key) for key in deliveries])
    figures = FIGURES_OF_ROWS.format(quarter=quarter_sql(), these=f"e.delivery_id {these}")
    sql = MOVE.format(into=statistics.INTO_BUCKETS, then=statistics.MOVE_TO_GONE, figures=figures)
    with connection.cursor() as cursor:
        cursor.execute(sql, [parameter, parameter])
        return {statistics.aware(found) for (found,) in cursor.fetchall()}


def _rows(found: Any) -> list[Row]:
    """Return engagements with what is needed of their deliveries."""
    return [Row(*row) for row in found.values_list(*COLUMNS, *OF_DELIVERY)]


def _count(rows: Sequence[Row]) -> None:
    """Judge, count and mark these rows, and sum up their quarters."""
    if not rows:
        return
    scanned = _mark_scanners(rows)
    judged = [row._replace(is_machine=row.is_machine or row.key in scanned) for row in rows]
    firsts = _firsts(judged)
    Engagement.objects.filter(pk__in=[row.key for row in rows if row.key not in firsts]).update(is_counted=True)
    Engagement.objects.filter(pk__in=firsts).update(is_counted=True, is_first=True)
    counts = Counter(place for row in judged if not row.is_test for place in _places(row, row.key in firsts))
    _add(counts)
    for starts_at in sorted({place.starts_at for place in counts}):
        statistics.sum_up(starts_at)


def _mark_scanners(rows: Sequence[Row]) -> set[int]:
    """Mark clicks on links of ours that follow each other more quickly than a person's, and return them."""
    clicks = [row for row in rows if row.kind == EngagementKind.CLICK and row.source == LINK and not row.is_machine]
    found = machines.bursts(machines.Clicked(row.key, (row.integration, row.customer), row.delivery, row.at) for row in clicks)
    if found:
        Engagement.objects.filter(pk__in=found).update(is_machine=True)
    return found


def _firsts(rows: Sequence[Row]) -> set[int]:
    """Return the keys of rows that are a person's first of their kind about their delivery."""
    people = [row for row in rows if not row.is_machine]
    known = set(
        Engagement.objects.filter(delivery__in={row.delivery for row in people}, is_first=True).values_list("delivery", "kind")
    )
    firsts: dict[tuple[UUID, str], int] = {}
    for row in people:
        if (row.delivery, row.kind) not in known:
            firsts.setdefault((row.delivery, row.kind), row.key)
    return set(firsts.values())


def _places(row: Row, is_first: bool) -> Iterator[Place]:
    """Yield where a row counts."""
    where = (row.definition, row.integration, row.merchant, statistics.quarter_of(row.at))
    yield Place(*where, f"{row.kind}{MACHINE}" if row.is_machine else row.kind)
    if is_first:
        yield Place(*where, f"{row.kind}{FIRST}")


def _add(counts: Counter[Place]) -> None:
    """Add counts to their buckets."""
    places = sorted(counts)
    for start in range(0, len(places), BUCKETS_PER_STATEMENT):
        part = places[start : start + BUCKETS_PER_STATEMENT]
        values: list[Any] = []
        for place in part:
            values += [place.definition, place.integration, place.merchant, moment(place.starts_at), place.figure, counts[place]]
        with connection.cursor() as cursor:
            cursor.execute(ADD.format(into=statistics.INTO_BUCKETS, rows=", ".join([ADD_ROW] * len(part))), values)
