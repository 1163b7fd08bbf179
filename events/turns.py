"""Sharing the workers: each integration has so many places among them at most, and gives one back when others wait.

A place is a row under a lease, so it is counted across all clusters and machines. What is taken from a worker that died comes
back when its lease is over, a little after the longest call.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from events import bell, breaker, closing
from events.lookups import IS_DUE
from events.models import EventDelivery, Worker, WorkerPlace
from integrations.locks import lock_integration
from integrations.models import Integration, Status

TURN_SECONDS = 2.0  # after that another integration with due rows gets the worker
ASK_SECONDS = 0.5  # between two looks whether there is one
PUSH_ASKS_SECONDS = 0.1  # what can wait asks more often
LONGEST_SECONDS = 20.0  # well within the task's own time
WAITS_SECONDS = 0.1  # for an idle worker to come; what is due for longer finds all of them at work
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
RUNG_AT_ONCE = 10  # by a worker that gives way: more of them than it has colleagues


def most_workers() -> tuple[int, int]:
    """Return how many workers may send events for one integration at once, and how many with one that pushes profiles.

    Of several workers one is always left to the others.
    """
    events = max(1, settings.DELIVERY_WORKERS_PER_INTEGRATION)
    return events, max(events, min(2, settings.DELIVERY_WORKERS - 1))


def most_pushes() -> int:
    """Return how many workers may push profiles at once, for whomever: half of them, so that events find one at any time."""
    return max(1, settings.DELIVERY_WORKERS // 2) * _clusters()


def processes() -> int:
    """Return how many processes of one cluster work, spare ones included."""
    return int(getattr(settings, "WORKER_PROCESSES", settings.DELIVERY_WORKERS))


def _clusters() -> int:
    return max(1, Worker.objects.count())


def _is_last(taken: QuerySet[WorkerPlace]) -> bool:
    """Tell whether only one worker is without a place, on all machines together, where one integration may not have them all."""
    workers = processes() * _clusters()
    return workers > most_workers()[0] and taken.count() + 1 >= workers


def one_is_free() -> bool:
    """Tell whether any worker, on whatever machine, is without a place: then a ring brings it, and nobody need give way."""
    return WorkerPlace.objects.filter(lease_until__gt=timezone.now()).count() < processes() * _clusters()


def _lease() -> float:
    """Return for how many seconds a place is taken: no call lasts longer, and it is renewed before each."""
    return settings.DELIVERY_HTTP_TIMEOUT_SECONDS * 1.5 + 1


class Place:
    """One integration's hold on one worker."""

    def __init__(self, row: WorkerPlace) -> None:
        """Hold it from now on."""
        self.row = row
        self.taken_at = time.monotonic()

    def keep(self) -> None:
        """Renew the lease when a part of it is over. Before every call, so that a worker stuck in slow ones is counted too."""
        if time.monotonic() - self.taken_at > _lease() / 5:
            self.taken_at = time.monotonic()
            until = timezone.now() + timedelta(seconds=_lease())
            WorkerPlace.objects.filter(pk=self.row.pk).update(lease_until=until)

    def is_second(self) -> bool:
        """Tell whether another worker was here before and is still at it."""
        row = self.row
        same = WorkerPlace.objects.filter(integration_id=row.integration_id, is_push=row.is_push, pk__lt=row.pk)
        return same.filter(lease_until__gt=timezone.now()).exists()


@contextmanager
def place(integration: Integration, is_push: bool = False, is_single: bool = False) -> Iterator[Place | None]:
    """Take a place for this integration and give it back in the end; None where it has as many workers as it may.

    `is_single`: one worker at a time sends its events. So it is in any case while nobody knows whether its provider answers.
    """
    row = _take(integration, is_push, is_single or integration.breaker_failures > 0)
    try:
        yield Place(row) if row else None
    finally:
        if row:
            WorkerPlace.objects.filter(pk=row.pk).delete()


def _take(integration: Integration, is_push: bool, is_single: bool) -> WorkerPlace | None:
    """Take a place while nobody else does, if there is one."""
    events, together = most_workers()
    with transaction.atomic():
        lock_integration(integration.pk)
        now = timezone.now()
        taken = WorkerPlace.objects.filter(lease_until__gt=now)
        mine = taken.filter(integration=integration).values_list("is_push", flat=True)
        same = sum(kind == is_push for kind in mine)
        if len(mine) >= together or same >= (1 if is_push or is_single else events):
            return None
        if same and _is_last(taken):  # whose provider is slow must not hold the last two
            return None
        if is_push and taken.filter(is_push=True).count() >= most_pushes():
            return None
        until = now + timedelta(seconds=_lease())
        return WorkerPlace.objects.create(integration=integration, is_push=is_push, lease_until=until)


def forget_lost_places(now: datetime) -> int:
    """Delete the places of workers that died. Returns how many."""
    return WorkerPlace.objects.filter(lease_until__lt=now).delete()[0]


def with_due_rows(now: datetime) -> QuerySet[Integration]:
    """Return the integrations that can send and have something due, those first to which no worker turned for longest."""
    return _able_with(_due(now), now)


def _due(at: datetime) -> QuerySet[EventDelivery]:
    """Return an integration's rows that were due at that time, for use in a subquery."""
    return EventDelivery.objects.filter(IS_DUE, integration=OuterRef("pk"), next_attempt_at__lte=at)


def _able_with(rows: QuerySet[EventDelivery], now: datetime) -> QuerySet[Integration]:
    """Return the integrations that can send now and have such rows, in the order in which they are served."""
    free = Q(hold_until__isnull=True) | Q(hold_until__lte=now)
    able = Integration.objects.filter(free, Exists(rows), status=Status.ACTIVE, enabled=True)
    return able.exclude(breaker.is_shut_out(now)).order_by(F("served_at").asc(nulls_first=True), "pk")


def others_wait(integration_id: int) -> bool:
    """Tell whether another integration has due rows and no worker, and ring for those that do: so one comes to them.

    One to which a worker has just turned does not count: what it has left may have to wait for something else.
    """
    now = timezone.now()
    long_ago = Q(served_at__isnull=True) | Q(served_at__lt=now - timedelta(seconds=TURN_SECONDS / 2))
    return _ring_for(with_due_rows(now).filter(long_ago, _nobody_sends(now)).exclude(pk=integration_id))


def events_wait() -> bool:
    """Tell whether any integration has events that a worker should have come for, and ring for those that do.

    For who pushes profiles, which can wait: events go first, its own as well. What was due when a worker last turned to them,
    and is still there, waits for something else.
    """
    now = timezone.now()
    since = _due(now - timedelta(seconds=WAITS_SECONDS)).filter(next_attempt_at__gt=Coalesce(OuterRef("served_at"), Value(NEVER)))
    return _ring_for(_able_with(since, now).filter(_nobody_sends(now)))


def _nobody_sends(now: datetime) -> Q:
    """Return what is true of integrations whose events no worker sends now."""
    return Q(~Exists(WorkerPlace.objects.filter(integration=OuterRef("pk"), is_push=False, lease_until__gt=now)))


def _ring_for(waiting: QuerySet[Integration]) -> bool:
    """Ring for the first of these. Returns whether there are any."""
    found = list(waiting.values_list("pk", flat=True)[:RUNG_AT_ONCE])
    for pk in found:
        bell.ring(pk)
    return bool(found)


class Turn:
    """The time for which a sender has its worker."""

    ask_seconds = ASK_SECONDS

    def __init__(self, integration_id: int) -> None:
        """Begin now."""
        self.integration_id = integration_id
        self.began = time.monotonic()
        self.asks_next = self.began + TURN_SECONDS
        self._is_over = self._has_called = self._has_rung = False

    def call_for_help(self) -> None:
        """Ask once for another worker, as there is more than one can soon send; it comes if it is idle and there is a place.

        Not on SQLite, where one writes at a time.
        """
        if not self._has_called and connection.vendor == "postgresql":
            self._has_called = True
            bell.ring(self.integration_id)

    def is_over(self) -> bool:
        """Tell whether the worker should be given back: at the latest after a while, earlier if others wait for it."""
        now = time.monotonic()
        if now > self.began + LONGEST_SECONDS or closing.is_closing():
            return True
        if not self._is_over and now >= self.asks_next:
            self.asks_next = now + self.ask_seconds
            self._is_over = self._gives_way()
        return self._is_over

    def _gives_way(self) -> bool:
        """Ask whether others need the worker: who is free has been rung for; where nobody came by the next look, it is us."""
        waits, had_rung = others_wait(self.integration_id), self._has_rung
        self._has_rung = waits
        return waits and (had_rung or not one_is_free())


class PushTurn(Turn):
    """The time for which a push of profiles has its worker: it can wait, so it asks from the beginning whether events do."""

    ask_seconds = PUSH_ASKS_SECONDS

    def __init__(self, integration_id: int) -> None:
        """Begin now."""
        super().__init__(integration_id)
        self.asks_next = self.began

    def _gives_way(self) -> bool:
        """Ask whether events do."""
        return events_wait()
