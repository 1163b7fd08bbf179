"""Retry, replay or cancel of everything that a filter matches: a job in the background, in small batches with a cursor.

Each batch and the progress it makes are one short transaction, so a crash costs nothing but the time until the lease is
over: the next worker goes on behind the cursor. Two workers at the same run, two clicks and a stop in the middle are all
decided by conditional updates of the run's row. The sweep rings for what is due.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from events import bell, bulk_filter, verbs
from events.bulk_filter import DeliveryFilter
from events.claims import new_owner
from events.models import BulkAction, BulkState, EventDelivery, What
from events.replay import REPLAYABLE, Replay, mark_of
from events.sql import IS_DUE
from integrations.models import Integration, Merchant, Status
from integrations.scope import scoped

logger = logging.getLogger(__name__)
COUNT_LIMIT = 10_000
COUNT_SECONDS = 2.0  # then "at least": people wait for the page
BATCH = 250
TURN_SECONDS = 5.0  # then other tasks have their turn
CALLS_AHEAD = 2  # fresh events wait behind two waves of calls at most
FEWEST_AHEAD, MOST_AHEAD = 1_000, 20_000
PATIENCE = 5  # errors of ours in a row
FIRST_WAIT_SECONDS = 1.0

VERBS: dict[str, Callable[[list[UUID], str], verbs.Plan]] = {
    What.RETRY: verbs.Retry,
    What.REPLAY: Replay,
    What.CANCEL: verbs.Cancel,
}
ABLE: dict[str, Q] = {
    What.RETRY: Q(status__in=verbs.RETRYABLE),
    What.REPLAY: REPLAYABLE,
    What.CANCEL: Q(status__in=verbs.CANCELLABLE),
}


# --- Before it starts ----------------------------------------------------------------------------------------------------
def able(what: str, wanted: DeliveryFilter) -> QuerySet[EventDelivery]:
    """Return the rows of the filter whose state allows it."""
    return wanted.rows().filter(ABLE[what])


def count(what: str, wanted: DeliveryFilter, merchant_id: int) -> bulk_filter.Counted:
    """Return how many of a merchant's rows it would touch, counted to 10,000 and for two seconds."""
    return count_of(able(what, wanted), wanted, merchant_id)


def count_of(rows: QuerySet[EventDelivery], wanted: DeliveryFilter, merchant_id: int) -> bulk_filter.Counted:
    """Return how many of these rows, all within the filter, are a merchant's; counted in the same way."""
    ends = bulk_filter.bounds(merchant_id, wanted)
    if ends is None:
        return bulk_filter.Counted(0)
    return bulk_filter.count(rows, merchant_id, *ends, limit=COUNT_LIMIT, seconds=COUNT_SECONDS)


# --- Starting and stopping -----------------------------------------------------------------------------------------------
def start(what: str, wanted: DeliveryFilter, merchant: Merchant, user: Any, token: UUID) -> BulkAction | None:
    """Begin a run for one merchant; None where there is no row at all. Whether the user may is checked again at every turn.

    The same token twice, or the same thing while it runs, is the same run.
    """
    wanted = wanted.of(merchant.pk)
    earlier = BulkAction.objects.filter(merchant=merchant, token=token).first()
    ends = bulk_filter.bounds(merchant.pk, wanted)
    if earlier or ends is None:
        return earlier
    lower, upper = ends
    counted = bulk_filter.count(able(what, wanted), merchant.pk, lower, upper, COUNT_LIMIT, COUNT_SECONDS)
    values: dict[str, Any] = {
        "what": what,
        "filter": wanted.frozen(),
        "fingerprint": fingerprint(what, wanted),
        "lower_id": lower,
        "upper_id": upper,
        "cursor": UUID(int=max(lower.int - 1, 0)),
        "total": counted.number,
        "is_more": counted.is_more,
        "asked_by": user,
    }
    try:
        with transaction.atomic():
            action = BulkAction.objects.create(merchant=merchant, token=token, **values)
            transaction.on_commit(lambda: ring(action.pk), robust=True)
    except IntegrityError:
        same = Q(token=token) | Q(fingerprint=values["fingerprint"], state=BulkState.RUNNING)
        return BulkAction.objects.filter(same, merchant=merchant).order_by("-id").first()
    logger.info("Bulk action %s (%s) of merchant %s begins.", action.pk, what, merchant.pk)
    return action


def fingerprint(what: str, wanted: DeliveryFilter) -> str:
    """Return what makes two runs the same."""
    return hashlib.sha256(json.dumps([str(what), wanted.frozen()], sort_keys=True).encode()).hexdigest()


def stop(action: BulkAction, message: str = "") -> bool:
    """Stop a run where it is: what was changed stays changed. Returns False where it is over already."""
    running = BulkAction.objects.filter(pk=action.pk, state=BulkState.RUNNING)
    return bool(running.update(state=BulkState.STOPPED, ended_at=timezone.now(), message=message or _("Stopped by hand.")))


# --- The bell ------------------------------------------------------------------------------------------------------------
def ring(action_id: int) -> bool:
    """Ask for a turn of a run, unless one is asked for already. A lost one costs a sweep."""
    now = timezone.now()
    silent = Q(rung_at__isnull=True) | Q(rung_at__lt=now - timedelta(seconds=settings.DELIVERY_SWEEP_SECONDS))
    if not BulkAction.objects.filter(silent, pk=action_id, state=BulkState.RUNNING).update(rung_at=now):
        return False
    return bell.ask(bell.BULK_TASK, action_id)


def ring_for_due(now: datetime) -> int:
    """Ring for every run that is due and at which nobody works. Returns for how many it rang."""
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    due = BulkAction.objects.filter(free, state=BulkState.RUNNING, next_at__lte=now)
    return sum(ring(pk) for pk in due.values_list("pk", flat=True))


# --- The work ------------------------------------------------------------------------------------------------------------
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
    while time.monotonic() < deadline:
        page = _batch(action, owner)
        handled += len(page.ids) if page else 0
        if page is None or page.is_last:
            break
    return handled


def may_act(user: Any, merchant: Merchant) -> bool:
    """Tell whether this user may, at this moment, act for this merchant."""
    if user is None or not (user.is_active and user.is_staff):
        return False
    return scoped(Merchant.objects.filter(pk=merchant.pk), user, "pk", writing=True).exists()


def _batch(action: BulkAction, owner: str) -> bulk_filter.Page | None:
    """Do the next batch and return it; None where nothing was done and the turn is over."""
    wanted = DeliveryFilter.thawed(action.filter).of(action.merchant_id)  # whatever is frozen: never another merchant's
    token = f"bulk-{action.pk}"
    rows = able(action.what, wanted).exclude(idempotency_key__contains=mark_of(token))  # clocks differ: never its own replays
    page = bulk_filter.next_page(wanted, rows, action.cursor, action.upper_id, BATCH)
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
    for row in Integration.objects.filter(free, pk__in=integrations, status=Status.ACTIVE, enabled=True):
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
