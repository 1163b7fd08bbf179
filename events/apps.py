"""The events app."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.utils.translation import pgettext_lazy

from events.conf import DEFAULTS
from integrations import conf


class EventsConfig(AppConfig):
    """Connects the outbox to what it must hear of."""

    name = "events"
    verbose_name = pgettext_lazy("what the app does", "Sending")

    def __init__(self, *args: Any) -> None:
        """Fill in the settings that the host leaves out, before any model is imported."""
        super().__init__(*args)
        conf.fill_in(DEFAULTS)

    def ready(self) -> None:
        """Load the system checks and the receivers of integrations' signals."""
        from events import (  # noqa: F401 - they register themselves
            afterwards,
            checks,
            chores,
            disconnecting,
            holding,
            outlook,
            resends,
            syncing,
        )

        chores.register_own()
