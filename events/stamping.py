"""The stamp: calls are committed before they leave, as many as the contract allows, each with the moment at which it may.

Limits hold across all workers and machines, since they are counted in the database under the integration's lock: calls
under way are open rows; a rate is a row of moments, of which every stamp takes the next ones; what a minute allows is counted
in the integration's row. Nothing is committed while that row says that the provider is to be left alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from events import breaker, budgets
from events.models import Call, CallKind
from events.sql import array, moment
from integrations.locks import lock_integration
from integrations.models import Integration
from integrations.providers.base import Limits

LOOKED_AT = ("hold_until", "breaker_until", "breaker_failures")
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
    """What one account may do: its contract's limits, its calls a second (None: no figure) and its limits a minute by name.

    `is_probe`: one call may leave through a half-open breaker. `is_beside` and `is_fresh`: these calls leave beside, or right
    after, those of another process, which may be a little late: a moment is left free before each, or before the first.
    """

    limits: Limits
    per_second: float | None = None
    per_minute: Mapping[str, int] = field(default_factory=dict)
    is_probe: bool = False
    is_beside: bool = False
    is_fresh: bool = False


def stamp(
    rows: Sequence[Call],
    deliveries: Sequence[Sequence[str]],
    owner: str,
    allowance: Allowance,
    spends: Sequence[Mapping[str, int]] = (),
) -> list[Call]:
    """Commit that these calls start: each call's row, and call and try on its deliveries. Returns those that may leave.

    A returned call leaves at its `started_at`, not before. `spends`: what each call takes of the limits a minute. The rows'
    integration learns how its hold and its breaker stand. Raises LeaseLost.
    """
    if not rows:
        return []
    with transaction.atomic(savepoint=False):
        lock_integration(rows[0].integration_id)
        look(rows[0].integration)
        leaving = _within_limits(_let_through(rows, allowance), allowance.limits)
        leaving = _within_minute(_within_pace(leaving, allowance), rows, spends, allowance.per_minute)
        leaving = Call.objects.bulk_create(leaving)
        ids = {id(row): keys for row, keys in zip(rows, deliveries, strict=True)}
        _stamp_deliveries([(key, row.pk) for row in leaving for key in ids[id(row)]], owner)
    return leaving


def look(integration: Integration) -> None:
    """Note on this object how hold and breaker of its row stand now."""
    found = Integration.objects.filter(pk=integration.pk).values_list(*LOOKED_AT).first()
    for name, value in zip(LOOKED_AT, found or (), strict=False):
        setattr(integration, name, value)


def is_left_alone(integration: Integration, is_probe: bool = False) -> bool:
    """Tell whether no call may leave, by what was last seen of the row: its provider asked for patience, or does not answer."""
    now = timezone.now()
    if integration.hold_until is not None and integration.hold_until > now:
        return True
    state = breaker.state(integration, now)
    return state is breaker.State.OPEN or (state is breaker.State.HALF_OPEN and not is_probe)


def _let_through(rows: Sequence[Call], allowance: Allowance) -> Sequence[Call]:
    """Return the calls that hold and breaker let through: none, all, or one as long as nobody knows whether it is answered."""
    integration = rows[0].integration
    if is_left_alone(integration, allowance.is_probe):
        return []
    if integration.breaker_until is not None:
        return rows[:1]
    if integration.breaker_failures:  # one at a time: a provider that just failed gets no crowd of calls
        under_way = Call.objects.filter(integration=integration, ended_at__isnull=True, lease_until__gt=timezone.now())
        return [] if under_way.exists() else rows[:1]
    return rows


def _within_limits(rows: Sequence[Call], limits: Limits) -> list[Call]:
    """Return the calls, from the first on, for which there is room among those under way anywhere."""
    if not rows:
        return []
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


def _within_pace(rows: list[Call], allowance: Allowance) -> list[Call]:
    """Give each call the next free moment of the account's rate; leave out those whose moment is too far away."""
    if not allowance.per_second or not rows:
        return rows
    now, step = timezone.now(), timedelta(seconds=PACE_SLACK / allowance.per_second)  # after the wait for the lock
    accounts = Integration.objects.filter(pk=rows[0].integration_id)
    taken: datetime | None = accounts.values_list("paced_until", flat=True).first()
    first = now + PACE_LEAD
    free = max(first, taken) if taken and taken < first + PACE_AHEAD + step + PACE_TRUSTED else first
    if allowance.is_fresh and free > first:
        free += step
    leaving = []
    for row in rows:
        if free > first + PACE_AHEAD:
            break
        row.lease_until += free - row.started_at
        row.started_at = free
        free += 2 * step if allowance.is_beside else step
        leaving.append(row)
    if leaving:
        accounts.update(paced_until=free)
    return leaving


def _within_minute(
    leaving: list[Call], rows: Sequence[Call], spends: Sequence[Mapping[str, int]], per_minute: Mapping[str, int]
) -> list[Call]:
    """Leave out what a minute does not allow any more, and note what the others take. Nothing left: a hold until there is."""
    if not per_minute or not leaving:
        return leaving
    now, account = timezone.now(), Integration.objects.filter(pk=rows[0].integration_id)
    costs = {id(row): cost for row, cost in zip(rows, spends, strict=True)}
    spent = account.values_list("minute_spent", flat=True).get()
    number = budgets.affordable(spent, per_minute, [costs[id(row)] for row in leaving], now)
    if not number:  # its count of holds stays: nobody was told to wait, we keep within a known limit
        until = budgets.free_at(spent, now)
        account.update(hold_until=until)
        rows[0].integration.hold_until = until
        return []
    calls = [costs[id(row)] for row in leaving[:number]]
    account.update(minute_spent=budgets.spend(spent, per_minute, calls, now))
    return leaving[:number]


def _stamp_deliveries(pairs: Sequence[tuple[str, int]], owner: str) -> None:
    """Write call and try on the deliveries of all calls, in one statement."""
    if not pairs:
        return
    now = moment(timezone.now())  # the sweep gives back what is past its lease, so that must not leave
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            keys, calls = zip(*pairs, strict=True)
            cursor.execute(STAMP_POSTGRESQL, [array(keys), array(calls), owner, now])
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
