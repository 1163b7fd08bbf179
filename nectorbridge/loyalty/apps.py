"""The loyalty app."""

from __future__ import annotations

from django.apps import AppConfig
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

REMIND_SECONDS = 30.0


class LoyaltyConfig(AppConfig):
    """Connects the ledger's announcements."""

    name = "nectorbridge.loyalty"
    label = "loyalty"
    verbose_name = _("Loyalty")

    def ready(self) -> None:
        """Connect the signal handlers, register the chores, and have webhooks and imports go with the payloads."""
        from django.conf import settings

        from events import chores, retention
        from integrations import rotation
        from nectorbridge.loyalty import receivers  # noqa: F401 - they register themselves
        from nectorbridge.loyalty.imports import work
        from nectorbridge.loyalty.nector import inbox

        retention.keep_like_payloads("webhooks", inbox.RECEIPTS.over_before)
        retention.keep_like_payloads("imports", work.over)
        sweep, own = settings.DELIVERY_SWEEP_SECONDS, "nectorbridge.loyalty"
        chores.register("ring for webhooks that wait", sweep, f"{own}.nector.inbox.ring_for_due")
        chores.register("ring for imports that wait", sweep, f"{own}.imports.work.ring_for_due")
        chores.register("ring for erasures that wait", sweep, f"{own}.personal.erasing.ring_for_due")
        chores.register("ring for reminders", REMIND_SECONDS, f"{own}.reminders.ring_for_due")
        chores.register("take back expired coins", REMIND_SECONDS, f"{own}.reminders.expire_coins")
        rotation.entered_at(
            "integrations.Merchant.sealed_nector_secrets", lambda pk: f"{reverse('admin:loyalty_nector_door')}?merchant={pk}"
        )
