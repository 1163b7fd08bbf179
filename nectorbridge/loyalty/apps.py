"""The loyalty app."""

from __future__ import annotations

from django.apps import AppConfig
from django.urls import reverse
from django.utils.translation import gettext_lazy as _


class LoyaltyConfig(AppConfig):
    """Connects the ledger's announcements."""

    name = "nectorbridge.loyalty"
    label = "loyalty"
    verbose_name = _("Loyalty")

    def ready(self) -> None:
        """Connect the signal handlers, and have webhooks and imports go with the payloads."""
        from events import retention
        from integrations import rotation
        from nectorbridge.loyalty import receivers  # noqa: F401 - they register themselves
        from nectorbridge.loyalty.imports import work
        from nectorbridge.loyalty.nector import inbox

        retention.keep_like_payloads("webhooks", inbox.RECEIPTS.over_before)
        retention.keep_like_payloads("imports", work.over)
        rotation.entered_at(
            "integrations.Merchant.sealed_nector_secrets", lambda pk: f"{reverse('admin:loyalty_nector_door')}?merchant={pk}"
        )
