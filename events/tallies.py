"""Counts that outlive what they are of: how much was sent, failed, skipped, how long calls took.

Web servers and workers are many processes on many machines, so the numbers live in the database. Whoever decides appends
rows, in the transaction that decides: one statement per call settled or per turn of a stream, however many deliveries. They
are added up every few seconds (`fold`); a reading is what was added up and what was not yet, in one statement, so it is
exact, never goes back, and never looks at the deliveries themselves.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum

from django.db import connection, transaction
from django.db.models import Sum

from events.models import Tally
from events.states import State

INSTALLATION = 0  # in the place of an integration
FOLDED_AT_ONCE = 20_000  # rows; more are left for the next time
CALL_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # upper bounds; the last holds the default limit of a request
DRAIN_SECONDS = (0.1, 0.5, 2.0, 5.0, 20.0, 60.0)
LONGER = "+Inf"


class Kind(StrEnum):
    """What is counted. The label says which."""

    SENT = "sent"  # deliveries that a provider accepted
    FAILED = "failed"  # deliveries given up, by reason; one that is retried by hand may be counted again
    SKIPPED = "skipped"  # deliveries left out, by reason
    ATTEMPT = "attempt"  # tries, by outcome
    CALL = "call"  # calls that ended, by the bound of seconds they stayed within
    CALL_MS = "call_ms"  # their duration, added up
    DRAIN = "drain"  # drains that had something to do, by the bound of seconds they stayed within
    DRAIN_MS = "drain_ms"
    RESTART = "restart"  # of task clusters, by their supervisors


Counts = Counter[tuple[str, str]]  # by kind and label

APPEND = "INSERT INTO events_tally (integration_id, kind, label, amount, is_total) VALUES "
ROW = "(%s, %s, %s, %s, FALSE)"
ADD_UP = """
    INSERT INTO events_tally (integration_id, kind, label, amount, is_total)
    SELECT integration_id, kind, label, SUM(amount), TRUE FROM {folded}
    GROUP BY integration_id, kind, label ORDER BY integration_id, kind, label
    ON CONFLICT (integration_id, kind, label) WHERE is_total DO UPDATE SET amount = events_tally.amount + excluded.amount
"""
FIRST = "SELECT id FROM events_tally WHERE NOT is_total ORDER BY id LIMIT %s"
# One statement: who reads meanwhile sees each row once, as an addition or within a total.
FOLD_POSTGRESQL = f"""
    WITH folded AS (
      DELETE FROM events_tally WHERE id IN ({FIRST} FOR UPDATE SKIP LOCKED)
      RETURNING integration_id, kind, label, amount)
    {ADD_UP.format(folded="folded")}
"""  # noqa: S608 - no value of anybody's in it
ADD_UP_SQLITE = ADD_UP.format(folded=f"(SELECT * FROM events_tally WHERE id IN ({FIRST}))")  # noqa: S608 - as above
FORGET_SQLITE = f"DELETE FROM events_tally WHERE id IN ({FIRST})"  # noqa: S608 - as above


def add(counts: Counts, integration_id: int = INSTALLATION) -> None:
    """Append these counts, in one statement; in the caller's transaction, if there is one."""
    rows = [(integration_id, str(kind), label, amount) for (kind, label), amount in counts.items() if amount]
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(f"{APPEND}{', '.join([ROW] * len(rows))}", [value for row in rows for value in row])


def add_skipped(skipped: Iterable[tuple[int, str]]) -> None:
    """Append that deliveries were left out, given as (integration, reason)."""
    by_integration: dict[int, Counts] = {}
    for integration_id, reason in skipped:
        by_integration.setdefault(integration_id, Counter())[Kind.SKIPPED, str(reason)] += 1
    for integration_id, counts in by_integration.items():
        add(counts, integration_id)


def fold() -> int:
    """Add up what was appended. Safe to run at the same time, on many machines. Returns how many totals moved."""
    if not Tally.objects.filter(is_total=False).exists():
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(FOLD_POSTGRESQL, [FOLDED_AT_ONCE])
            return int(cursor.rowcount)
        cursor.execute(ADD_UP_SQLITE, [FOLDED_AT_ONCE])  # the transaction holds the only write lock: nothing comes between
        moved = int(cursor.rowcount)
        cursor.execute(FORGET_SQLITE, [FOLDED_AT_ONCE])
        return moved


def totals() -> Mapping[int, Counts]:
    """Return all counts by integration (0: the installation), as of now."""
    found: dict[int, Counts] = {}
    rows = Tally.objects.order_by().values_list("integration_id", "kind", "label").annotate(total=Sum("amount"))
    for integration_id, kind, label, total in rows:
        found.setdefault(integration_id, Counter())[kind, label] = total
    return found


def outcome_counts(outcome: str, deliveries: int, states: Iterable[tuple[str, str, int]] = ()) -> Counts:
    """Return the counts of tries with one outcome, and of the (state, reason, number) that the deliveries are in since."""
    counts: Counts = Counter({(Kind.ATTEMPT, outcome): deliveries})
    for state, reason, number in states:
        if state == State.SENT:
            counts[Kind.SENT, ""] += number
        elif state == State.FAILED:
            counts[Kind.FAILED, reason] += number
        elif state == State.SKIPPED:
            counts[Kind.SKIPPED, reason] += number
    return counts


def failed_counts(reason: str, number: int) -> Counts:
    """Return the counts of deliveries given up for one reason."""
    return Counter({(Kind.FAILED, str(reason)): number})


def skipped_counts(reason: str, number: int) -> Counts:
    """Return the counts of deliveries left out for one reason."""
    return Counter({(Kind.SKIPPED, str(reason)): number})


def call_counts(durations_ms: Iterable[int | None]) -> Counts:
    """Return the counts of calls that ended; those of which no duration is known are left out."""
    return _timed(Kind.CALL, Kind.CALL_MS, CALL_SECONDS, (ms for ms in durations_ms if ms is not None))


def drain_counts(seconds: float) -> Counts:
    """Return the counts of one drain."""
    return _timed(Kind.DRAIN, Kind.DRAIN_MS, DRAIN_SECONDS, [round(seconds * 1000)])


def _timed(kind: Kind, total: Kind, bounds: tuple[float, ...], durations_ms: Iterable[int]) -> Counts:
    """Return how many lie within each bound, and all of them added up."""
    counts: Counts = Counter()
    for ms in durations_ms:
        place = bisect_left(bounds, ms / 1000)
        counts[kind, str(bounds[place]) if place < len(bounds) else LONGER] += 1
        counts[total, ""] += ms
    return counts
