"""Charts as Chart.js takes them, always with axes, a legend and the same numbers as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

SENT, OPENED, CLICKED = "#2563eb", "#16a34a", "#d97706"  # read as well on white as on the dark ground
QUIET = "#9ca3af"
AXIS = "#767d8b"
MOST_TICKS = 16
LONGEST_LABEL = 16  # characters a line of a lying bar's name


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or the bars of one colour."""

    label: str
    numbers: Sequence[int | float]
    colour: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What a template needs: `kind` is `line` or `bar`, data and options are JSON, `head` and `rows` the table behind it.

    `is_lying`: the bars lie, so that long names fit.
    """

    kind: str
    data: str
    options: str
    head: list[str]
    rows: list[list[Any]]
    is_lying: bool = False


def line(labels: Sequence[str], series: Sequence[Series], across: str, up: str) -> Chart:
    """Return a chart of lines over time; a single point is shown as one."""
    look = {
        "borderWidth": 2,
        "pointRadius": 3 if len(labels) <= MOST_TICKS else 0,
        "pointHoverRadius": 5,
        "tension": 0,
    }
    datasets = [_dataset(item) | {"borderColor": item.colour, **look} for item in series]
    return _chart("line", labels, datasets, series, _options(across, up))


def bars(labels: Sequence[str], series: Sequence[Series], across: str, up: str) -> Chart:
    """Return a chart of bars, those of each label side by side."""
    return _chart("bar", labels, _bars(series), series, _options(across, up))


def lying_bars(labels: Sequence[str], series: Sequence[Series], names: str, across: str) -> Chart:
    """Return the same with bars that lie: `names` says what the labels are, `across` what is measured."""
    options = _options(across, "", is_lying=True)
    return _chart("bar", labels, _bars(series), series, options, names)


def _dataset(item: Series) -> dict[str, Any]:
    """Return what every kind of chart wants of a series."""
    return {"label": item.label, "data": list(item.numbers), "backgroundColor": item.colour}


def _bars(series: Sequence[Series]) -> list[dict[str, Any]]:
    """Return series as bars."""
    return [_dataset(item) | {"maxBarThickness": 28} for item in series]


def _chart(
    kind: str, labels: Sequence[str], datasets: list[Any], series: Sequence[Series], options: dict[str, Any], names: str = ""
) -> Chart:
    """Return the chart and its table."""
    is_lying = "indexAxis" in options
    head = [names or options["scales"]["x"]["title"]["text"], *(item.label for item in series)]
    rows = [[label, *numbers] for label, *numbers in zip(labels, *(item.numbers for item in series), strict=True)]
    shown = [wrap(label, LONGEST_LABEL) for label in labels] if is_lying else list(labels)
    data = {"labels": shown, "datasets": datasets}
    return Chart(kind, json.dumps(data), json.dumps(options), head, rows, is_lying)


def _options(across: str, up: str, is_lying: bool = False) -> dict[str, Any]:
    """Return Chart.js options: a legend, axes with names, whole numbers."""

    def axis(title: str, is_measure: bool) -> dict[str, Any]:
        ticks: dict[str, Any] = {"color": AXIS}
        if not is_lying or is_measure:
            ticks |= {"precision": 0, "autoSkip": True, "maxTicksLimit": MOST_TICKS}
        named = {"display": bool(title), "text": title, "color": AXIS}
        return {"title": named, "ticks": ticks, "grid": {"display": is_measure}, **({"beginAtZero": True} if is_measure else {})}

    return {
        "animation": False,
        "responsive": True,
        "maintainAspectRatio": False,
        "interaction": {"mode": "index", "intersect": False, **({"axis": "y"} if is_lying else {})},
        "plugins": {"legend": {"display": True, "position": "top", "align": "end", "labels": {"color": AXIS, "boxWidth": 12}}},
        "scales": {"x": axis(across, is_measure=is_lying), "y": axis(up, is_measure=not is_lying)},
        **({"indexAxis": "y"} if is_lying else {}),
    }
