"""What an answer means for the integration as a whole: leave it alone for a while, or stop and ask for a person."""

from __future__ import annotations

import logging
from datetime import datetime

from django.utils.translation import gettext as _

from events.retry import hold_seconds, jittered
from integrations.models import Integration, Status
from integrations.providers.base import Account, Verdict
from integrations.verification import set_status, verify

logger = logging.getLogger(__name__)
UNCONFIRMED_HOLD_SECONDS = 5.0
UNCONFIRMED_REFUSALS = 3  # in a row: then a person must look, whatever the check says


def leave_alone(integration: Integration, seconds: float, now: datetime) -> datetime:
    """Hold the whole integration until the returned moment. No delivery uses up a try.

    `seconds` as the provider named them; negative: it named none, so -seconds is doubled at each hold in a row.
    """
    length = seconds if seconds >= 0 else hold_seconds(-seconds, integration.hold_count)
    until = now + jittered(length)
    integration.hold_until, integration.hold_count = until, integration.hold_count + 1
    Integration.objects.filter(pk=integration.pk).update(hold_until=until, hold_count=integration.hold_count)
    logger.info("Integration %s is left alone for %.0f s, as its provider asked.", integration.pk, length)
    return until


def resumed(integration: Integration) -> None:
    """Note that the provider takes events again."""
    if integration.hold_count:
        integration.hold_until, integration.hold_count = None, 0
        Integration.objects.filter(pk=integration.pk).update(hold_until=None, hold_count=0)


def credentials_refused(integration: Integration, account: Account, verdict: Verdict, now: datetime) -> None:
    """Set the integration to `attention`, unless the provider's own credential check says that all is well.

    One refusal may be a blip of the provider's; then the integration is only left alone for a while.
    """
    checked = verify(integration.contract, account)
    if checked.ok and integration.hold_count < UNCONFIRMED_REFUSALS - 1:
        leave_alone(integration, -UNCONFIRMED_HOLD_SECONDS, now)
        return
    fix = checked.fix if checked.reachable else _("Open the set-up page, check the values and initialize again.")
    needs_attention(integration, verdict.message or checked.reason, fix)


def needs_attention(integration: Integration, reason: str, fix: str) -> None:
    """Stop this integration until a person acts; its queue is held, nothing is burned."""
    integration.refresh_from_db(fields=["status"])
    if integration.status == Status.ACTIVE:
        set_status(integration, Status.ATTENTION, reason, fix)
        logger.warning("Integration %s needs attention; its queue is held.", integration.pk)
