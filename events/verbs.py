"""What a person may do to a delivery. Each verb is one conditional UPDATE: whoever comes second changes nothing."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from django.db import transaction
from django.utils import timezone

from events.bell import ring
from events.models import EventDelivery
from events.staleness import earlier, own_end
from events.states import State
from integrations.models import Integration, Status

RETRYABLE = (State.FAILED, State.CANCELLED)
CANCELLABLE = (State.QUEUED, State.RETRYING, State.HELD)


def retry(delivery: EventDelivery) -> bool:
    """Put a failed or cancelled delivery back into the queue with a fresh budget of tries; its history stays.

    Where the integration cannot send, it is held until it can. Returns False where the state has changed meanwhile.
    """
    with transaction.atomic():
        # Locked, so that an integration that becomes active right now releases this row as well.
        integration = Integration.objects.select_for_update().only("status").get(pk=delivery.integration_id)
        state = State.QUEUED if integration.status == Status.ACTIVE else State.HELD
        now = timezone.now()
        changed = EventDelivery.objects.filter(pk=delivery.pk, status__in=RETRYABLE).update(
            status=state,
            reason="",
            detail="",
            failure_count=0,
            uncertain_count=0,
            first_failed_at=None,
            next_attempt_at=now,
            expires_at=_worth_until(delivery, now),
        )
        if changed and state == State.QUEUED:
            transaction.on_commit(partial(ring, delivery.integration_id), robust=True)
    return bool(changed)


def _worth_until(delivery: EventDelivery, now: datetime) -> datetime | None:
    """Return until when it is worth sending, decided anew: the definition's limit counts from now, what has ended has ended."""
    named = "is_test", "trigger", "payload", "definition__stale_after"
    row = EventDelivery.objects.filter(pk=delivery.pk).values_list(*named).first()
    if row is None or row[0]:
        return None
    _is_test, trigger, payload, stale_after = row
    return earlier(own_end(trigger, payload if isinstance(payload, dict) else {}), stale_after, now)


def cancel(delivery: EventDelivery) -> bool:
    """Withdraw a delivery that has not left. Returns False where it is being sent, or is over, already."""
    waiting = EventDelivery.objects.filter(pk=delivery.pk, status__in=CANCELLABLE)
    return bool(waiting.update(status=State.CANCELLED, next_attempt_at=None))
