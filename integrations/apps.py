"""The integrations app."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class IntegrationsConfig(AppConfig):
    """Registers the checks of this room."""

    name = "integrations"
    verbose_name = _("Integrations")

    def ready(self) -> None:
        """Load the system checks."""
        from integrations import checks  # noqa: F401 - registers itself
