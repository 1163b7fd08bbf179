"""The method: interleaved pairs, their ratios, and the baseline against itself as a control.

Absolute figures say more about a machine and its hour than about the code. So baseline (A) and ours (B) run in turn, each
pair gives one ratio, and the same number of pairs of A with A shows how far ratios stray when nothing differs at all.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

PAIRS = 7
Side = Callable[[], float]
Note = Callable[[str], None]


@dataclass(frozen=True)
class Spread:
    """Median and range of some figures."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one value."""
        return cls(median(values), min(values), max(values))

    def __str__(self) -> str:
        """Return `median [low-high]` with three significant digits."""
        return f"{figure(self.median)} [{figure(self.low)}-{figure(self.high)}]"


@dataclass(frozen=True)
class Bar:
    """What a ratio should reach: at most or at least this much."""

    limit: float
    at_most: bool

    def verdict(self, ratio: float, control: Spread) -> str:
        """Return `met`, `missed`, or `within noise`: missed by no more than the control strays from 1."""
        noise = max(control.high, 1 / control.low)
        excess = ratio / self.limit if self.at_most else self.limit / ratio
        if excess <= 1:
            return "met"
        return "within noise" if excess <= noise else "missed"

    def __str__(self) -> str:
        """Return the bar as a condition."""
        return f"{'<=' if self.at_most else '>='} {figure(self.limit)}"


@dataclass
class Comparison:
    """One benchmark's figures. `baseline[i]` and `ours[i]` are a pair; so are the two figures of `control[i]`."""

    name: str
    what: str
    unit: str
    bar: Bar | None
    baseline: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    control: list[tuple[float, float]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> Spread:
        """Return the ratios ours / baseline, pair by pair."""
        return Spread.of([b / a for a, b in zip(self.baseline, self.ours, strict=True)])

    @property
    def control_ratio(self) -> Spread:
        """Return the ratios baseline / baseline."""
        return Spread.of([second / first for first, second in self.control])

    @property
    def verdict(self) -> str:
        """Return whether the median ratio meets the bar; empty without a bar."""
        return self.bar.verdict(self.ratio.median, self.control_ratio) if self.bar else ""

    def as_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return {
            "name": self.name,
            "what": self.what,
            "unit": self.unit,
            "baseline": self.baseline,
            "ours": self.ours,
            "control": self.control,
            "baseline_median": median(self.baseline),
            "ours_median": median(self.ours),
            "ratio": vars(self.ratio),
            "control_ratio": vars(self.control_ratio),
            "bar": str(self.bar) if self.bar else "",
            "verdict": self.verdict,
            "extra": self.extra,
        }


def compare(comparison: Comparison, baseline: Side, ours: Side, pairs: int, note: Note, repeats: int = 1) -> Comparison:
    """Measure `pairs` pairs and as many control pairs, one of each in turn.

    With `repeats`, a figure is the median of so many samples, and the samples of a pair's two sides alternate as well.
    """
    for number in range(pairs):
        swap = number % 2 == 1
        first, second = _pair(baseline, ours, repeats, swap)
        comparison.baseline.append(first)
        comparison.ours.append(second)
        comparison.control.append(_pair(baseline, baseline, repeats, swap))
        note(f"{comparison.name}: pair {number + 1} of {pairs}: {figure(second / first)}")
    return comparison


def _pair(first: Side, second: Side, repeats: int, swap: bool) -> tuple[float, float]:
    """Return the medians of both sides' samples; who begins changes from sample to sample, and with `swap`."""
    samples: tuple[list[float], list[float]] = ([], [])
    for number in range(repeats):
        order = (1, 0) if (number % 2 == 1) != swap else (0, 1)
        for index in order:
            gc.collect()  # neither side pays for the other's litter
            samples[index].append((first, second)[index]())
    return median(samples[0]), median(samples[1])


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share (0 to 1) of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def figure(value: float) -> str:
    """Return a number with three significant digits, without an exponent."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"
