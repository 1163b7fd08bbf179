"""What goes when, by the settings `RETENTION_*_DAYS`, in small batches: each is one short transaction.

Only what is over goes (sent, failed, skipped, cancelled), and only past its age, counted from when it was recorded. Ids
tell the time, so every batch starts behind the one before it and reads no more than it handles; nothing is counted or
scanned. It may be stopped at any moment and run on many machines at once: what somebody else has locked is left to them.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from events import callbacks, statistics, statistics_engagement
from events.identifiers import EPOCH, first_id_at
from events.lookups import over
from events.models import Call, DeliveryAttempt, EventDelivery, PurgeCursor
from events.purging import deleted
from events.retention_staff import old_invitations, old_sessions, purge_invitations, purge_sessions
from events.retention_tasks import old_tasks, purge_tasks
from events.sql import id_list
from integrations.models import AuditEntry

BATCH = 1000
LEAST_AUDIT_DAYS = 30  # what is younger the database refuses to delete
ROUND = timedelta(days=30)  # so often payloads are looked at from the oldest on: something may have ended late
PAYLOADS = "payloads"
BLANK: dict[str, Any] = {"payload": {}, "recipient": {}}
DELETE_BY_DELIVERY = ("events_engagement", "events_deliveryattempt")
NOBODY = uuid.UUID(int=0)
Batches = Iterator[int]


@dataclass(frozen=True, slots=True)
class Policy:
    """Until when what is older goes. None: it stays for ever."""

    payloads: datetime | None
    attempts: datetime | None
    deliveries: datetime | None
    tasks: datetime | None
    audit: datetime | None = None
    invitations: datetime | None = None
    sessions: datetime | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """Rows of a host's own that go along: those of what came in, with the payloads of what was sent.

    `old(before)` returns the rows that are as old and over; they are deleted in batches.
    """

    what: str
    old: Callable[[datetime], QuerySet[Any]]


CALLBACKS = Kind("callbacks", callbacks.RECEIPTS.over_before)
HOSTS_KINDS: list[Kind] = []


def keep_like_payloads(what: str, old: Callable[[datetime], QuerySet[Any]]) -> None:
    """Have a host's own rows purged together with payloads: by the worker, and by `manage.py purge`."""
    HOSTS_KINDS[:] = [*(kind for kind in HOSTS_KINDS if kind.what != what), Kind(what, old)]


def policy(now: datetime | None = None) -> Policy:
    """Return the policy of the settings. Tries go with the payloads at the latest: their calls hold what was sent."""
    now = now or timezone.now()

    def before(days: float) -> datetime | None:
        return max(now - timedelta(days=days), EPOCH) if days else None

    payloads, attempts = before(settings.RETENTION_PAYLOAD_DAYS), before(settings.RETENTION_ATTEMPT_DAYS)
    audit = before(max(settings.RETENTION_AUDIT_DAYS, LEAST_AUDIT_DAYS) if settings.RETENTION_AUDIT_DAYS else 0)
    earliest = max((moment for moment in (payloads, attempts) if moment), default=None)
    return Policy(
        payloads,
        earliest,
        before(settings.RETENTION_DELIVERY_DAYS),
        before(settings.RETENTION_TASK_DAYS),
        audit,
        before(settings.RETENTION_INVITATION_DAYS),
        sessions=now,  # nobody can use one that is over
    )


def batches(chosen: Policy | None = None) -> Iterator[tuple[str, int]]:
    """Purge batch by batch, each committed before it is yielded: what it was about, and how many rows it handled."""
    chosen = chosen or policy()
    for what, (before, work) in _chores(chosen).items():
        if before is not None:
            for done in work(before):
                yield what, done


def _chores(chosen: Policy) -> dict[str, tuple[datetime | None, Callable[[datetime], Batches]]]:
    """Return what is to be done, in order: what is deleted whole needs no blanking."""
    return {
        "deliveries": (chosen.deliveries, purge_deliveries),
        "payloads": (chosen.payloads, purge_payloads),
        "tries": (chosen.attempts, purge_attempts),
        "calls": (chosen.attempts, purge_calls),
        "tasks": (chosen.tasks, purge_tasks),
        "audit trail": (chosen.audit, purge_audit),
        "invitations": (chosen.invitations, purge_invitations),
        "sessions": (chosen.sessions, purge_sessions),
        "callbacks": (chosen.payloads, partial(_purge_kind, CALLBACKS)),
        **{kind.what: (chosen.payloads, partial(_purge_kind, kind)) for kind in HOSTS_KINDS},
    }


def _purge_kind(kind: Kind, before: datetime) -> Batches:
    """Delete a host's own rows."""
    yield from deleted(kind.old(before))


def purge_audit(before: datetime) -> Batches:
    """Delete entries of the audit trail that are as old."""
    while done := AuditEntry.objects.filter(at__lt=before).purge(BATCH):
        yield done


def purge_deliveries(before: datetime) -> Batches:
    """Delete deliveries with their tries and engagements; their numbers stay, in the same transaction."""
    end, cursor = first_id_at(before), NOBODY
    while True:
        with statistics.frontier():
            start, ids = _quarter(cursor, end)
            if start is None:
                return
            if ids:
                statistics.count_gone(ids, start, statistics_engagement.count_gone(ids))
                _delete(ids)
        if ids:
            yield len(ids)
        full = len(ids) == BATCH
        cursor = uuid.UUID(int=ids[-1].int + 1) if full else first_id_at(start + statistics.QUARTER)


def _quarter(cursor: uuid.UUID, end: uuid.UUID) -> tuple[datetime | None, list[uuid.UUID]]:
    """Return the next quarter with something to delete (None: there is none), and its first ids, locked."""
    rows = over(EventDelivery.objects.filter(id__gte=cursor, id__lt=end)).order_by("id").values_list("id", flat=True)
    first = rows.first()
    if first is None:
        return None, []
    start = statistics.quarter_of(statistics.recorded_at(first))
    return start, list(_locked(rows.filter(id__gte=first, id__lt=first_id_at(start + statistics.QUARTER)))[:BATCH])


def _locked(rows: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
    """Lock rows, on PostgreSQL without waiting for anybody; on SQLite a transaction is alone anyway."""
    return rows.select_for_update(skip_locked=True) if connection.vendor == "postgresql" else rows


def _delete(ids: list[uuid.UUID]) -> None:
    """Delete deliveries and what belongs to them, without loading any of it."""
    these, parameter = id_list([str(key) for key in ids])
    with connection.cursor() as cursor:
        for table in DELETE_BY_DELIVERY:
            cursor.execute(f"DELETE FROM {table} WHERE delivery_id {these}", [parameter])  # noqa: S608 - names of our own
        cursor.execute(f"DELETE FROM events_eventdelivery WHERE id {these}", [parameter])  # noqa: S608


def purge_payloads(before: datetime) -> Batches:
    """Blank what was sent and to whom; the row stays, with the host's reference. A blank row cannot be sent again."""
    place, _made = PurgeCursor.objects.get_or_create(what=PAYLOADS)
    end, now = first_id_at(before), timezone.now()
    cursor, began = (place.reached, place.began_at) if now - place.began_at < ROUND else (NOBODY, now)
    while True:
        with transaction.atomic():
            rows = over(EventDelivery.objects.filter(id__gt=cursor, id__lt=end).exclude(blank())).order_by("id")
            ids = list(_locked(rows.values_list("id", flat=True))[:BATCH])
            if not ids:
                return
            over(EventDelivery.objects.filter(pk__in=ids)).update(**BLANK)
            cursor = ids[-1]
            PurgeCursor.objects.filter(pk=place.pk).update(reached=cursor, began_at=began)
        yield len(ids)


def blank() -> Q:
    """Return the condition for deliveries whose payload and recipient were purged. A real payload has at least our id."""
    return Q(**BLANK)


def purge_attempts(before: datetime) -> Batches:
    """Delete the tries of deliveries that are over and as old."""
    end, cursor = first_id_at(before), NOBODY
    while True:
        with transaction.atomic():
            old = DeliveryAttempt.objects.filter(delivery__gte=cursor, delivery__lt=end, started_at__lt=before)
            final = over(EventDelivery.objects.filter(pk=OuterRef("delivery")))
            rows = list(_locked(old.filter(Exists(final)).order_by("delivery", "number").values_list("id", "delivery"))[:BATCH])
            if not rows:
                return
            DeliveryAttempt.objects.filter(pk__in=[key for key, _delivery in rows])._raw_delete(using=connection.alias)
            cursor = rows[-1][1]
        yield len(rows)


def purge_calls(before: datetime) -> Batches:
    """Delete calls that have ended and of which no try is left. An open call is what makes a delivery uncertain: it stays."""
    cursor = 0
    while True:
        rows = list(Call.objects.filter(pk__gt=cursor).order_by("pk").values_list("pk", "started_at")[:BATCH])
        old = [key for key, started_at in rows if started_at < before]
        if not old:
            return
        tried = DeliveryAttempt.objects.filter(call=OuterRef("pk"))
        ended = Call.objects.filter(pk__in=old, ended_at__isnull=False)
        done = ended.filter(~Exists(tried))._raw_delete(using=connection.alias)
        if done:
            yield done
        cursor = rows[-1][0]


COUNT_LIMIT = 100_000


def preview(chosen: Policy | None = None) -> dict[str, int]:
    """Return how many rows would go, each counted to 100,000 and no further. Changes nothing."""
    chosen = chosen or policy()
    found: dict[str, int] = {}
    if chosen.deliveries:
        found["deliveries"] = _count(over(EventDelivery.objects.filter(id__lt=first_id_at(chosen.deliveries))))
    if chosen.payloads:
        since = first_id_at(chosen.deliveries) if chosen.deliveries else NOBODY
        rows = EventDelivery.objects.filter(id__gte=since, id__lt=first_id_at(chosen.payloads)).exclude(blank())
        found["payloads"] = _count(over(rows))
    if chosen.attempts:
        final = over(EventDelivery.objects.filter(pk=OuterRef("delivery")))
        old = DeliveryAttempt.objects.filter(delivery__lt=first_id_at(chosen.attempts), started_at__lt=chosen.attempts)
        found["tries"] = _count(old.filter(Exists(final)))
    if chosen.tasks:
        found["tasks"] = _count(old_tasks(chosen.tasks))
    if chosen.audit:
        found["audit trail"] = _count(AuditEntry.objects.filter(at__lt=chosen.audit))
    if chosen.invitations:
        found["invitations"] = _count(old_invitations(chosen.invitations))
    if chosen.sessions and (sessions := old_sessions(chosen.sessions)) is not None:
        found["sessions"] = _count(sessions)
    if chosen.payloads:
        found |= {kind.what: _count(kind.old(chosen.payloads)) for kind in (CALLBACKS, *HOSTS_KINDS)}
    return found


def _count(rows: QuerySet[Any]) -> int:
    """Return the number of rows; one more than the limit stands for "more"."""
    return rows.order_by()[: COUNT_LIMIT + 1].count()
