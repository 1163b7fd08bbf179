"""A bulk action at work: batches behind a cursor, each with its progress in one short transaction."""

from __future__ import annotations

import time
from collections import Counter

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from events import bulk_filter, verbs
from events.bulk import RUNS, VERBS, able, stop
from events.bulk_filter import DeliveryFilter
from events.models import BulkAction, BulkState
from events.replay import mark_of
from events.runs import leased_until

BATCH = 500
TURN_SECONDS = 5.0  # then other tasks have their turn


def run(action_id: int) -> int:
    """Do one turn of a run (see `events.runs`). Returns how many deliveries were looked at."""
    return RUNS.work(action_id, _turn, stop)


def _turn(action: BulkAction, owner: str) -> int:
    """Do batches until the run is over or the turn is."""
    deadline, handled = time.monotonic() + TURN_SECONDS, 0
    walk = bulk_filter.Walk(action.lower_id, action.upper_id)
    while time.monotonic() < deadline:
        page = _batch(action, owner, walk)
        handled += len(page.ids) if page else 0
        if page is None or page.is_last:
            break
    return handled


def _batch(action: BulkAction, owner: str, walk: bulk_filter.Walk) -> bulk_filter.Page | None:
    """Do the next batch and return it; None where nothing was done and the turn is over."""
    wanted = DeliveryFilter.thawed(action.filter).of(action.merchant_id)  # whatever is frozen: never another merchant's
    token = f"bulk-{action.pk}"
    rows = able(action.what, wanted).exclude(idempotency_key__contains=mark_of(token))  # clocks differ: never its own replays
    page = bulk_filter.next_page(rows, action.cursor, walk, BATCH)
    plan = VERBS[action.what](list(page.ids), token) if page.ids else None
    if plan and RUNS.wait_for(action, owner, plan.integrations):
        return None
    with transaction.atomic():
        locked = _mine(action, owner).select_for_update(no_key=True).first()
        if locked is None:  # stopped, or taken over after the lease
            return None
        counts = plan.carry_out() if plan else Counter()
        _note(locked, page, counts)
    action.cursor = page.cursor
    return page


def _mine(action: BulkAction, owner: str) -> QuerySet[BulkAction]:
    """Return the run, as long as it runs, this worker has it and nobody went on with it."""
    now = timezone.now()
    return BulkAction.objects.filter(
        pk=action.pk, state=BulkState.RUNNING, lease_owner=owner, lease_until__gt=now, cursor=action.cursor
    )


def _note(action: BulkAction, page: bulk_filter.Page, counts: Counter[str]) -> None:
    """Write down how far the run is."""
    now = timezone.now()
    over = {"state": BulkState.DONE, "ended_at": now} if page.is_last else {}
    BulkAction.objects.filter(pk=action.pk).update(
        **over,
        cursor=page.cursor,
        handled=F("handled") + len(page.ids),
        touched=F("touched") + verbs.touched(counts),
        counts=dict(Counter(action.counts) + counts),
        message="",
        failures=0,
        lease_until=leased_until(now),
    )
