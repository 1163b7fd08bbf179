"""Why the events of an integration wait although nobody has to do anything, in words for its pages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.dispatch import receiver
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from events import breaker
from events.lookups import IS_DUE
from events.models import EventDelivery
from events.timeline import span
from integrations.models import Integration, Status
from integrations.signals import flow_asked

DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is the matter, what happens next and when, and how many events wait."""

    title: str
    next_step: str
    waiting: str

    def __str__(self) -> str:
        """Return all of it as sentences."""
        return " ".join(part for part in (f"{self.title}.", self.next_step, self.waiting) if part)


def outlook(integration: Integration, now: datetime, counts: bool = True) -> Outlook | None:
    """Return what is to be said of an active integration whose provider does not answer; None where it does.

    One query; none where what waits need not be counted.
    """
    state = breaker.state(integration, now)
    if state is breaker.State.CLOSED or integration.status != Status.ACTIVE:
        return None
    since = integration.breaker_failing_since or now
    values = {"provider": integration.label, "span": span(now - since)}
    title = _("%(provider)s has not answered for %(span)s") % values
    if state is breaker.State.OPEN:
        assert integration.breaker_until is not None
        at = clock(integration, integration.breaker_until, now)
        next_step = _("The next look, with one event, is at %(at)s.") % {"at": at}
    else:
        next_step = _("One event is tried now; once it is answered, all others follow.")
    return Outlook(title, next_step, _waiting(integration) if counts else "")


def _waiting(integration: Integration) -> str:
    """Return how many events wait, and that it costs them nothing."""
    count = EventDelivery.objects.filter(IS_DUE, integration=integration).count()
    words = ngettext("%(count)s event waits and uses up no try.", "%(count)s events wait and use up no try.", count)
    return words % {"count": number_format(count, force_grouping=True)} if count else ""


def clock(integration: Integration, moment: datetime, now: datetime) -> str:
    """Return a time on the merchant's clock, with its day unless that is near."""
    local = timezone.localtime(moment, ZoneInfo(integration.merchant.timezone))
    return date_format(local, "H:i" if (moment - now).total_seconds() < DAY_SECONDS / 2 else "j M, H:i")


@receiver(flow_asked, dispatch_uid="outlook_of_integration")
def on_flow_asked(sender: Any, integration: Integration, **_more: Any) -> tuple[str, tuple[str, ...]] | None:
    """Tell the set-up page what is the matter, as a title and lines."""
    found = outlook(integration, timezone.now())
    if found is None:
        return None
    nothing_to_do = _("There is nothing to do: what waits is sent once it answers. To look at once, pause and resume.")
    return found.title, tuple(filter(None, (found.next_step, found.waiting, nothing_to_do)))
