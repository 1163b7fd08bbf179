"""The doorbell: at most one drain is asked for per integration, however many deliveries wait.

`bell_rung_at` is set by whoever rings and cleared by the drain before it claims. So a row that was committed before the
bell was found rung is seen by the drain that has yet to clear it. A drain for which there is no place leaves the bell rung: who
has the places hushes it in the end, and looks again where it was rung. A bell older than a sweep counts as lost.

A lost bell is rung anew under the same token, which its tasks carry. The first of them clears it; the others find that it is no
longer theirs and do nothing. So a backlog of tasks does not beget more of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connection, connections, transaction
from django.utils import timezone
from django_q.tasks import async_task

from events.sql import hot_cursor, moment
from integrations.models import Integration

logger = logging.getLogger(__name__)
MICROSECONDS = 1_000_000  # in a second: fine enough for a token
DRAIN_TASK, PUSH_TASK, BULK_TASK = "events.tasks.drain", "events.tasks.push_contacts", "events.tasks.run_bulk_action"
ROTATE_TASK = "events.tasks.rotate_keys"
# Said in SQL, since it runs after every wallet change. Each integration has two bells: `bell` for events, `push` for profiles.
# While its provider does not answer there is nothing to ask for: the sweep rings once it is time to look.
CAN_RING = "({bell}_rung_at IS NULL OR {bell}_rung_at < %s) AND (breaker_until IS NULL OR breaker_until <= %s)"
RING_IF_SILENT = f"""
    UPDATE integrations_integration SET {{bell}}_rung_at = %s, {{bell}}_token = COALESCE({{bell}}_token, %s)
    WHERE id = %s AND {CAN_RING}
"""  # noqa: S608 - no value of anybody's in it
# Asked first, since it is rung most times: reading waits for no lock. Where a drain is just silencing it, the drain has yet to
# claim, and what was committed before this question is in its claim.
IS_SILENT = f"SELECT 1 FROM integrations_integration WHERE id = %s AND {CAN_RING}"  # noqa: S608 - no value of anybody's in it
SILENCE = "UPDATE integrations_integration SET bell_rung_at = NULL, bell_token = NULL, served_at = %s WHERE id = %s"
HUSH = "UPDATE integrations_integration SET bell_rung_at = NULL, bell_token = NULL WHERE id = %s AND bell_rung_at IS NOT NULL"
MUFFLE = "UPDATE integrations_integration SET bell_rung_at = %s, bell_token = NULL WHERE id = %s"
# A bell may be lost in a crash of the database, the sweep rings again: so nobody waits for the disk.
UNSYNCED = " AND (SELECT set_config('synchronous_commit', 'off', true)) = 'off'"


def ring(integration_id: int) -> bool:
    """Ask for a drain unless one is asked for already. Returns whether it rang. Call it outside of a transaction.

    A task queue that cannot be reached loses nothing: the next sweep rings again.
    """
    return _ring(integration_id, "bell", DRAIN_TASK)


def ring_after_commit(integration_id: int) -> None:
    """Ask for a drain once the caller's transaction is committed."""
    after_commit(ring, integration_id, "integration")


def after_commit(rings: Callable[[int], object], pk: int, what: str) -> None:
    """Have this ring for a row once the caller's transaction is committed. What goes wrong then fails nobody's save.

    A lambda: Django's log line about a failing hook asks for a name, which a `partial` does not have.
    """
    transaction.on_commit(lambda: _quietly(rings, pk, what), robust=True)


def _quietly(rings: Callable[[int], object], pk: int, what: str) -> None:
    """Ring; where the database has just gone away, the next sweep rings instead."""
    try:
        rings(pk)
    except (OperationalError, InterfaceError):
        logger.warning("Nobody could be rung for %s %s; it waits for the next sweep.", what, pk)


def ring_for_push(integration_id: int) -> bool:
    """Ask in the same way for profiles to be pushed."""
    return _ring(integration_id, "push", PUSH_TASK)


def _ring(integration_id: int, bell: str, task: str) -> bool:
    """Note the time of the ring, and queue the task where it was silent."""
    now, db = timezone.now(), connections[DEFAULT_DB_ALIAS]
    where = [integration_id, *_moments(now, db)]
    with hot_cursor(db) as cursor:
        cursor.execute(IS_SILENT.format(bell=bell), where)
        if cursor.fetchone() is None:
            return False
        rings = f"{_unsynced(RING_IF_SILENT)} RETURNING {{bell}}_token"
        cursor.execute(rings.format(bell=bell), [where[-1], round(now.timestamp() * MICROSECONDS), *where])
        found = cursor.fetchone()
    return found is not None and ask(task, integration_id, token=found[0])


def _moments(now: datetime, db: Any) -> tuple[Any, Any]:
    """Return the two moments that `CAN_RING` compares with: a bell older than the first is lost; the second is now."""
    return moment(now - timedelta(seconds=settings.DELIVERY_SWEEP_SECONDS), db), moment(now, db)


def ring_condition(db: Any) -> tuple[str, tuple[Any, ...]]:
    """Return a condition on an integration's row, and its parameters: whether what this transaction records must ring for it.

    SQLite has one writer at a time: who reads a bell and then writes can be sure that nobody silences it before they have
    committed. So it need not be asked again after the commit. Elsewhere it must be, and this is true.
    """
    if db.vendor != "sqlite":
        return "TRUE", ()
    return CAN_RING.format(bell="bell"), _moments(timezone.now(), db)


def ask(task: str, pk: int, **more: int) -> bool:
    """Queue a task about one row. Returns False where the task queue cannot be reached: then the next sweep asks again."""
    try:
        async_task(task, pk, q_options={"save": False}, **more)
    except Exception:  # the queue may be a Redis that is down: any of its errors means the same
        logger.warning("The task queue could not be reached; %s of %s waits for the next sweep.", task, pk)
        return False
    return True


def _unsynced(statement: str) -> str:
    """Return the statement such that its own commit does not wait for the disk."""
    return statement + UNSYNCED if connection.vendor == "postgresql" else statement


def muffle(integration_id: int) -> None:
    """Count as rung without asking anybody: whoever calls this claims once more, and looks again once it has hushed the bell.

    Should it never come to that, the bell is lost like any other, after a sweep.
    """
    db = connections[DEFAULT_DB_ALIAS]
    with hot_cursor(db) as cursor:
        cursor.execute(_unsynced(MUFFLE), [moment(timezone.now(), db), integration_id])


def clear(integration_id: int) -> None:
    """Note that a drain has begun: what is committed from here on must ring again."""
    db = connections[DEFAULT_DB_ALIAS]
    with hot_cursor(db) as cursor:
        cursor.execute(_unsynced(SILENCE), [moment(timezone.now(), db), integration_id])


def hush(integration_id: int) -> bool:
    """Note that a drain has ended: what is committed from here on must ring again. Returns whether anybody rang meanwhile."""
    with hot_cursor(connections[DEFAULT_DB_ALIAS]) as cursor:
        cursor.execute(_unsynced(HUSH), [integration_id])
        return bool(cursor.rowcount)


def clear_push(integration_id: int) -> None:
    """Note that a push has begun."""
    rung = Integration.objects.filter(pk=integration_id, push_rung_at__isnull=False)
    rung.update(push_rung_at=None, push_token=None)
