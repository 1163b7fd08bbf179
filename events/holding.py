"""Hold, don't burn: what happens to an integration's queue when the integration stops or starts again."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.dispatch import receiver
from django.utils import timezone

from events import staleness
from events.bell import ring
from events.lookups import IS_DUE, in_states
from events.models import EventDelivery
from events.states import State
from events.statistics import disturb, ends_of
from integrations.models import Integration, Status
from integrations.signals import status_changed


def hold(integration_id: int) -> int:
    """Set this integration's waiting deliveries aside. Returns how many.

    Of one that was disconnected they are cancelled: they were in a call at that moment, and nobody expects them any more.
    """
    waiting = EventDelivery.objects.filter(IS_DUE, integration_id=integration_id)
    if Integration.objects.filter(pk=integration_id, status=Status.DRAFT).exists():
        return waiting.update(status=State.CANCELLED, next_attempt_at=None)
    return waiting.update(status=State.HELD)


def release(integration_id: int) -> int:
    """Put held deliveries back into the queue, oldest first, with the tries and the times they had. Returns how many.

    What was not worth sending any more by now is skipped instead, not sent all at once.
    """
    staleness.expire(timezone.now(), integration_id)
    held = in_states(EventDelivery.objects.filter(integration_id=integration_id), [State.HELD])
    with transaction.atomic():
        disturb(integration_id, ends_of(held))
        fresh = held.filter(attempt_count=0).update(status=State.QUEUED)
        return fresh + held.update(status=State.RETRYING)


@receiver(status_changed, dispatch_uid="hold_or_release_queue")
def on_status_change(integration: Integration, after: str, **_kwargs: Any) -> None:
    """Hold the queue of an integration that cannot send; let it flow again once it can."""
    if after == Status.ACTIVE:
        with transaction.atomic():
            release(integration.pk)
            transaction.on_commit(lambda: ring(integration.pk), robust=True)
    elif after in (Status.ATTENTION, Status.PAUSED):
        hold(integration.pk)
