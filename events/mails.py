"""What people are told by email, in plain words: reason, fix, how many events wait, and the way there."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.mail import EmailMessage, get_connection
from django.urls import NoReverseMatch, reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from events.models import EventDelivery
from events.states import DUE_STATES, State
from events.timeline import span
from integrations.letters import Letter, written
from integrations.models import Integration, Role
from integrations.providers.values import email_or_none

logger = logging.getLogger(__name__)
MOST_COUNTED = 100_000  # more are told as “more than”: a count of millions takes longer than anybody cares


def recipients(integration: Integration) -> list[Any]:
    """Return the active owners and managers of the merchant who have an address, each address once."""
    staff = get_user_model().objects.filter(
        is_active=True,
        membership__merchant=integration.merchant_id,
        membership__role__in=(Role.OWNER, Role.MANAGER),
    )
    found: dict[str, Any] = {}
    for user in staff.order_by("pk").distinct():
        address = email_or_none(user.email)
        if address:
            found.setdefault(address.lower(), user)
    return list(found.values())


def send(letter: Letter, people: Sequence[Any]) -> list[int]:
    """Hand a letter over for each of these people, on its own. Returns the keys of those for whom that worked.

    One address that is refused keeps nobody else from being told; a server that does not answer is asked once.
    """
    if not people:
        return []
    handed: list[int] = []
    try:
        with get_connection() as connection:
            for user in people:
                if _hand_over(letter.to(user.email.strip(), connection), user.pk):
                    handed.append(user.pk)
    except Exception as error:  # whatever a mail server or its client does must not stop anything else
        logger.warning("Mail could not be sent: %s.", type(error).__name__)
    return handed


def _hand_over(mail: EmailMessage, user_id: int) -> bool:
    """Send one mail. A dead connection is the caller's to notice."""
    try:
        return bool(mail.send())
    except (ConnectionError, TimeoutError):
        raise
    except Exception as error:  # an address that the server refuses, for one
        logger.warning("Mail to user %s could not be sent: %s.", user_id, type(error).__name__)
        return False


def trouble(integration: Integration, now: datetime) -> Letter:
    """Return the letter that says that an integration needs attention."""
    waiting = EventDelivery.objects.filter(integration=integration.pk, status__in=(State.HELD, *DUE_STATES))
    oldest = waiting.order_by("id").values_list("created_at", flat=True).first()
    subject = _("%(provider)s needs attention: %(merchant)s")
    values = {
        "reason": integration.status_reason or _("It does not take our events."),
        "fix": integration.status_fix or _("Open the set-up page, check the values and initialize again."),
        "waiting": counted(waiting),
        "oldest": moment(oldest, integration.merchant.timezone) if oldest else "",
        "since": moment(integration.status_changed_at, integration.merchant.timezone),
    }
    return _letter(subject, "trouble", integration, values)


def recovery(integration: Integration, since: datetime, now: datetime) -> Letter:
    """Return the letter that says that an integration sends again."""
    waiting = EventDelivery.objects.filter(integration=integration.pk, status__in=(*DUE_STATES, State.SENDING))
    subject = _("%(provider)s takes events again: %(merchant)s")
    values = {"waiting": counted(waiting), "length": span(max(now - since, timedelta()))}
    return _letter(subject, "recovery", integration, values)


def _letter(subject: str, template: str, integration: Integration, values: dict[str, Any]) -> Letter:
    """Return a letter about an integration."""
    named = {"provider": integration.label, "merchant": integration.merchant.name, "url": url_of(integration)}
    return written(subject, f"events/mails/{template}.txt", named | values)


def url_of(integration: Integration) -> str:
    """Return the public address of the integration's set-up page."""
    try:
        return str(settings.PUBLIC_URL) + reverse("admin:integrations_integration_change", args=[integration.pk])
    except NoReverseMatch:  # a project without this admin
        return str(settings.PUBLIC_URL)


def counted(rows: Any) -> str:
    """Return how many events these are, in words."""
    number = rows.order_by()[: MOST_COUNTED + 1].count()
    if number > MOST_COUNTED:
        return _("more than %(count)s events") % {"count": f"{MOST_COUNTED:,}"}
    return ngettext("%(count)s event", "%(count)s events", number) % {"count": f"{number:,}"} if number else ""


def moment(at: datetime, zone: str) -> str:
    """Return a moment in the merchant's zone, with that zone's own short name."""
    there = at.astimezone(ZoneInfo(zone))
    return f"{date_format(there, 'j M Y, H:i')} {there.tzname()}"
