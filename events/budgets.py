"""Limits a minute, counted in the integration's row while its lock is held: they hold for all workers and machines.

What was spent is kept in slices of two seconds, `{name: {slice: number}}`. Counted is a little more than the last minute, since
a call leaves, and arrives, somewhat later than it was committed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

MINUTE_SECONDS = 60
LATE_SECONDS = 6  # between the commit of a call and its arrival
SLICE_SECONDS = 2
SLICES = math.ceil((MINUTE_SECONDS + LATE_SECONDS) / SLICE_SECONDS) + 1  # the oldest one is counted whole

Spent = Mapping[str, Mapping[str, int]]


def affordable(spent: Spent, per_minute: Mapping[str, int], wanted: Sequence[Mapping[str, int]], now: datetime) -> int:
    """Return how many of these calls, from the first on, are within every limit. One that alone exceeds one goes by itself."""
    used = Counter({name: sum(_recent(spent.get(name, {}), now).values()) for name in per_minute})
    for number, call in enumerate(wanted):
        names = [name for name, records in call.items() if name in per_minute and records]
        if any(used[name] and used[name] + call[name] > per_minute[name] for name in names):
            return number
        used.update({name: call[name] for name in names})
    return len(wanted)


def spend(
    spent: Spent, per_minute: Mapping[str, int], calls: Sequence[Mapping[str, int]], now: datetime
) -> dict[str, dict[str, int]]:
    """Return what is spent once these calls are committed; what is older than counts is left out."""
    this = str(_slice(now))
    after = {}
    for name in per_minute:
        recent = _recent(spent.get(name, {}), now)
        number = sum(call.get(name, 0) for call in calls)
        after[name] = {**recent, this: recent.get(this, 0) + number} if number else recent
    return after


def free_at(spent: Spent, now: datetime) -> datetime:
    """Return when the next slice is no longer counted: before that there is no more than there is now."""
    slices = [int(key) for recent in spent.values() for key in _recent(recent, now)]
    return now + timedelta(seconds=max(1, (min(slices, default=0) + SLICES) * SLICE_SECONDS - now.timestamp()))


def _recent(slices: Mapping[str, int], now: datetime) -> dict[str, int]:
    """Return the slices that count."""
    oldest = _slice(now) - SLICES
    return {key: number for key, number in slices.items() if int(key) > oldest}


def _slice(now: datetime) -> int:
    """Return the number of the slice in which this moment is."""
    return int(now.timestamp()) // SLICE_SECONDS
