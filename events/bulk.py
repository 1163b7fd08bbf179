"""Retry, replay or cancel of everything that a filter matches: a run in the background (`events.runs`), behind a cursor."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy, gettext_noop

from events import bell, bulk_filter, verbs
from events.bulk_filter import DeliveryFilter
from events.models import BulkAction, BulkState, EventDelivery, What
from events.replay import REPLAYABLE, Replay
from events.runs import Runs
from integrations.audit import note
from integrations.models import Merchant

logger = logging.getLogger(__name__)
COUNT_LIMIT = 10_000
COUNT_SECONDS = 2.0  # then "at least": people wait for the page

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


RUNS = Runs(
    BulkAction,
    bell.BULK_TASK,
    gettext_lazy("Stopped after an error of ours, which was logged. What was done so far stays; start it again."),
)


# --- Before it starts ----------------------------------------------------------------------------------------------------
def able(what: str, wanted: DeliveryFilter) -> QuerySet[EventDelivery]:
    """Return the rows of the filter whose state allows it."""
    return wanted.rows().filter(ABLE[what])


def count(what: str, wanted: DeliveryFilter) -> bulk_filter.Counted:
    """Return how many rows it would touch, counted to 10,000 and for two seconds."""
    return count_of(able(what, wanted), wanted)


def count_of(rows: QuerySet[EventDelivery], wanted: DeliveryFilter) -> bulk_filter.Counted:
    """Return how many rows there are of these, which the filter matches; counted in the same way."""
    ends = bulk_filter.bounds(wanted)
    if ends is None:
        return bulk_filter.Counted(0)
    return bulk_filter.count(rows, bulk_filter.Walk(*ends), limit=COUNT_LIMIT, seconds=COUNT_SECONDS)


# --- Starting and stopping -----------------------------------------------------------------------------------------------
def start(what: str, wanted: DeliveryFilter, merchant: Merchant, user: Any, token: UUID) -> BulkAction | None:
    """Begin a run for one merchant; None where there is nothing to do. Whether the user may is checked again at every turn.

    The same token twice, or the same thing while it runs, is the same run.
    """
    wanted = wanted.of(merchant.pk)
    earlier = BulkAction.objects.filter(merchant=merchant, token=token).first()
    ends = bulk_filter.bounds(wanted)
    if earlier or ends is None:
        return earlier
    lower, upper = ends
    counted = bulk_filter.count(able(what, wanted), bulk_filter.Walk(lower, upper), COUNT_LIMIT, COUNT_SECONDS)
    if not counted.number and not counted.is_more:
        return BulkAction.objects.filter(
            merchant=merchant, fingerprint=fingerprint(what, wanted), state=BulkState.RUNNING
        ).first()
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
            note(what, action, actor=user, number=counted.number)
            bell.after_commit(RUNS.ring, action.pk, "bulk action")
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
    return bool(
        running.update(state=BulkState.STOPPED, ended_at=timezone.now(), message=message or gettext_noop("Stopped by hand."))
    )
