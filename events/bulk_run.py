"""A run at work: turns of a few seconds, each of small batches, each batch with its progress in one short transaction."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from events import bulk_filter, verbs
from events.bulk import VERBS, able, ring, stop
from events.bulk_filter import DeliveryFilter
from events.claims import new_owner
from events.lookups import IS_DUE
from events.models import BulkAction, BulkState, EventDelivery
from events.replay import mark_of
from integrations.models import Integration, Merchant, Status
from integrations.scope import scoped

logger = logging.getLogger(__name__)
BATCH = 500
TURN_SECONDS = 5.0  # then other tasks have their turn
CALLS_AHEAD = 2  # fresh events wait behind two waves of calls at most
FEWEST_AHEAD, MOST_AHEAD = 1_000, 20_000
PATIENCE = 5  # errors of ours in a row
FIRST_WAIT_SECONDS = 1.0


def run(action_id: int) -> int:
    """Do one turn of a run. Safe to run twice or for nothing. Returns how many deliveries were looked at."""
    owner = new_owner()
    BulkAction.objects.filter(pk=action_id).update(rung_at=None)
    if not _lease(action_id, owner):
        return 0
    try:
        handled = _turn(action_id, owner)
    except Exception:  # a worker's edge: recorded, tried again in a while, and never for ever
        logger.exception("Bulk action %s could not go on.", action_id)
        _failed(action_id, owner)
        return 0
    finally:
        BulkAction.objects.filter(pk=action_id, lease_owner=owner).update(lease_owner="", lease_until=None)
    if BulkAction.objects.filter(pk=action_id, state=BulkState.RUNNING, next_at__lte=timezone.now()).exists():
        ring(action_id)
    return handled


def _lease(action_id: int, owner: str) -> bool:
    """Take the right to work at a run; False where it is over, or another worker has it."""
    now = timezone.now()
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    mine = BulkAction.objects.filter(free, pk=action_id, state=BulkState.RUNNING, next_at__lte=now)
    return bool(mine.update(lease_owner=owner, lease_until=now + timedelta(seconds=settings.DELIVERY_LEASE_SECONDS)))


def _turn(action_id: int, owner: str) -> int:
    """Do batches until the run is over or the turn is."""
    action = BulkAction.objects.select_related("merchant", "asked_by").get(pk=action_id)
    if not may_act(action.asked_by, action.merchant):
        stop(action, _("Stopped: whoever asked for it may no longer act for this merchant."))
        return 0
    deadline, handled = time.monotonic() + TURN_SECONDS, 0
    walk = bulk_filter.Walk(action.lower_id, action.upper_id)
    while time.monotonic() < deadline:
        page = _batch(action, owner, walk)
        handled += len(page.ids) if page else 0
        if page is None or page.is_last:
            break
    return handled


def may_act(user: Any, merchant: Merchant) -> bool:
    """Tell whether this user may, at this moment, act for this merchant."""
    if user is None or not (user.is_active and user.is_staff):
        return False
    return scoped(Merchant.objects.filter(pk=merchant.pk), user, "pk", writing=True).exists()


def _batch(action: BulkAction, owner: str, walk: bulk_filter.Walk) -> bulk_filter.Page | None:
    """Do the next batch and return it; None where nothing was done and the turn is over."""
    wanted = DeliveryFilter.thawed(action.filter).of(action.merchant_id)  # whatever is frozen: never another merchant's
    token = f"bulk-{action.pk}"
    rows = able(action.what, wanted).exclude(idempotency_key__contains=mark_of(token))  # clocks differ: never its own replays
    page = bulk_filter.next_page(rows, action.cursor, walk, BATCH)
    plan = VERBS[action.what](list(page.ids), token) if page.ids else None
    if plan and (full := first_full(plan.integrations)):
        words = _("It waits until %(provider)s has taken more of its queue, so that fresh events are not held up.")
        wait = timezone.now() + timedelta(seconds=FIRST_WAIT_SECONDS)
        _mine(action, owner).update(next_at=wait, message=words % {"provider": full.label})
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
        lease_until=now + timedelta(seconds=settings.DELIVERY_LEASE_SECONDS),
    )


def first_full(integrations: Collection[int]) -> Integration | None:
    """Return an integration that has enough to do: more would only make its fresh events wait behind what is sent again.

    One that may not send now takes any number: its queue is not being worked off, so there is nothing to wait for.
    """
    now = timezone.now()
    free = Q(hold_until__isnull=True) | Q(hold_until__lte=now)
    answers = Q(breaker_until__isnull=True) | Q(breaker_until__lte=now)
    for row in Integration.objects.filter(free, answers, pk__in=integrations, status=Status.ACTIVE, enabled=True):
        limits = row.contract.limits
        ahead = min(max(CALLS_AHEAD * limits.records_per_call * limits.calls_in_flight, FEWEST_AHEAD), MOST_AHEAD)
        due = EventDelivery.objects.filter(IS_DUE, integration=row.pk, next_attempt_at__lte=now).order_by()
        if due[ahead : ahead + 1].exists():
            return row
    return None


def _failed(action_id: int, owner: str) -> None:
    """Note an error of ours; after a few in a row the run stops, and says so."""
    mine = BulkAction.objects.filter(pk=action_id, lease_owner=owner, state=BulkState.RUNNING)
    action = mine.first()
    if action is None:
        return
    if action.failures + 1 >= PATIENCE:
        stop(action, _("Stopped after an error of ours, which was logged. What was done so far stays; start it again."))
        return
    wait = timedelta(seconds=FIRST_WAIT_SECONDS * 2**action.failures)
    mine.update(failures=F("failures") + 1, next_at=timezone.now() + wait)
