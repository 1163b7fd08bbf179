"""The events app."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class EventsConfig(AppConfig):
    """Connects the outbox to what it must hear of."""

    name = "events"
    verbose_name = _("Sending")

    def ready(self) -> None:
        """Load the system checks and the receivers of integrations' signals."""
        from events import afterwards, checks, disconnecting, holding, outlook, syncing  # noqa: F401 - they register themselves
