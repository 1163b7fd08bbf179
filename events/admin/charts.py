"""Charts as Chart.js takes them, always with axes, a legend and the same numbers as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SENT, OPENED, CLICKED = "#2563eb", "#16a34a", "#d97706"  # read as well on white as on the dark ground
FAILED, SKIPPED = "#dc2626", "#9ca3af"
AXIS = "#767d8b"
MOST_TICKS = 16


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or the bars of one colour."""

    label: str
    numbers: Sequence[int | float]
    colour: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What a template needs: `kind` is `line` or `bar`, data and options are JSON, `head` and `rows` the table behind it."""

    kind: str
    data: str
    options: str
    head: list[str]
    rows: list[list[Any]]


def line(labels: Sequence[str], series: Sequence[Series], across: str, up: str) -> Chart:
    """Return a chart of lines over time; a single point is shown as one."""
    datasets = [
        {
            "label": item.label,
            "data": list(item.numbers),
            "borderColor": item.colour,
            "backgroundColor": item.colour,
            "borderWidth": 2,
            "pointRadius": 3 if len(labels) <= MOST_TICKS else 0,
            "pointHoverRadius": 5,
            "tension": 0,
        }
        for item in series
    ]
    return _chart("line", labels, datasets, series, across, up, is_stacked=False)


def bars(labels: Sequence[str], series: Sequence[Series], across: str, up: str, is_stacked: bool = True) -> Chart:
    """Return a chart of bars, on top of each other or side by side."""
    look = {"maxBarThickness": 28}
    datasets = [{"label": item.label, "data": list(item.numbers), "backgroundColor": item.colour, **look} for item in series]
    return _chart("bar", labels, datasets, series, across, up, is_stacked)


def _chart(
    kind: str, labels: Sequence[str], datasets: list[Any], series: Sequence[Series], across: str, up: str, is_stacked: bool
) -> Chart:
    """Return the chart and its table."""
    head = [across, *(item.label for item in series)]
    rows = [[label, *numbers] for label, *numbers in zip(labels, *(item.numbers for item in series), strict=True)]
    data = {"labels": list(labels), "datasets": datasets}
    return Chart(kind, json.dumps(data), json.dumps(_options(across, up, is_stacked)), head, rows)


def _options(across: str, up: str, is_stacked: bool) -> dict[str, Any]:
    """Return Chart.js options: a legend, axes with names, whole numbers."""

    def axis(title: str, **more: Any) -> dict[str, Any]:
        return {
            "stacked": is_stacked,
            "title": {"display": True, "text": title, "color": AXIS},
            "ticks": {"color": AXIS, "precision": 0, "autoSkip": True, "maxTicksLimit": MOST_TICKS},
            "grid": {"display": bool(more)},
            **more,
        }

    return {
        "animation": False,
        "responsive": True,
        "maintainAspectRatio": False,
        "interaction": {"mode": "index", "intersect": False},
        "plugins": {"legend": {"display": True, "position": "top", "align": "end", "labels": {"color": AXIS, "boxWidth": 12}}},
        "scales": {"x": axis(across), "y": axis(up, beginAtZero=True)},
    }
