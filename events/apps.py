"""The events app."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import pgettext_lazy


class EventsConfig(AppConfig):
    """Connects the outbox to what it must hear of."""

    name = "events"
    verbose_name = pgettext_lazy("what the app does", "Sending")

    def ready(self) -> None:
        """Load the system checks and the receivers of integrations' signals."""
        from events import (  # noqa: F401 - they register themselves
            afterwards,
            checks,
            disconnecting,
            holding,
            outlook,
            resends,
            syncing,
        )
