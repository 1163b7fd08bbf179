"""Reading the statistics: sums of what is folded, rows for the rest, both of one moment.

A figure is the same before and after a fold, a recount or a purge, and while one runs: each reading is one statement, so
one snapshot, and is asked again where the frontier has moved since it was planned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, F, QuerySet, Sum

from events.identifiers import first_id_at
from events.models import EventDelivery, StatBucket, StatFrontier, StatRecount
from events.sql import db_id, moment
from events.states import State
from events.statistics import EVERYBODY, quarter_of
from events.statistics_engagement import NOT_COUNTED

STATES = ", ".join(f"'{state}'" for state in State.values)
TRIES = 5  # the frontier moves once in a quarter of an hour, or quickly only while old quarters are caught up with

FOLDED = """
    SELECT {place}, t.figure, SUM(t.kept + t.gone) FROM events_stattotal t
    WHERE t.scope IN ({scopes}) AND t.starts_at >= {moment} AND t.starts_at < {moment} GROUP BY 1, 2
"""
# What is to be counted anew is taken out of the sums, and read from its rows.
NOTED = """
    SELECT {place}, k.figure, -SUM(k.kept) FROM events_statrecount r
    JOIN events_statbucket k ON k.starts_at = r.starts_at AND k.integration_id = r.integration_id
    WHERE r.starts_at >= {moment} AND r.starts_at < {moment} AND k.figure IN ({states}) {bucket_scope} GROUP BY 1, 2
    UNION ALL
    SELECT {place}, d.status, COUNT(*) FROM events_statrecount r
    JOIN events_eventdelivery d ON d.id >= r.first_id AND d.id < r.next_id AND d.integration_id = r.integration_id
    WHERE r.starts_at >= {moment} AND r.starts_at < {moment} AND r.starts_at < {moment} AND NOT d.is_test {scope} GROUP BY 1, 2
"""
LIVE = """
    SELECT {place}, d.status, COUNT(*) FROM events_eventdelivery d
    WHERE d.id >= %s AND d.id < %s AND NOT d.is_test {scope} GROUP BY 1, 2
"""
FRONTIER = "SELECT -1, CASE WHEN folded_until = {moment} THEN 'same' ELSE 'moved' END, 0{more} FROM events_statfrontier"


@dataclass(frozen=True, slots=True)
class Span:
    """From a moment until before another, both at a quarter of an hour."""

    since: datetime
    until: datetime


@dataclass
class Statement:
    """A statement in the making, and its values in order."""

    parts: list[str]
    values: list[Any]

    def add(self, sql: str, *values: Any) -> None:
        """Add a part."""
        self.parts.append(sql)
        self.values += values


def count(spans: Sequence[Span], merchants: Sequence[int] | None) -> list[dict[str, int]]:
    """Return, for each span, the numbers of deliveries recorded in it by figure; of these merchants (None: of all).

    Tests are left out. The spans are in order, each begins where the one before it ends. Besides states there are figures
    of what came back in it (`open`, `open_first`, `open_machine`, `click` ...), whenever the delivery was recorded.
    """
    if not spans or merchants == []:
        return [{} for _span in spans]
    for _number in range(TRIES):
        frontier = StatFrontier.objects.filter(pk=StatFrontier.ONLY).values_list("folded_until", flat=True).first()
        noted = StatRecount.objects.filter(starts_at__gte=spans[0].since, starts_at__lt=spans[-1].until)
        is_noted = frontier is not None and noted.exists()
        statement = _statement(spans, merchants, frontier, is_noted)
        rows = asked(" UNION ALL ".join(statement.parts), statement.values, is_noted)
        if all(word != "moved" for place, word, _number in rows if place == -1):
            break
    found: list[dict[str, int]] = [{} for _span in spans]
    for place, figure, number in rows:
        if place >= 0:
            found[place][figure] = found[place].get(figure, 0) + int(number)
    return found


def asked(sql: str, values: Sequence[Any], is_noted: bool) -> list[Any]:
    """Return the statement's rows. PostgreSQL guesses far too much of a join by ranges, and would compile code for it."""
    if not is_noted or connection.vendor != "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0")
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def _statement(spans: Sequence[Span], merchants: Sequence[int] | None, frontier: datetime | None, is_noted: bool) -> Statement:
    """Return the statement for spans, of which the frontier passes through one at most."""
    mark = "%s::timestamptz" if connection.vendor == "postgresql" else "%s"
    chosen = ", ".join(str(int(pk)) for pk in merchants or ())
    scope = {"scope": f"AND d.merchant_id IN ({chosen})" if chosen else ""}
    statement = Statement([], [])
    if frontier is not None:
        statement.add(FRONTIER.format(moment=mark, more=""), moment(frontier))
        whole = [moment(spans[0].since), moment(spans[-1].until)]
        ends = [moment(span.until) for span in spans]
        _add_folded(statement, spans, chosen or str(EVERYBODY), mark)
        if is_noted:
            bucket_scope = f"AND k.merchant_id IN ({chosen})" if chosen else ""
            place = place_of("r.starts_at", mark, range(len(spans)))
            sql = NOTED.format(place=place, moment=mark, bucket_scope=bucket_scope, states=STATES, **scope)
            statement.add(sql, *ends, *whole, *ends, *whole, moment(frontier))
    live = [(number, span) for number, span in enumerate(spans) if frontier is None or span.until > frontier]
    if live:
        since = max(live[0][1].since, frontier or live[0][1].since)
        id_ends = [db_id(first_id_at(span.until)) for _number, span in live]
        place = place_of("d.id", "%s", [number for number, _span in live])
        statement.add(LIVE.format(place=place, **scope), *id_ends, db_id(first_id_at(since)), id_ends[-1])
        if frontier is None:
            statement.add("SELECT -1, 'moved', 0 FROM events_statfrontier")
    _add_engagements(statement, spans, scope["scope"], mark)
    return statement


def _add_engagements(statement: Statement, spans: Sequence[Span], scope: str, mark: str) -> None:
    """Add what came back in these spans and is not counted yet."""
    ends, whole = [moment(span.until) for span in spans], [moment(spans[0].since), moment(spans[-1].until)]
    place = place_of("e.occurred_at", mark, range(len(spans)))
    statement.add(NOT_COUNTED.format(place=place, moment=mark, scope=scope, key="", groups=""), *ends, *whole, *ends, *whole)


def _add_folded(statement: Statement, spans: Sequence[Span], scopes: str, mark: str) -> None:
    """Add the sums. SQLite is three times as quick span by span, without comparing or sorting; PostgreSQL plans longer."""
    if connection.vendor == "postgresql":
        ends = [moment(span.until) for span in spans]
        place = place_of("t.starts_at", mark, range(len(spans)))
        sql = FOLDED.format(place=place, scopes=scopes, moment=mark)
        statement.add(sql, *ends, moment(spans[0].since), moment(spans[-1].until))
        return
    for number, span in enumerate(spans):
        sql = FOLDED.format(place=number, scopes=scopes, moment=mark)
        statement.add(sql.replace("GROUP BY 1, 2", "GROUP BY t.figure"), moment(span.since), moment(span.until))


def place_of(column: str, mark: str, numbers: Sequence[int]) -> str:
    """Return the number of the span that a row is in: the first that ends behind it. Takes the ends as values."""
    return f"CASE {' '.join(f'WHEN {column} < {mark} THEN {number}' for number in numbers)} END"


def sent_since(definitions: Sequence[int], since: datetime) -> dict[int, int]:
    """Return how many deliveries of each of these events, recorded since a moment, were sent; tests left out.

    For a glance: what was retried within the last minutes may still be missing.
    """
    since = quarter_of(since)
    frontier = StatFrontier.objects.filter(pk=StatFrontier.ONLY).first()
    folded = frontier.folded_until if frontier else datetime.fromtimestamp(0, UTC)
    buckets = StatBucket.objects.filter(definition__in=definitions, starts_at__gte=since, figure=State.SENT)
    sums = buckets.order_by().values_list("definition").annotate(number=Sum(F("kept") + F("gone")))
    found: dict[int, int] = dict(sums)
    rows: QuerySet[EventDelivery] = EventDelivery.objects.filter(
        definition__in=definitions, id__gte=first_id_at(max(since, folded)), status=State.SENT, is_test=False
    )
    for definition, number in rows.order_by().values_list("definition").annotate(number=Count("id")):
        found[definition] = found.get(definition, 0) + number
    return found
