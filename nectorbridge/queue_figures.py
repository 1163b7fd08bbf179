"""How much waits where, and since when: what the metrics, the page “Queue health” and the doctor read alike.

Set-based, and by the partial indexes of what waits, is held or is under way: the deliveries that are over are never looked
at, however many there are. Counting stops at a million per integration and state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, OuterRef, Subquery

from events.models import Call, EventDelivery, Worker
from events.states import DUE_STATES
from integrations.models import Integration

COUNTED_AT_MOST = 1_000_000
CANARY_FRESH = timedelta(seconds=30)
# SQLite uses a partial index only where its condition is repeated as it stands.
COUNT = """
    (SELECT COUNT(*) FROM (SELECT 1 FROM events_eventdelivery d WHERE d.integration_id = i.id AND {condition} LIMIT {most}) x)
"""
CONDITIONS = {
    "queued": "d.status IN ('queued', 'retrying') AND d.status = 'queued'",
    "retrying": "d.status IN ('queued', 'retrying') AND d.status = 'retrying'",
    "sending": "d.status = 'sending'",
    "held": "d.status = 'held'",
}
COUNTS = ", ".join(COUNT.format(condition=condition, most=COUNTED_AT_MOST) for condition in CONDITIONS.values())
DEPTHS = f"SELECT i.id, {COUNTS} FROM integrations_integration i"  # noqa: S608 - constants alone


@dataclass(frozen=True, slots=True)
class Lane:
    """One integration's queue. `due_since`: since when the delivery that has been due for longest is due; None: none is."""

    integration: Integration
    queued: int
    retrying: int
    sending: int
    held: int
    due_since: datetime | None
    calls_in_flight: int

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
    waiting = EventDelivery.objects.filter(integration=OuterRef("pk"), status__in=DUE_STATES).order_by("next_attempt_at")
    rows: Any = Integration.objects.select_related("merchant").defer("sealed_secrets", "sealed_candidate")
    rows = rows.annotate(due_since=Subquery(waiting.values("next_attempt_at")[:1])).order_by("pk")
    return [_lane(row, depths.get(row.pk, (0, 0, 0, 0)), open_calls.get(row.pk, 0)) for row in rows]


def _lane(row: Any, depths: Sequence[int], open_calls: int) -> Lane:
    """Return one integration's queue; `depths` in the order of CONDITIONS."""
    queued, retrying, sending, held = depths
    return Lane(row, queued, retrying, sending, held, row.due_since, open_calls)


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


def age(moment: datetime, now: datetime) -> float:
    """Return the seconds since a moment; a clock that is ahead of ours makes none of it negative."""
    return max(0.0, (now - moment).total_seconds())
