"""What a person may do to a delivery. Each verb is one conditional UPDATE: whoever comes second changes nothing."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.utils import timezone

from events.bell import ring
from events.models import EventDelivery
from events.retention import blank
from events.states import State
from events.statistics import disturb
from integrations.models import Integration, Status

RETRYABLE = (State.FAILED, State.CANCELLED)
CANCELLABLE = (State.QUEUED, State.RETRYING, State.HELD)


def retry(delivery: EventDelivery) -> bool:
    """Put a failed or cancelled delivery back into the queue with a fresh budget of tries; its history stays.

    Where the integration cannot send, it is held until it can. Returns False where the state has changed meanwhile, and
    where retention has blanked what was to be sent.
    """
    with transaction.atomic():
        # Locked, so that an integration that becomes active right now releases this row as well.
        integration = Integration.objects.select_for_update().only("status").get(pk=delivery.integration_id)
        state = State.QUEUED if integration.status == Status.ACTIVE else State.HELD
        changed = EventDelivery.objects.filter(pk=delivery.pk, status__in=RETRYABLE).exclude(blank()).update(
            status=state,
            reason="",
            detail="",
            failure_count=0,
            uncertain_count=0,
            first_failed_at=None,
            next_attempt_at=timezone.now(),
        )
        if changed:
            disturb(delivery.integration_id, [delivery.pk])
        if changed and state == State.QUEUED:
            transaction.on_commit(partial(ring, delivery.integration_id), robust=True)
    return bool(changed)


def cancel(delivery: EventDelivery) -> bool:
    """Withdraw a delivery that has not left. Returns False where it is being sent, or is over, already."""
    with transaction.atomic():
        waiting = EventDelivery.objects.filter(pk=delivery.pk, status__in=CANCELLABLE)
        changed = waiting.update(status=State.CANCELLED, next_attempt_at=None)
        if changed:
            disturb(delivery.integration_id, [delivery.pk])
    return bool(changed)
