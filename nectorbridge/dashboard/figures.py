"""The numbers of the home page: sums of quarters of an hour, and rows for the newest (see `events.statistics`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from events import statistics_reading
from events.admin.base import grouped, link
from events.admin.periods import Period
from events.models import EventDelivery
from events.states import State
from events.statistics_reading import Span

WAITING = (State.QUEUED, State.RETRYING, State.SENDING, State.HELD)
SENT, FAILED, SKIPPED = "#16a34a", "#dc2626", "#9ca3af"
AXIS = "#767d8b"  # read as well on white as on the dark ground


@dataclass(frozen=True, slots=True)
class Tile:
    """A number that leads to the rows behind it."""

    label: str
    number: int
    url: str
    icon: str
    hint: str

    @property
    def text(self) -> str:
        """Return the number as people write it."""
        return grouped(self.number)


@dataclass(frozen=True, slots=True)
class Chart:
    """What Chart.js draws, and the same numbers as a table."""

    data: dict[str, Any]
    options: dict[str, Any]
    rows: list[tuple[str, int, int, int]]


def deliveries(merchants: Sequence[int] | None) -> QuerySet[EventDelivery]:
    """Return the real deliveries of these merchants (None: of all), tests left out."""
    rows = EventDelivery.objects.filter(is_test=False).order_by()
    return rows if merchants is None else rows.filter(merchant__in=merchants)


def count(merchants: Sequence[int] | None, period: Period) -> dict[str, dict[str, int]]:
    """Return numbers by state: `total`, and one for each bar under its number."""
    counted: dict[str, dict[str, int]] = {}
    spans = [Span(bar.since, bar.until) for bar in period.bars]
    for number, figures in enumerate(statistics_reading.count(spans, merchants)):
        for state in State.values:
            if figures.get(state):
                row = counted.setdefault(state, {"total": 0})
                row[f"bar{number}"] = figures[state]
                row["total"] += figures[state]
    return counted


def tiles(counted: Mapping[str, Mapping[str, int]], period: Period) -> list[Tile]:
    """Return the four tiles."""
    words = (
        (_("Sent"), (State.SENT,), "check_circle", _("The provider has them.")),
        (_("Waiting"), WAITING, "schedule", _("On their way, or held until an integration can send.")),
        (_("Failed"), (State.FAILED,), "error", _("Given up. Open them to see why, and retry.")),
        (_("Skipped"), (State.SKIPPED,), "do_not_disturb_on", _("Left out on purpose. Each says why.")),
    )
    return [
        Tile(label, sum(counted.get(state, {}).get("total", 0) for state in states), _rows(states, period), icon, hint)
        for label, states, icon, hint in words
    ]


def _rows(states: Sequence[str], period: Period) -> str:
    """Return the address of the rows behind a number."""
    wanted = "&".join(f"status__exact={state.value if isinstance(state, State) else state}" for state in states)
    return link("events_eventdelivery_changelist", query=f"{wanted}&is_test__exact=0&{period.query}")


def chart(counted: Mapping[str, Mapping[str, int]], period: Period) -> Chart:
    """Return the bars by the day (or hour) at which the activity was recorded."""
    series = {
        state: [counted.get(state, {}).get(f"bar{number}", 0) for number in range(len(period.bars))]
        for state in (State.SENT, State.FAILED, State.SKIPPED)
    }
    labels = [bar.label for bar in period.bars]
    colours = {State.SENT: SENT, State.FAILED: FAILED, State.SKIPPED: SKIPPED}
    data = {
        "labels": labels,
        "datasets": [
            {"label": str(state.label), "data": series[state], "backgroundColor": colours[state], "maxBarThickness": 28}
            for state in series
        ],
    }
    return Chart(data, _options(str(period.unit)), list(zip(labels, *series.values(), strict=True)))


def _options(unit: str) -> dict[str, Any]:
    """Return Chart.js options: a legend, axes with names, whole numbers."""

    def axis(title: str, **more: Any) -> dict[str, Any]:
        return {
            "stacked": True,
            "title": {"display": True, "text": title, "color": AXIS},
            "ticks": {"color": AXIS, "precision": 0},
            "grid": {"display": bool(more)},
            **more,
        }

    return {
        "animation": False,
        "responsive": True,
        "maintainAspectRatio": False,
        "plugins": {"legend": {"display": True, "position": "top", "align": "end", "labels": {"color": AXIS, "boxWidth": 12}}},
        "scales": {"x": axis(unit), "y": axis(_("deliveries"), beginAtZero=True)},
    }
