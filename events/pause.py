"""What an answer means for the integration as a whole: leave it alone for a while, or stop and ask for a person."""

from __future__ import annotations

import logging
from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _

from events.retry import hold_seconds, jittered
from integrations.hygiene import about
from integrations.models import Integration, Status
from integrations.probe import for_check
from integrations.providers.base import Account, Verdict
from integrations.verification import set_status, verify

logger = logging.getLogger(__name__)
UNCONFIRMED_HOLD_SECONDS = 5.0
REFUSALS_DESPITE_CHECK = 3  # in a row: then a person must look, although the check says that all is well
REFUSALS_WITHOUT_CHECK = 2  # in a row, where the check itself could not be reached


def leave_alone(integration: Integration, seconds: float, now: datetime, asked_at: datetime) -> datetime:
    """Hold the whole integration until the returned moment. No delivery uses up a try.

    `seconds` as the provider named them; negative: it named none, so -seconds is doubled at each hold in a row. A call
    that left (`asked_at`) before an earlier hold began belongs to the same blip: it may lengthen that hold, not count.
    """
    integration.refresh_from_db(fields=["hold_until", "hold_count"])
    earlier = integration.hold_until
    same_blip = earlier is not None and earlier > asked_at
    length = seconds if seconds >= 0 else hold_seconds(-seconds, max(0, integration.hold_count - same_blip))
    until = max(now + jittered(length), earlier) if earlier is not None and same_blip else now + jittered(length)
    integration.hold_until, integration.hold_count = until, integration.hold_count + (not same_blip)
    Integration.objects.filter(pk=integration.pk).update(hold_until=until, hold_count=integration.hold_count)
    logger.info(
        "Integration %s is left alone for %.0f s, as its provider asked.", integration.pk, length, extra=about(integration.pk)
    )
    return until


def resumed(integration: Integration) -> None:
    """Note that the provider takes events again. A hold that is not over stays: another call was told to wait."""
    if integration.hold_count:
        over = Integration.objects.filter(pk=integration.pk).exclude(hold_until__gt=timezone.now())
        if over.update(hold_until=None, hold_count=0):
            integration.hold_until, integration.hold_count = None, 0


def credentials_refused(
    integration: Integration,
    account: Account,
    verdict: Verdict,
    now: datetime,
    asked_at: datetime,
    if_confirmed: bool = False,
) -> None:
    """Set the integration to `attention`, unless the provider's own credential check says that all is well.

    One refusal may be a blip of the provider's; then the integration is only left alone for a while. `if_confirmed`: it is
    not even that, as long as the check finds no fault.
    """
    checked = verify(integration.contract, for_check(integration, account))
    patience = REFUSALS_DESPITE_CHECK if checked.ok else REFUSALS_WITHOUT_CHECK
    confirmed = checked.reachable and not checked.ok
    if if_confirmed and not confirmed:
        return
    if not confirmed and integration.hold_count < patience - 1:
        leave_alone(integration, -UNCONFIRMED_HOLD_SECONDS, now, asked_at)
        return
    # Where the check found nothing wrong, only the refusal's own words say what to do.
    fix = checked.fix if confirmed else _("Open the set-up page, check the values and initialize again.")
    needs_attention(integration, verdict.message or checked.reason, fix)


def needs_attention(integration: Integration, reason: str, fix: str) -> None:
    """Stop this integration until a person acts; its queue is held, nothing is burned."""
    integration.refresh_from_db(fields=["status"])
    if integration.status == Status.ACTIVE:
        set_status(integration, Status.ATTENTION, reason, fix)
        logger.warning("Integration %s needs attention; its queue is held.", integration.pk, extra=about(integration.pk))
