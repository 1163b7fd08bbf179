"""How often what may have arrived is sent again: a nudge that must never arrive twice says 0."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models.signals import post_save
from django.dispatch import receiver

from events.models import EventDefinition, EventDelivery
from events.states import Reason, State


def resends_allowed(of_definition: int | None) -> int:
    """Return how often to send again what may have arrived: as the definition says, else as the installation does."""
    return int(settings.DELIVERY_UNCERTAIN_RESENDS if of_definition is None else of_definition)


@receiver(post_save, sender=EventDefinition, dispatch_uid="withdraw_resends")
def withdraw_resends(instance: EventDefinition, created: bool, **_kwargs: Any) -> None:
    """Give up resends that are planned, or held, where the event allows fewer from now on."""
    if created:
        return
    planned = EventDelivery.objects.filter(
        integration=instance.integration_id,
        definition=instance,
        status__in=(State.RETRYING, State.HELD),
        uncertain_count__gt=resends_allowed(instance.uncertain_resends),
    )
    planned.update(status=State.FAILED, reason=Reason.UNCERTAIN, next_attempt_at=None)
