"""The host project's own app: its commands, its dashboard, its health pages."""

from __future__ import annotations

from django.apps import AppConfig


class NectorbridgeConfig(AppConfig):
    """Holds what belongs to the installation as a whole."""

    name = "nectorbridge"
    verbose_name = "Nectorbridge"
