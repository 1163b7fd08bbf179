"""The integrations app."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from integrations import conf
from integrations.conf import DEFAULTS


class IntegrationsConfig(AppConfig):
    """Registers the checks of this room, looks after the groups of roles, and listens for the audit trail."""

    name = "integrations"
    verbose_name = _("Integrations")

    def __init__(self, *args: Any) -> None:
        """Fill in the settings that the host leaves out, before any model is imported."""
        super().__init__(*args)
        conf.fill_in(DEFAULTS)

    def ready(self) -> None:
        """Load the system checks; have groups made again where a database was emptied."""
        from integrations import checks, logins, roles, rotation  # noqa: F401 - checks register themselves

        for name in ("sealed_secrets", "sealed_candidate", "sealed_callback_auth"):
            rotation.entered_at(f"integrations.Integration.{name}", _set_up)
        logins.connect()
        post_migrate.connect(roles.restore, sender=self, dispatch_uid="integrations.roles.restore")


def _set_up(pk: Any) -> str:
    """Return the address of an integration's set-up page."""
    return reverse("admin:integrations_integration_change", args=[pk])
