"""What people read before and after something is sent again or withdrawn: one set of words for a row, a few, and all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from events.admin.base import grouped
from events.bulk import COUNT_LIMIT
from events.bulk_filter import Counted
from events.models import What
from events.verbs import TOUCHED, Fate

# What each verb does, in the words of whoever is about to press the button.
MEANS: dict[str, Any] = {
    What.RETRY: gettext_lazy(
        "They go back into the queue with a fresh budget of tries; the tries so far stay in their history. "
        "Only failed and cancelled ones can be retried."
    ),
    What.REPLAY: gettext_lazy(
        "Each is written anew, as a delivery of its own with its own links, and sent; the old one stays as it is. "
        "What waits already, and what the event's own rules left out, is not replayed."
    ),
    What.CANCEL: gettext_lazy("What still waits is withdrawn and will not be sent. You can retry it later."),
}
CUSTOMERS = gettext_lazy(
    "Customers are asked for anew: whoever unsubscribed meanwhile gets nothing, and a corrected address is used. "
    "What a delivery carries stays as it was recorded."
)
ICONS = {What.RETRY: "replay", What.REPLAY: "forward", What.CANCEL: "cancel"}


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked before anything happens. `hidden` travels with the answer; without a number the button is not shown."""

    title: str
    what: str
    number: int
    button: str
    back: str
    means: str = ""
    which: list[tuple[str, str]] = field(default_factory=list)
    warning: str = ""
    notes: list[str] = field(default_factory=list)
    hidden: list[tuple[str, str]] = field(default_factory=list)


def ask(request: HttpRequest, context: Mapping[str, Any], question: Question) -> HttpResponse:
    """Show the question. Its form posts to the address at which it was asked, unless the context has an `action_url`."""
    customers = CUSTOMERS if question.what != What.CANCEL else ""
    shown = {"title": question.title, "question": question, "customers": customers, "icon": ICONS[What(question.what)]}
    return TemplateResponse(request, "events/confirm.html", {**context, **shown})


def number_words(counted: Counted) -> str:
    """Return a count as people say it: 1,203; more than 10,000; at least 312; an unknown number of, if none was found in time."""
    if not counted.is_more:
        return grouped(counted.number)
    if not counted.number:
        return _("an unknown number of")
    if counted.number >= COUNT_LIMIT:
        return _("more than %(count)s") % {"count": grouped(counted.number)}
    return _("at least %(count)s") % {"count": grouped(counted.number)}


def title_of(what: str, counted: Counted) -> str:
    """Return the question itself."""
    number, values = counted.number, {"count": number_words(counted)}
    titles = {
        What.RETRY: ngettext("Retry %(count)s delivery?", "Retry %(count)s deliveries?", number),
        What.REPLAY: ngettext("Replay %(count)s delivery?", "Replay %(count)s deliveries?", number),
        What.CANCEL: ngettext("Cancel %(count)s delivery?", "Cancel %(count)s deliveries?", number),
    }
    return titles[What(what)] % values


def button_of(what: str) -> str:
    """Return the button's words."""
    return {What.RETRY: _("Retry"), What.REPLAY: _("Replay"), What.CANCEL: _("Withdraw")}[What(what)]


def arrived_warning(what: str, counted: Counted) -> str:
    """Return what to say about those that the provider has, or may have, already."""
    if not counted.number or what == What.CANCEL:
        return ""
    words = ngettext(
        "%(count)s of them was sent already, or may have arrived. The customer may get the message twice.",
        "%(count)s of them were sent already, or may have arrived. Their customers may get the message twice.",
        counted.number,
    )
    said = words % {"count": number_words(counted)}
    return said[:1].upper() + said[1:]


def report(request: HttpRequest, counts: Mapping[str, int]) -> None:
    """Tell what came of it: what was done, and what was left out and why. Nothing done is said as such."""
    done = {
        Fate.QUEUED: ngettext(
            "%(count)s delivery is back in the queue.", "%(count)s deliveries are back in the queue.", counts.get(Fate.QUEUED, 0)
        ),
        Fate.HELD: ngettext(
            "%(count)s delivery is held until the integration can send again.",
            "%(count)s deliveries are held until the integration can send again.",
            counts.get(Fate.HELD, 0),
        ),
        Fate.CANCELLED: ngettext(
            "%(count)s delivery is withdrawn.", "%(count)s deliveries are withdrawn.", counts.get(Fate.CANCELLED, 0)
        ),
    }
    said = [done[fate] % {"count": grouped(counts[fate])} for fate in TOUCHED if counts.get(fate)]
    if said:
        messages.success(request, " ".join(said))
    left_out = left_out_words(counts)
    if left_out or not said:
        messages.warning(request, "; ".join(left_out) + "." if left_out else _("Nothing was changed."))


def left_out_words(counts: Mapping[str, int]) -> list[str]:
    """Return how many were left out, by reason."""
    return [f"{grouped(counts[fate])} {fate.label}" for fate in Fate if fate not in TOUCHED and counts.get(fate)]


def fate_words(fate: str) -> str:
    """Return what became of a single delivery, as a sentence."""
    words = str(Fate(fate).label)
    return f"{words[:1].upper()}{words[1:]}."
