"""Proving the statistics: every figure that was counted, against the rows that are still kept, quarter by quarter.

What a purge has taken is only in the statistics and cannot be proved any more. A quarter that is noted to be counted anew is
left out: it is read from its rows anyway. Each look holds the frontier's lock and is one short transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import connection
from django.db.models import F, Sum

from events import statistics
from events.identifiers import EPOCH, first_id_at
from events.models import EventDefinition, EventDelivery, StatBucket, StatFrontier, StatRecount, StatTotal
from events.sql import db_id
from events.states import State
from events.statistics import EVERYBODY, HANDED_OVER, HANDOVER, QUARTER, quarter_of, recorded_at, within
from events.statistics_engagement import FIGURES, FIGURES_OF_ROWS, quarter_sql

STATES = (*State.values, HANDOVER)
COUNTED = """
    SELECT definition_id, status, reason, COUNT(*) FROM events_eventdelivery
    WHERE id >= %s AND id < %s AND NOT is_test GROUP BY 1, 2, 3
    UNION ALL
    SELECT d.definition_id, '{handover}', {within}, COUNT(*) FROM events_eventdelivery d
    WHERE d.id >= %s AND d.id < %s AND {handed_over} GROUP BY 1, 3
"""
CAME_BACK = "SELECT starts_at, definition_id, figure, COUNT(*) FROM ({figures}) AS figures GROUP BY 1, 2, 3"
ALL = "1 = 1"
KEY = ("definition", "figure", "reason")


class Figure(NamedTuple):
    """One number of the statistics: of an event, in a quarter of an hour."""

    starts_at: datetime
    definition: int
    figure: str
    reason: str = ""


class Difference(NamedTuple):
    """A number that is not what the rows say."""

    where: Figure
    counted: int
    rows: int


def prove(repair: bool = False) -> Iterator[tuple[datetime | None, list[Difference]]]:
    """Look at quarter after quarter, and at everything that came back (quarter None); yield what differed there.

    With `repair` the statistics say afterwards what the rows say. What is added up for merchants follows its quarters.
    """
    folded_until = StatFrontier.objects.filter(pk=StatFrontier.ONLY).values_list("folded_until", flat=True).first()
    quarter: datetime | None = EPOCH
    while folded_until and quarter is not None:
        quarter = _next(quarter, folded_until)
        if quarter is not None:
            yield quarter, _deliveries(quarter, repair)
            quarter += QUARTER
    yield None, _engagements(repair)


def _next(since: datetime, until: datetime) -> datetime | None:
    """Return the next quarter with rows or figures of deliveries in it, None where there is none."""
    rows = EventDelivery.objects.filter(id__gte=first_id_at(since), id__lt=first_id_at(until)).order_by("id")
    first = rows.values_list("id", flat=True).first()
    buckets = StatBucket.objects.filter(starts_at__gte=since, starts_at__lt=until, figure__in=STATES).order_by("starts_at")
    found = [quarter_of(recorded_at(first))] if first else []
    return min([*found, *buckets.values_list("starts_at", flat=True)[:1]], default=None)


def _deliveries(quarter: datetime, repair: bool) -> list[Difference]:
    """Compare a quarter's deliveries with their figures."""
    ids = [db_id(first_id_at(quarter)), db_id(first_id_at(quarter + QUARTER))]
    sql = COUNTED.format(handover=HANDOVER, within=within(), handed_over=HANDED_OVER)
    with statistics.frontier():
        with connection.cursor() as cursor:
            cursor.execute(sql, [*ids, *ids])
            rows = Counter({Figure(quarter, *key): number for *key, number in cursor.fetchall()})
        buckets = StatBucket.objects.filter(starts_at=quarter, figure__in=STATES).exclude(kept=0)
        counted = Counter({Figure(quarter, *key): number for *key, number in buckets.values_list(*KEY, "kept")})
        # Looked at last: whoever changed a row that was read above has noted the quarter in the same transaction.
        noted = StatRecount.objects.filter(starts_at=quarter).values_list("integration", flat=True)
        pending = set(_definitions_of(noted))
        found = [item for item in _differing(counted, rows) if item.where.definition not in pending]
        totals = _totals_differ(quarter)
        if repair and (found or totals):
            _repair(found, {quarter})
    return found + totals


def _engagements(repair: bool) -> list[Difference]:
    """Compare all that came back with its figures."""
    figures = FIGURES_OF_ROWS.format(quarter=quarter_sql(), these=ALL)
    with statistics.frontier():
        with connection.cursor() as cursor:
            cursor.execute(CAME_BACK.format(figures=figures), [])
            rows = Counter({Figure(statistics.aware(at), *key): number for at, *key, number in cursor.fetchall()})
        buckets = StatBucket.objects.filter(figure__in=FIGURES).exclude(kept=0)
        listed = buckets.values_list("starts_at", *KEY, "kept")
        counted = Counter({Figure(at.astimezone(UTC), *key): number for at, *key, number in listed.iterator()})
        found = _differing(counted, rows)
        if repair and found:
            _repair(found, {item.where.starts_at for item in found})
    return found


def _definitions_of(integrations: Iterable[int]) -> list[int]:
    """Return the events of these integrations."""
    return list(EventDefinition.objects.filter(integration__in=list(integrations)).values_list("pk", flat=True))


def _differing(counted: Counter[Figure], rows: Counter[Figure]) -> list[Difference]:
    """Return where two counts differ, in order."""
    both = sorted(counted.keys() | rows.keys())
    return [Difference(where, counted[where], rows[where]) for where in both if counted[where] != rows[where]]


def _totals_differ(quarter: datetime) -> list[Difference]:
    """Return where a quarter's sums over everybody are not those of its figures; they belong to no event (0)."""
    of_buckets = StatBucket.objects.filter(starts_at=quarter).exclude(figure=HANDOVER).order_by().values_list("figure")
    sums = dict(of_buckets.annotate(number=Sum(F("kept") + F("gone"))))
    totals = StatTotal.objects.filter(starts_at=quarter, scope=EVERYBODY).values_list("figure", F("kept") + F("gone"))
    added = Counter({Figure(quarter, EVERYBODY, figure): number for figure, number in totals if number})
    wanted = Counter({Figure(quarter, EVERYBODY, figure): number for figure, number in sums.items() if number})
    return _differing(added, wanted)


def _repair(found: list[Difference], quarters: set[datetime]) -> None:
    """Have the statistics say what the rows say."""
    for item in found:
        where = item.where
        key = {"starts_at": where.starts_at, "definition_id": where.definition, "figure": where.figure, "reason": where.reason}
        if not StatBucket.objects.filter(**key).update(kept=item.rows):
            of = _owner(where.definition)
            StatBucket.objects.create(**key, kept=item.rows, integration_id=of[0], merchant_id=of[1])
    for quarter in sorted(quarters):
        statistics.sum_up(quarter)


def _owner(definition: int) -> tuple[int, int]:
    """Return the integration and the merchant of an event."""
    found = EventDefinition.objects.values_list("integration", "integration__merchant").get(pk=definition)
    return int(found[0]), int(found[1])
