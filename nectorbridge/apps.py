"""The host project's own app: its commands, its dashboard, its health pages."""

from __future__ import annotations

from django.apps import AppConfig
from django.urls import reverse


class NectorbridgeConfig(AppConfig):
    """Holds what belongs to the installation as a whole."""

    name = "nectorbridge"
    verbose_name = "Nectorbridge"

    def ready(self) -> None:
        """Load the system checks, and say where a second factor is set up again: it must be reset first."""
        from integrations import rotation
        from nectorbridge import checks  # noqa: F401 - they register themselves

        rotation.entered_at("nectorbridge.SecondFactor.sealed_key", lambda _pk: reverse("second_factor_staff"))
