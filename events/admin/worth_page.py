"""“Worth”: what customers did who got an event, beside what those did who were held out of it."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from events.admin.base import grouped, link, local
from events.admin.csv_file import download
from events.admin.pages import DefinitionPages, tabs
from events.admin.periods import Period, choices, period_of
from events.admin.worth_words import chart, csv_lines, lines
from events.models import EventDefinition
from events.states import ConsentPolicy
from events.worth import MOST_CUSTOMERS, Report, report
from integrations.audit import Act, note
from integrations.caching import tried

LONG_SECONDS, KEPT_SECONDS = 1.0, 600
NOT_KEPT = "What an event was worth could not be kept"
OFFERED, USUAL = ("7", "30", "90"), "30"
WINDOWS, USUAL_WINDOW = (1, 3, 7, 14, 30), 7  # days after a customer's first time


@dataclass(frozen=True, slots=True)
class Asked:
    """What the page is asked: a period, and how many days after their first time customers' actions count."""

    period: Period
    window: int

    @property
    def query(self) -> str:
        """Return it as parameters of the page."""
        return f"{self.period.asked}&window={self.window}"


def asked_of(request: HttpRequest, zone: str) -> Asked:
    """Return what a request asks; whatever makes no sense asks for the usual."""
    window = request.GET.get("window", "")
    days = int(window) if window in map(str, WINDOWS) else USUAL_WINDOW
    return Asked(period_of(request.GET, zone, timezone.now(), USUAL), days)


class WorthMixin(DefinitionPages):
    """The page and the file of what one event was worth."""

    def own_paths(self) -> list[tuple[str, Any, str]]:
        """Add the page and the file."""
        return [
            *super().own_paths(),
            ("<path:object_id>/worth/", self.worth_view, "events_eventdefinition_worth"),
            ("<path:object_id>/worth.csv", self.worth_file, "events_eventdefinition_worth_file"),
        ]

    def worth_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the page."""
        definition = self.find(request, object_id)
        asked = asked_of(request, definition.integration.merchant.timezone)
        found, at = _report(definition, asked)
        context = {
            "definition": definition,
            "opts": self.opts,
            "original": definition,
            "title": _("What “%(name)s” was worth") % {"name": definition.name},
            "tabs": tabs(definition, definition.integration, "worth"),
            "may_change": self.has_change_permission(request, definition),
        }
        return self.page(request, "events/worth.html", definition.integration, context | _context(definition, asked, found, at))

    def worth_file(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Return the table as CSV."""
        definition = self.find(request, object_id)
        asked = asked_of(request, definition.integration.merchant.timezone)
        (found, _at), period = _report(definition, asked), asked.period
        about = [period.first, period.last, asked.window]
        name = f"worth-{definition.pk}-{period.first}-{period.last}.csv"
        note(Act.EXPORT, definition, what=gettext_noop("worth"))
        return download(name, csv_lines(found, definition, lines(found, definition), about))


def _report(definition: EventDefinition, asked: Asked) -> tuple[Report, datetime]:
    """Return the report that is asked for, and when it was counted: what takes long is kept for a while."""
    period, now = asked.period, timezone.now()
    share = (definition.holdout_percent, definition.holdout_since)
    words = repr((definition.pk, *share, period.since, period.until, asked.window))
    key = f"worth:{hashlib.sha256(words.encode()).hexdigest()}"
    kept: tuple[Report, datetime] | None = tried(NOT_KEPT, cache.get, key)
    if kept is not None:
        return kept
    began = time.monotonic()
    found = report(definition, period.since, period.until, timedelta(days=asked.window), now)
    if time.monotonic() - began > LONG_SECONDS:
        tried(NOT_KEPT, cache.set, key, (found, now), KEPT_SECONDS)
    return found, now


def _context(definition: EventDefinition, asked: Asked, found: Report, at: datetime) -> dict[str, Any]:
    """Return what the page shows of a report that was counted at that moment."""
    table, period = lines(found, definition), asked.period
    return {
        "counted_at": local(at, definition.integration.merchant.timezone),
        "asked": asked,
        "period": period,
        "periods": choices(period, OFFERED),
        "keep": f"window={asked.window}",
        "windows": [(days, ngettext("%d day", "%d days", days) % days, days == asked.window) for days in WINDOWS],
        "lines": table,
        "tiles": _tiles(found),
        "notes": _notes(definition, found),
        "has_nobody": not (found.exposed.size or found.held_out.size),
        "has_strangers": bool(found.exposed.unknown or found.held_out.unknown),
        "still_open": found.exposed.still_open + found.held_out.still_open,
        "has_holdout": bool(definition.holdout_percent or found.held_out.size or found.held_out.still_open),
        "may_hold_out": definition.consent_policy != ConsentPolicy.IGNORE,
        "chart": chart(found, table),
        "file_url": link("events_eventdefinition_worth_file", definition.pk, query=asked.query),
        "event_url": link("events_eventdefinition_change", definition.pk),
    }


def _tiles(found: Report) -> list[tuple[str, str, str]]:
    """Return label, number and words of the numbers of customers."""
    open_ = found.exposed.still_open + found.held_out.still_open
    return [
        (
            _("Got it"),
            grouped(found.exposed.size),
            _("Customers whose first message of the period was sent, and whose window is over."),
        ),
        (_("Held out"), grouped(found.held_out.size), _("Customers who would have got it, and whose window is over.")),
        (
            _("Still within their window"),
            grouped(open_),
            _("Customers who have time left to act. They are counted once it is over."),
        ),
    ]


def _notes(definition: EventDefinition, found: Report) -> list[str]:
    """Return what must be known to read the figures rightly."""
    notes = []
    if found.is_later:
        when = local(found.since, definition.integration.merchant.timezone)
        notes.append(_("Counted from %(when)s only: then the share that is held out was changed.") % {"when": when})
    if found.both:
        words = ngettext(
            "%(number)s customer was both sent to and held out, since the share was changed or two customers became one. "
            "They are left out.",
            "%(number)s customers were both sent to and held out, since the share was changed or two customers became one. "
            "They are left out.",
            found.both,
        )
        notes.append(words % {"number": grouped(found.both)})
    if unknown := found.exposed.unknown + found.held_out.unknown:
        words = ngettext(
            "%(number)s more is no customer of yours (any more), so nothing is known of what they did.",
            "%(number)s more are no customers of yours (any more), so nothing is known of what they did.",
            unknown,
        )
        notes.append(words % {"number": grouped(unknown)})
    if found.exposed.is_cut or found.held_out.is_cut:
        notes.append(
            _("Only the first %(most)s customers are counted. Choose a shorter period.") % {"most": grouped(MOST_CUSTOMERS)}
        )
    return notes
