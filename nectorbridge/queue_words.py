"""The words of the page “Queue health”: how an integration stands, what it may do, what a sweep did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from events.admin.base import local
from events.outlook import outlook
from integrations.kept_words import said
from integrations.models import Integration, Status
from integrations.providers.base import Account


@dataclass(frozen=True, slots=True)
class Word:
    """A coloured word with an icon (`tone` is a label colour of unfold's), and a sentence where one helps."""

    text: Any
    tone: str
    icon: str
    sentence: str = ""


STANDING: dict[str, Word] = {
    Status.DRAFT: Word(gettext_lazy("Not connected"), "", "link_off"),
    Status.INITIALIZING: Word(gettext_lazy("Connecting"), "info", "sync"),
    Status.ACTIVE: Word(gettext_lazy("Sends"), "success", "check_circle"),
    Status.ATTENTION: Word(gettext_lazy("Needs attention"), "danger", "error"),
    Status.PAUSED: Word(gettext_lazy("Paused"), "warning", "pause_circle"),
}
SWEPT: dict[str, Any] = {
    "calls_ended": ngettext_lazy("ended %(n)d call of a dead worker", "ended %(n)d calls of dead workers", "n"),
    "claims_returned": ngettext_lazy("put %(n)d claimed delivery back", "put %(n)d claimed deliveries back", "n"),
    "held": ngettext_lazy("held %(n)d delivery", "held %(n)d deliveries", "n"),
    "released": ngettext_lazy("released %(n)d delivery", "released %(n)d deliveries", "n"),
    "rung": ngettext_lazy("rang for %(n)d integration", "rang for %(n)d integrations", "n"),
}

# By the code of the try. What a provider said is on the delivery's own page: it may quote a customer.
UNCERTAIN: dict[str, Any] = {
    "read_timeout": gettext_lazy("No answer in time"),
    "cut": gettext_lazy("The connection was cut"),
    "no_answer": gettext_lazy("The worker stopped before the answer"),
    "too_large": gettext_lazy("The answer was too large to be read"),
    "internal": gettext_lazy("Our own reading of the answer failed"),
}


def why_uncertain(code: str) -> str:
    """Return why nobody knows whether a try arrived, by its code; an unknown one as it is."""
    return str(UNCERTAIN.get(code, code or _("Not said")))


def standing(integration: Integration, now: datetime, zone: str) -> Word:
    """Return how an integration stands, and since when or until when."""
    word = STANDING[integration.status]
    if integration.status == Status.ACTIVE and not integration.enabled:
        word = STANDING[Status.PAUSED]
    if integration.status == Status.ACTIVE and integration.hold_until and integration.hold_until > now:
        until = _("Left alone until %(moment)s, as its provider asked.") % {"moment": local(integration.hold_until, zone)}
        return Word(_("Waits"), "warning", "hourglass_top", until)
    if quiet := outlook(integration, now, counts=False):
        return Word(_("Does not answer"), "danger", "cloud_off", f"{quiet.title}. {quiet.next_step}")
    if integration.status in (Status.ATTENTION, Status.PAUSED):
        since = _("since %(moment)s") % {"moment": local(integration.status_changed_at, zone)}
        reason = said(integration.status_reason) if integration.status == Status.ATTENTION else ""
        return Word(word.text, word.tone, word.icon, f"{reason} ({since})" if reason else since)
    return word


def rate_of(integration: Integration) -> str:
    """Return what its contract allows in a time, in words; empty where it names no such figure."""
    try:
        account = Account(integration.settings or {}, {}, integration.common_property)
        per_second = integration.contract.calls_per_second(account)
    except KeyError:  # a provider that is no longer installed
        return ""
    if not per_second:
        return ""
    return _("of %(minute)d (%(second)g a second)") % {"minute": round(per_second * 60), "second": per_second}


def sweep_words(sweep: Mapping[str, int]) -> str:
    """Return what a sweep did, in words."""
    done = [str(words % {"n": sweep[name]}) for name, words in SWEPT.items() if sweep.get(name)]
    return ", ".join(done) or _("found nothing to do")
