"""The host project's own app: its commands, its dashboard, its health pages."""

from __future__ import annotations

from django.apps import AppConfig


class NectorbridgeConfig(AppConfig):
    """Holds what belongs to the installation as a whole."""

    name = "nectorbridge"
    verbose_name = "Nectorbridge"

    def ready(self) -> None:
        """Load the system checks."""
        from nectorbridge import checks  # noqa: F401 - they register themselves
