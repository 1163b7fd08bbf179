"""What time creates: coins and coupons about to expire, coins, coupons, referrals and reviews that lie unused.

A look goes through the rows that are due by an index, so many at a time, each part in one transaction with the place it came to:
it may end anywhere and goes on there, the same reminder has the same key whoever looks, and memory stays flat however many
rows are due.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from events import record_many, schedules
from events.bell import ask
from events.models import EventDefinition
from events.schedules import Schedule
from nectorbridge.loyalty import ledger
from nectorbridge.loyalty.models import WalletTransaction
from nectorbridge.loyalty.reminder_rules import RULES, Rule

ROWS_AT_A_TIME = 500
TURN_SECONDS = 20.0  # then the task asks for the next one
WALLETS_AT_A_TIME = 100
REMIND_TASK = "nectorbridge.loyalty.tasks.remind"


# --- A look ------------------------------------------------------------------------------------------------------------------
def ring_for_due(now: datetime | None = None) -> int:
    """Ask for a look at each event of which moments have come, and for what has expired. Returns how many looks."""
    due = [row.pk for row in schedules.scheduled(RULES) if schedules.is_due(row, RULES[row.trigger].is_lead, now)]
    return sum(ask(REMIND_TASK, pk) for pk in due)


def look(definition_id: int, seconds: float = TURN_SECONDS) -> int:
    """Record the reminders of one event whose moments have come, for so long at most. Returns how many rows were looked at.

    Safe to run twice, at the same time or after a crash: each part is recorded together with the place where it ends.
    """
    end, looked_at = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        part = _look_at_a_part(definition_id)
        if part is None:
            return looked_at
        looked_at += part
    ask(REMIND_TASK, definition_id)
    return looked_at


def _look_at_a_part(definition_id: int) -> int | None:
    """Record the next part of a look. Returns how many rows it had; None where nothing is left to look at."""
    with transaction.atomic():
        definition = _locked(definition_id)
        rule = RULES.get(definition.trigger) if definition else None
        now = timezone.now()
        if definition is None or rule is None or not schedules.is_due(definition, rule.is_lead, now):
            return None
        since, until = schedules.window(definition, now)
        plan, cursor = schedules.schedule_of(definition, rule.is_lead), definition.reminder_cursor
        number = cursor.get("step", 0)
        found = _rows(rule, definition, plan, number, (since, until), cursor.get("after"), now)
        told = [(row, plan.step_that_counts(getattr(row, rule.base), since, until)) for row in found]
        mine = [(row, step) for row, step in told if step == plan.steps[number]]
        record_many([rule.activity(row, definition, step, plan, now) for row, step in mine if step])
        if len(found) == ROWS_AT_A_TIME:
            last = [getattr(found[-1], rule.base).isoformat(), found[-1].pk]
            _note(definition, {"since": since.isoformat(), "until": until.isoformat(), "step": number, "after": last})
        elif number + 1 < len(plan.steps):
            _note(definition, {"since": since.isoformat(), "until": until.isoformat(), "step": number + 1})
        else:
            EventDefinition.objects.filter(pk=definition.pk).update(reminder_cursor={}, reminded_until=until)
    return len(found)


def _locked(definition_id: int) -> EventDefinition | None:
    """Return an event that is switched on, locked until the transaction ends."""
    rows = EventDefinition.objects.select_for_update(of=("self",)).filter(enabled=True, integration__enabled=True)
    return rows.select_related("integration__merchant").filter(pk=definition_id).first()


def _note(definition: EventDefinition, cursor: dict[str, Any]) -> None:
    """Write down where a look has come to."""
    EventDefinition.objects.filter(pk=definition.pk).update(reminder_cursor=cursor)


def _rows(
    rule: Rule,
    definition: EventDefinition,
    plan: Schedule,
    number: int,
    between: tuple[datetime, datetime],
    after: Any,
    now: datetime,
) -> list[Any]:
    """Return the next rows of one step, in the order of an index."""
    days = plan.days(plan.steps[number], *between) if number < len(plan.steps) else None
    if days is None:
        return []
    first, last = plan.span(*days)
    merchant = {f"{rule.customer}__merchant": definition.integration.merchant_id}
    rows = rule.rows(definition, now).filter(**{f"{rule.base}__gte": first, f"{rule.base}__lt": last}, **merchant)
    if after:
        moment, pk = datetime.fromisoformat(after[0]), after[1]
        behind = Q(**{f"{rule.base}__gt": moment}) | Q(**{rule.base: moment}, pk__gt=pk)
        rows = rows.filter(behind, **{f"{rule.base}__gte": moment})
    return list(rows.order_by(rule.base, "pk")[:ROWS_AT_A_TIME])


# --- What has expired --------------------------------------------------------------------------------------------------------
def expire_coins(now: datetime | None = None, seconds: float = 0.5) -> int:
    """Take back coins whose time is over, wallet by wallet, for so long at most. Returns how many wallets.

    Those that mirror Nector's are left alone: Nector says itself what it takes back.
    """
    moment, end, done = now or timezone.now(), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        over = WalletTransaction.objects.filter(remaining__gt=0, expires_at__lte=moment, wallet__mirrored_at__isnull=True)
        wallets = list(dict.fromkeys(over.order_by("expires_at").values_list("wallet", flat=True)[:WALLETS_AT_A_TIME]))
        for pk in wallets:
            with transaction.atomic():
                ledger.expire_lots(ledger.lock(pk), moment)
        done += len(wallets)
        if not wallets:
            break
    return done
