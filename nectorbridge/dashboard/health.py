"""How each integration is, in a word and a sentence that says what to do; and what failed, grouped by its cause."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import OuterRef, Subquery
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from events.admin.base import link, local
from events.admin.periods import Period
from events.identifiers import first_id_at
from events.lookups import UNSENT_STATES, in_state, in_states, newest_sent
from events.models import DeliveryAttempt, EventDelivery
from events.outlook import outlook
from events.states import DUE_STATES, Reason, State
from events.timeline import REMEDIES, span
from integrations.kept_words import said
from integrations.models import Integration, Merchant, Status
from nectorbridge.dashboard.figures import deliveries

LOOK_BACK = timedelta(days=30)
SLOW = timedelta(minutes=5)
MOST_CARDS, MOST_TROUBLES, MOST_SAMPLES = 12, 10, 10
MOST_FAILURES = 200  # that are looked at
MOST_WALKS = 12  # merchants that are looked at one by one


@dataclass(frozen=True, slots=True)
class Card:
    """One integration. `tone` is a label colour of unfold's."""

    integration: Integration
    word: str
    tone: str
    icon: str
    sentence: str
    action: str
    url: str
    last_success: datetime | None
    oldest_waiting: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One delivery that failed."""

    text: str
    url: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that needs a person: what it is, what to do, and where."""

    title: str
    text: str
    url: str
    action: str
    samples: tuple[Sample, ...] = ()


def _integrations(merchants: Sequence[int] | None) -> Any:
    """Return the integrations in scope."""
    rows = Integration.objects.select_related("merchant")
    return rows if merchants is None else rows.filter(merchant__in=merchants)


def cards(merchants: Sequence[int] | None, now: datetime) -> list[Card]:
    """Return a card per integration, those that need a person first."""
    recent = EventDelivery.objects.filter(id__gte=first_id_at(now - LOOK_BACK), is_test=False)
    waiting = in_states(recent.filter(integration=OuterRef("pk")), DUE_STATES)
    rows = _integrations(merchants).annotate(
        last_success=Subquery(newest_sent(recent, OuterRef("pk")).values("sent_at")[:1]),
        # The one that is due for the longest time: one that waits for its next try by design says nothing about a worker.
        oldest=Subquery(waiting.order_by("next_attempt_at", "id").values("created_at")[:1]),
    )
    order = [Status.ATTENTION, Status.PAUSED, Status.ACTIVE, Status.INITIALIZING, Status.DRAFT]
    found = sorted(rows[: MOST_CARDS * 4], key=lambda row: order.index(Status(row.status)))
    return [_card(integration, now) for integration in found[:MOST_CARDS]]


def _card(integration: Any, now: datetime) -> Card:
    """Return one integration's card."""
    word, tone, icon, sentence, action = _health(integration, now)
    age = span(now - integration.oldest) if integration.oldest else ""
    url = link("integrations_integration_change", integration.pk)
    return Card(integration, word, tone, icon, sentence, action, url, integration.last_success, age)


def _health(integration: Any, now: datetime) -> tuple[str, str, str, str, str]:
    """Return word, colour, icon, sentence and the name of the one action."""
    if integration.status == Status.ATTENTION:
        sentence = " ".join(part for part in (said(integration.status_reason), said(integration.status_fix)) if part)
        sentence = sentence or _("Open it and initialize it again.")
        return _("Needs attention"), "danger", "error", sentence, _("Put it right")
    if integration.status == Status.PAUSED:
        return _("Paused"), "warning", "pause_circle", _("Events are recorded and held. Resume to send them."), _("Resume it")
    if integration.status == Status.INITIALIZING:
        return _("Connecting"), "info", "sync", _("The credentials are being checked."), _("Watch it")
    if integration.status == Status.DRAFT:
        return _("Not connected"), "", "link_off", _("Finish the set-up and press Initialize."), _("Finish the set-up")
    if silence := outlook(integration, now):
        return _("Does not answer"), "warning", "cloud_off", str(silence), pgettext("go there", "Open")
    if integration.hold_until and integration.hold_until > now:
        words = _("The provider asked us to wait; it goes on by itself in %(span)s.")
        if not integration.hold_count:  # nobody asked: a limit a minute that we keep to
            words = _("The provider's limit a minute is used up; it goes on by itself in %(span)s.")
        wait = words % {"span": span(integration.hold_until - now)}
        return _("Waiting"), "warning", "hourglass_top", wait, pgettext("go there", "Open")
    if integration.oldest and now - integration.oldest > SLOW:
        return (
            _("Waiting"),
            "warning",
            "hourglass_top",
            _("Events wait longer than usual. Is a worker running?"),
            pgettext("go there", "Open"),
        )
    return _("Healthy"), "success", "check_circle", _("Events leave within seconds."), pgettext("go there", "Open")


def troubles(merchants: Sequence[int] | None, period: Period) -> list[Trouble]:
    """Return the integrations that need a person, then the period's failures by their last error, the most first."""
    stopped = _integrations(merchants).filter(status=Status.ATTENTION)[:MOST_TROUBLES]
    found = [
        Trouble(
            _("%(integration)s needs attention") % {"integration": row},
            " ".join(part for part in (said(row.status_reason), said(row.status_fix)) if part),
            link("integrations_integration_change", row.pk),
            _("Put it right"),
        )
        for row in stopped
    ]
    return found + _failures(merchants, period)


def _failures(merchants: Sequence[int] | None, period: Period) -> list[Trouble]:
    """Return the newest of the period's failures, grouped by integration and last error."""
    newest, is_cut = _newest_failures(merchants, period)
    tries = DeliveryAttempt.objects.filter(delivery__in=[key for key, *_cause in newest]).order_by("number")
    said = {key: words for key, *words in tries.values_list("delivery", "error_code", "error_message")}  # the last one stays
    groups: dict[tuple[Any, ...], list[uuid.UUID]] = {}
    for key, *cause in newest:
        groups.setdefault((*cause, *said.get(key, ("", ""))), []).append(key)
    most = sorted(groups.items(), key=lambda item: -len(item[1]))[:MOST_TROUBLES]
    integrations = Integration.objects.select_related("merchant").in_bulk({group[0] for group, _keys in most})
    samples = _samples([key for _group, keys in most for key in keys[:MOST_SAMPLES]])
    return [
        _failure(group, len(keys), integrations[group[0]], period, is_cut, [samples[key] for key in keys if key in samples])
        for group, keys in most
    ]


def _samples(keys: Sequence[uuid.UUID]) -> dict[uuid.UUID, Sample]:
    """Return these deliveries as they are named in a list: the event, and when it was recorded."""
    rows = EventDelivery.objects.filter(pk__in=keys).values_list("pk", "event_name", "created_at", "merchant__timezone")
    return {key: Sample(f"{name}, {local(at, zone)}", link("events_eventdelivery_change", key)) for key, name, at, zone in rows}


def _newest_failures(merchants: Sequence[int] | None, period: Period) -> tuple[list[tuple[uuid.UUID, int, str]], bool]:
    """Return id, integration and reason of the newest failures, and whether there are more. Each merchant has its share."""
    failed = in_state(deliveries(None), State.FAILED, UNSENT_STATES).filter(id__gte=first_id_at(period.since))
    failed = failed.order_by("-id").values_list("id", "integration", "reason")
    keys = list(Merchant.objects.order_by().values_list("pk", flat=True)[: MOST_WALKS + 1]) if merchants is None else merchants
    parts = [failed.filter(merchant=pk) for pk in keys] if len(keys) <= MOST_WALKS else [failed.filter(merchant__in=keys)]
    if merchants is None and len(keys) > MOST_WALKS:
        parts = [failed]
    share = max(MOST_FAILURES // max(len(parts), 1), 1)
    found = [list(part[: share + 1]) for part in parts]
    return [row for rows in found for row in rows[:share]], any(len(rows) > share for rows in found)


def _failure(
    group: tuple[Any, ...],
    number: int,
    integration: Integration,
    period: Period,
    is_cut: bool,
    samples: Sequence[Sample],
) -> Trouble:
    """Return one group, of integration, reason, error code and message, in words."""
    _key, reason, *words = group
    why = ": ".join(said(part) for part in words if part) or str(dict(Reason.choices).get(reason, _("It failed")))
    title = ngettext("%(integration)s: %(count)d event failed", "%(integration)s: %(count)d events failed", number)
    if is_cut:  # the numbers are those of the newest only
        title = _("%(integration)s: %(count)d or more events failed")
    values = {"provider": integration.label, "property": integration.common_property}
    text = " ".join((why if why.endswith((".", "।")) else f"{why}.", str(REMEDIES.get(reason, "")) % values)).strip()
    chosen = f"status__exact=failed&integration__id__exact={integration.pk}&reason__exact={reason}"
    url = link("events_eventdelivery_changelist", query=f"{chosen}&is_test__exact=0&{period.query}")
    return Trouble(title % {"integration": integration, "count": number}, text, url, _("See them"), tuple(samples))
