"""The page “Queue health”, for administrators: who works, what waits and since when, and what may have arrived twice.

It reads what the metrics read (`queue_figures`), so it is quick whatever the size of the history.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from events.admin.base import COUNT_LIMIT, grouped, link, local, view_of
from events.models import Worker
from events.states import State
from events.timeline import span
from nectorbridge.queue_figures import COUNTED_AT_MOST, Lane, age, is_alive, lanes, recent_calls, uncertain_attempts
from nectorbridge.queue_words import Word, rate_of, standing, sweep_words, why_uncertain

LANES_SHOWN, UNCERTAIN_SHOWN = 100, 50
UNCERTAIN_SINCE = timedelta(hours=24)
DELIVERIES = "events_eventdelivery_changelist"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number as people write it, and where the rows behind it are (nowhere, if empty)."""

    text: str
    url: str = ""
    label: str = ""
    icon: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One integration's line."""

    name: str
    merchant: str
    url: str
    word: Word
    queued: Figure
    retrying: Figure
    held: Figure
    oldest: Figure
    in_flight: Figure
    allowed: str
    share: int  # of the calls allowed at once, in per cent
    last_minute: Figure
    rate: str


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """One supervised cluster's line."""

    machine: str
    process: str
    alive: bool
    canary: str
    supervised: str
    started: str
    restarts: str
    last_restart: str
    swept: str
    did: str


@dataclass(frozen=True, slots=True)
class UncertainRow:
    """One try of which nobody knows whether it arrived."""

    when: str
    integration: str
    delivery: Figure
    said: str
    state: str
    since: str


@require_safe
def queue_health(request: HttpRequest) -> HttpResponse:
    """Show the page. Merchants' staff are refused."""
    if not getattr(request.user, "is_superuser", False):
        raise PermissionDenied
    now, zone = timezone.now(), view_of(request).zone
    found = sorted(lanes(), key=lambda lane: _urgency(lane, now))
    workers = [_worker(worker, now, zone) for worker in Worker.objects.order_by("-canary_at", "name")]
    uncertain, how_many = _uncertain(now, zone)
    calls = recent_calls(now)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": _("Queue health"),
        "as_of": local(now, zone),
        "workers": workers,
        "alive": sum(worker.alive for worker in workers),
        "tiles": _tiles(found, workers, how_many, now),
        "queues": [_queue(lane, calls.get(lane.integration.pk, 0), now, zone) for lane in found[:LANES_SHOWN]],
        "more_queues": max(0, len(found) - LANES_SHOWN),
        "integrations_url": link("integrations_integration_changelist"),
        "uncertain": uncertain,
        "uncertain_count": how_many,
        "uncertain_shown": UNCERTAIN_SHOWN,
    }
    return TemplateResponse(request, "nectorbridge/queue_health.html", context)


def _urgency(lane: Lane, now: datetime) -> tuple[Any, ...]:
    """Return what puts those that need a look first: who cannot send and has something waiting, then the oldest."""
    stopped = bool(lane.held) or lane.integration.status == "attention"
    return (not stopped, -lane.oldest_age(now), -lane.waiting, lane.integration.status != "active", str(lane.integration))


def _tiles(found: list[Lane], workers: list[WorkerRow], uncertain: str, now: datetime) -> list[Figure]:
    """Return the figures at the top."""
    alive = sum(worker.alive for worker in workers)
    queued, held = sum(lane.queued for lane in found), sum(lane.held for lane in found)
    oldest = max(found, key=lambda lane: lane.oldest_age(now), default=None)
    late = oldest is not None and oldest.oldest_age(now) > 0
    return [
        Figure(
            grouped(alive), "#workers", _("Workers alive"), "memory",
            ngettext("%(count)d is known.", "%(count)d are known.", len(workers)) % {"count": len(workers)},
        ),
        Figure(grouped(queued), _rows(State.QUEUED), _("Queued"), "schedule", _("Wait for their first try.")),
        Figure(grouped(held), _rows(State.HELD), _("Held"), "pause_circle", _("Wait for their integration.")),
        Figure(
            span(timedelta(seconds=round(oldest.oldest_age(now)))) if oldest and late else _("none"),
            link("events_eventdelivery_change", oldest.due_delivery) if oldest and late else "#queues",
            _("Oldest due"), "hourglass_top",
            str(oldest.integration) if oldest and late else _("Nothing is late."),
        ),
        Figure(uncertain, "#uncertain", _("Uncertain, 24 h"), "help", _("Tries that may have arrived.")),
    ]  # fmt: skip


def _rows(state: State, integration: Any = None) -> str:
    """Return the address of the deliveries behind a number."""
    chosen = f"status__exact={state.value}"
    return link(DELIVERIES, query=f"{chosen}&integration__id__exact={integration.pk}" if integration else chosen)


def _queue(lane: Lane, calls: int, now: datetime, zone: str) -> QueueRow:
    """Return one integration's line."""
    integration, late, allowed = lane.integration, lane.oldest_age(now), lane.calls_allowed
    oldest = Figure("–")
    if late:
        oldest = Figure(span(timedelta(seconds=round(late))), link("events_eventdelivery_change", lane.due_delivery))
    return QueueRow(
        integration.label,
        integration.merchant.name,
        link("integrations_integration_change", integration.pk),
        standing(integration, now, zone),
        _number(lane.queued, _rows(State.QUEUED, integration)),
        _number(lane.retrying, _rows(State.RETRYING, integration)),
        _number(lane.held, _rows(State.HELD, integration)),
        oldest,
        _number(lane.calls_in_flight, _rows(State.SENDING, integration)),
        _("of %(allowed)d") % {"allowed": allowed} if allowed else "",
        min(100, round(100 * lane.calls_in_flight / allowed)) if allowed else 0,
        _number(calls, link(DELIVERIES, query=f"integration__id__exact={integration.pk}")),
        rate_of(integration),
    )


def _number(number: int, url: str) -> Figure:
    """Return a number that leads to its rows, where there are any."""
    text = _("%(count)s or more") % {"count": grouped(number)} if number >= COUNTED_AT_MOST else grouped(number)
    return Figure(text, url if number else "")


def _worker(worker: Worker, now: datetime, zone: str) -> WorkerRow:
    """Return one worker's line."""
    return WorkerRow(
        worker.machine,
        worker.name.rpartition(":")[2],
        is_alive(worker, now),
        _ago(worker.canary_at, now) if worker.canary_at else _("never"),
        _ago(worker.supervised_at, now),
        local(worker.started_at, zone),
        grouped(worker.restarts),
        f"{local(worker.restarted_at, zone)}: {worker.restart_reason}" if worker.restarted_at else "",
        _ago(worker.swept_at, now) if worker.swept_at else _("never"),
        sweep_words(worker.sweep),
    )


def _ago(moment: datetime, now: datetime) -> str:
    """Return how long ago that was."""
    if age(moment, now) < 1:
        return _("just now")
    return _("%(span)s ago") % {"span": span(timedelta(seconds=round(age(moment, now), 1)))}


def _uncertain(now: datetime, zone: str) -> tuple[list[UncertainRow], str]:
    """Return the newest uncertain tries of the last 24 hours, and how many there are in words."""
    rows = uncertain_attempts(now - UNCERTAIN_SINCE)
    number = rows.order_by()[: COUNT_LIMIT + 1].count()
    words = _("more than %(count)s") % {"count": grouped(COUNT_LIMIT)} if number > COUNT_LIMIT else grouped(number)
    shown = rows.select_related("delivery__integration__merchant").defer("delivery__payload", "delivery__recipient")
    return [_uncertain_row(attempt, now, zone) for attempt in shown[:UNCERTAIN_SHOWN]], words


def _uncertain_row(attempt: Any, now: datetime, zone: str) -> UncertainRow:
    """Return one try's line. What the provider said may quote a customer, so only the code is shown here."""
    delivery = attempt.delivery
    return UncertainRow(
        local(attempt.started_at, zone),
        str(delivery.integration),
        Figure(str(delivery.pk), link("events_eventdelivery_change", delivery.pk)),
        why_uncertain(attempt.error_code),
        str(State(delivery.status).label),
        _ago(attempt.started_at, now),
    )


urlpatterns = [path("admin/queue-health/", admin.site.admin_view(queue_health), name="queue_health")]
