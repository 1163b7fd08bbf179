"""Which steps of a provider's guide that come after connecting are done: told to the set-up page, which asks."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from events.models import EventDefinition
from integrations.models import Integration
from integrations.signals import steps_done


@receiver(steps_done, dispatch_uid="steps_done_with_events")
def done_with_events(sender: Any, integration: Integration, **_more: Any) -> set[str]:
    """Return `new_event` once there is an event, and `test` once the provider took a test of one: one query."""
    seen = list(EventDefinition.objects.filter(integration_id=integration.pk).values_list("seen_at", flat=True))
    return {name for name, is_done in (("new_event", bool(seen)), ("test", any(seen))) if is_done}
