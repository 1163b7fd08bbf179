"""The integrations app."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class IntegrationsConfig(AppConfig):
    """Registers the checks of this room, looks after the groups of roles, and listens for the audit trail."""

    name = "integrations"
    verbose_name = _("Integrations")

    def ready(self) -> None:
        """Load the system checks; have groups made again where a database was emptied."""
        from integrations import checks, logins, roles  # noqa: F401 - checks register themselves

        logins.connect()
        post_migrate.connect(roles.restore, sender=self, dispatch_uid="integrations.roles.restore")
