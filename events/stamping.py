"""The stamp: calls are committed before they leave, as many as the contract allows, each with the moment at which it may.

Limits hold across all workers and machines, since they are counted in the database under the integration's lock: calls
under way are open rows; a rate is a row of moments, of which every stamp takes the next ones.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from events.models import Call, CallKind
from events.sql import moment
from integrations.locks import lock_integration
from integrations.models import Integration
from integrations.providers.base import Limits

PACE_SLACK = 1.02  # a little slower than allowed: a call that is some 10 ms late must not crowd the next second
PACE_AHEAD = timedelta(seconds=1)  # further ahead no moment is taken: another worker may need it
PACE_LEAD = timedelta(seconds=0.1)  # the first moment: a call cannot leave before its stamp is committed
PACE_TRUSTED = timedelta(seconds=10)  # beyond what anybody takes: a clock was wrong

STAMP_SQLITE = """
    UPDATE events_eventdelivery
    SET call_id = json_extract(pairs.value, '$[1]'), attempt_count = attempt_count + 1
    FROM json_each(%s) AS pairs
    WHERE events_eventdelivery.id = json_extract(pairs.value, '$[0]') AND status = 'sending' AND lease_owner = %s
      AND lease_until > %s
"""
# The state is asked for in a way that no partial index answers. Statistics are taken when nothing is under way, so the planner
# takes that index for empty, and compares each of a thousand ids with each of the thousands of rows in it.
STAMP_POSTGRESQL = """
    UPDATE events_eventdelivery AS d SET call_id = pairs.call_id, attempt_count = attempt_count + 1
    FROM unnest(%s::uuid[], %s::bigint[]) AS pairs (id, call_id)
    WHERE d.id = pairs.id AND d.status || '' = 'sending' AND d.lease_owner = %s AND d.lease_until > %s
"""


class LeaseLost(RuntimeError):
    """Rows were taken away between claim and stamp: the drain was too slow. Nothing was sent."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one account may do: its contract's limits, and its calls a second (None: no figure)."""

    limits: Limits
    per_second: float | None = None


def stamp(rows: Sequence[Call], deliveries: Sequence[Sequence[str]], owner: str, allowance: Allowance) -> list[Call]:
    """Commit that these calls start: each call's row, and call and try on its deliveries. Returns those that may leave.

    A returned call leaves at its `started_at`, not before. Raises LeaseLost.
    """
    if not rows:
        return []
    with transaction.atomic(savepoint=False):
        lock_integration(rows[0].integration_id)
        leaving = _within_pace(list(_within_limits(rows, allowance.limits)), allowance.per_second)
        leaving = Call.objects.bulk_create(leaving)
        ids = {id(row): keys for row, keys in zip(rows, deliveries, strict=True)}
        _stamp_deliveries([(key, row.pk) for row in leaving for key in ids[id(row)]], owner)
    return leaving


def _within_limits(rows: Sequence[Call], limits: Limits) -> list[Call]:
    """Return the calls, from the first on, for which there is room among those under way anywhere."""
    open_calls = Call.objects.filter(integration_id=rows[0].integration_id, ended_at__isnull=True)
    kinds = list(open_calls.filter(lease_until__gt=rows[0].started_at).values_list("kind", flat=True))
    room, bulk_room = limits.calls_in_flight - len(kinds), limits.bulk_in_flight - kinds.count(CallKind.BULK)
    leaving: list[Call] = []
    for row in rows:
        if len(leaving) >= room:
            break
        if row.kind == CallKind.BULK:
            bulk_room -= 1
            if bulk_room < 0:
                continue
        leaving.append(row)
    return leaving


def _within_pace(rows: list[Call], per_second: float | None) -> list[Call]:
    """Give each call the next free moment of the account's rate; leave out those whose moment is too far away."""
    if not per_second or not rows:
        return rows
    now, step = timezone.now(), timedelta(seconds=PACE_SLACK / per_second)  # after the wait for the lock
    accounts = Integration.objects.filter(pk=rows[0].integration_id)
    taken: datetime | None = accounts.values_list("paced_until", flat=True).first()
    first = now + PACE_LEAD
    free = max(first, taken) if taken and taken < first + PACE_AHEAD + step + PACE_TRUSTED else first
    leaving = []
    for row in rows:
        if free > first + PACE_AHEAD:
            break
        row.lease_until += free - row.started_at
        row.started_at = free
        free += step
        leaving.append(row)
    if leaving:
        accounts.update(paced_until=free)
    return leaving


def _stamp_deliveries(pairs: Sequence[tuple[str, int]], owner: str) -> None:
    """Write call and try on the deliveries of all calls, in one statement."""
    if not pairs:
        return
    now = moment(timezone.now())  # the sweep gives back what is past its lease, so that must not leave
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(STAMP_POSTGRESQL, [[key for key, _call in pairs], [call for _key, call in pairs], owner, now])
        else:
            cursor.execute(STAMP_SQLITE, [json.dumps([(key.replace("-", ""), call) for key, call in pairs]), owner, now])
        if cursor.rowcount != len(pairs):
            raise LeaseLost(f"{len(pairs) - cursor.rowcount} deliveries of a call were no longer leased to it")


def postpone(integration_id: int, seconds: float) -> None:
    """Note that calls leave so much later than their moments: the next moments are after them."""
    Integration.objects.filter(pk=integration_id).update(paced_until=F("paced_until") + timedelta(seconds=seconds))


def now_or_later(row: Call, now: datetime) -> float:
    """Return the seconds until a stamped call may leave."""
    return max(0.0, (row.started_at - now).total_seconds())
