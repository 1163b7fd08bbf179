"""How much waits where, and since when: what the metrics, the page “Queue health” and the doctor read alike.

Set-based, and by the partial indexes of what waits, is held or is under way: the deliveries that are over are never looked
at, however many there are. Counting stops at a million per integration and state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, OuterRef, QuerySet, Subquery

from events.lookups import IS_DUE
from events.models import Call, DeliveryAttempt, EventDelivery, Worker
from events.sql import moment
from integrations.models import Integration
from integrations.providers.base import Outcome

COUNTED_AT_MOST = 1_000_000
CALLS_LOOKED_AT = 20_000
CANARY_FRESH = timedelta(seconds=30)
# Each by the partial index made for it; SQLite uses one only where its condition is repeated as it stands. What is due is
# counted within the index alone: so those that were never tried are what is due less what is tried again.
COUNT = """
    (SELECT COUNT(*) FROM (SELECT 1 FROM events_eventdelivery d WHERE d.integration_id = i.id AND {condition} LIMIT {most}) x)
"""
CONDITIONS = {
    "due": "d.status IN ('queued', 'retrying')",
    "retrying": "d.status IN ('sending', 'retrying') AND d.status = 'retrying'",
    "sending": "d.status = 'sending'",
    "held": "d.status = 'held'",
}
COUNTS = ", ".join(COUNT.format(condition=condition, most=COUNTED_AT_MOST) for condition in CONDITIONS.values())
DEPTHS = f"SELECT i.id, {COUNTS} FROM integrations_integration i"  # noqa: S608 - constants alone
# Calls have no index by time: their keys grow with it, so the newest are looked at, backwards.
RECENT_CALLS = """
    SELECT integration_id, COUNT(*)
    FROM (SELECT integration_id, started_at FROM events_call ORDER BY id DESC LIMIT %s) newest
    WHERE started_at > %s AND started_at <= %s GROUP BY integration_id
"""


@dataclass(frozen=True, slots=True)
class Lane:
    """One integration's queue. `due_since`: since when `due_delivery`, the one due for longest, has been due; None: none is."""

    integration: Integration
    queued: int
    retrying: int
    sending: int
    held: int
    due_since: datetime | None
    due_delivery: UUID | None
    calls_in_flight: int

    @property
    def waiting(self) -> int:
        """Return how many deliveries have not left, whatever they wait for."""
        return self.queued + self.retrying + self.sending + self.held

    @property
    def calls_allowed(self) -> int | None:
        """Return how many calls the contract allows at once; None for a provider that is no longer installed."""
        try:
            return self.integration.contract.limits.calls_in_flight
        except KeyError:
            return None

    def oldest_age(self, now: datetime) -> float:
        """Return the seconds for which a delivery has been due; 0 where none is."""
        return max(0.0, (now - self.due_since).total_seconds()) if self.due_since else 0.0


@dataclass(frozen=True, slots=True)
class Machine:
    """The task clusters of one machine: how many, and the youngest signs of life in seconds."""

    name: str
    workers: int
    alive: int
    canary_age: float
    supervisor_age: float


def lanes() -> list[Lane]:
    """Return every integration's queue, with three statements whatever their number."""
    with connection.cursor() as cursor:
        cursor.execute(DEPTHS)
        depths = {row[0]: row[1:] for row in cursor.fetchall()}
    open_calls: dict[int, int] = dict(
        Call.objects.filter(ended_at__isnull=True).order_by().values_list("integration_id").annotate(Count("pk"))
    )
    waiting = EventDelivery.objects.filter(IS_DUE, integration=OuterRef("pk")).order_by("next_attempt_at")
    rows: Any = Integration.objects.select_related("merchant").defer("sealed_secrets", "sealed_candidate")
    rows = rows.annotate(
        due_since=Subquery(waiting.values("next_attempt_at")[:1]), due_delivery=Subquery(waiting.values("pk")[:1])
    )
    return [_lane(row, depths.get(row.pk, (0, 0, 0, 0)), open_calls.get(row.pk, 0)) for row in rows.order_by("pk")]


def _lane(row: Any, depths: Sequence[int], open_calls: int) -> Lane:
    """Return one integration's queue; `depths` in the order of CONDITIONS."""
    due, retrying, sending, held = depths
    return Lane(row, max(0, due - retrying), retrying, sending, held, row.due_since, row.due_delivery, open_calls)


def recent_calls(now: datetime) -> dict[int, int]:
    """Return how many calls of each integration began within the last minute; of more than 20,000 the newest are counted."""
    with connection.cursor() as cursor:
        cursor.execute(RECENT_CALLS, [CALLS_LOOKED_AT, moment(now - timedelta(minutes=1)), moment(now)])
        return dict(cursor.fetchall())


def uncertain_attempts(since: datetime) -> QuerySet[DeliveryAttempt]:
    """Return the tries since then of which nobody knows whether they arrived, the newest first, by an index of their own."""
    rows = DeliveryAttempt.objects.filter(outcome=Outcome.UNCERTAIN.value, started_at__gte=since)
    return rows.order_by("-started_at")


def machines(now: datetime) -> list[Machine]:
    """Return the machines on which a worker was supervised within the last day."""
    by_name: dict[str, list[Worker]] = {}
    for worker in Worker.objects.order_by("name"):
        by_name.setdefault(worker.machine, []).append(worker)
    return [
        Machine(
            name,
            len(workers),
            sum(is_alive(worker, now) for worker in workers),
            min(age(worker.canary_at or worker.started_at, now) for worker in workers),
            min(age(worker.supervised_at, now) for worker in workers),
        )
        for name, workers in by_name.items()
    ]


def is_alive(worker: Worker, now: datetime) -> bool:
    """Tell whether a canary ran on this worker's cluster lately."""
    return worker.canary_at is not None and now - worker.canary_at < CANARY_FRESH


def age(since: datetime, now: datetime) -> float:
    """Return the seconds since then; a clock that is ahead of ours makes none of it negative."""
    return max(0.0, (now - since).total_seconds())
