"""Periods that a page is asked for: whole days of the merchant's zone, and the bars they are drawn in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from events.admin import filters

PERIODS: dict[str, tuple[Any, int]] = {
    "today": (_("Today"), 1),
    "7": (_("7 days"), 7),
    "30": (_("30 days"), 30),
    "90": (_("90 days"), 90),
}
DEFAULT = "7"
RANGE = "range"
LONGEST = 366  # days; of a longer range the newest are shown
MOST_DAILY = 92  # days; a longer period is drawn in weeks
WEEK = 7
EARLIEST = date(2000, 1, 1)  # nothing of what a page shows is older


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart: from a moment until before another."""

    label: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days of a zone, the first and the last included: from `since` until before `until`."""

    key: str
    first: date
    last: date
    zone: str

    @property
    def since(self) -> datetime:
        """Return the moment at which it begins."""
        return midnight(self.first, self.zone)

    @property
    def until(self) -> datetime:
        """Return the moment before which it ends."""
        return midnight(self.last + timedelta(days=1), self.zone)

    @property
    def days(self) -> int:
        """Return how many days it has."""
        return (self.last - self.first).days + 1

    @property
    def bars(self) -> tuple[Bar, ...]:
        """Return its bars, without a gap: hours of one day, days, or weeks. A week that is not whole is the first one."""
        if self.days == 1:
            return _hours(self.first, self.zone)
        step = 1 if self.days <= MOST_DAILY else WEEK
        edges = [0, *range(self.days % step or step, self.days, step), self.days]
        return tuple(self._bar(start, end - start) for start, end in pairwise(edges))

    def _bar(self, number: int, days: int) -> Bar:
        """Return the bar of so many days, counted from the first; a day may have 23 or 25 hours."""
        first = self.first + timedelta(days=number)
        label = date_format(first, "j M" if self.first.year == self.last.year else "j M y")
        return Bar(label, midnight(first, self.zone), midnight(first + timedelta(days=days), self.zone))

    @property
    def unit(self) -> Any:
        """Return what one bar stands for, in a word."""
        if self.days == 1:
            return _("hour")
        return _("day") if self.days <= MOST_DAILY else _("week")

    @property
    def query(self) -> str:
        """Return it as parameters of the list of deliveries."""
        return f"created_at_from={self.first}&created_at_to={self.last}"

    @property
    def asked(self) -> str:
        """Return it as parameters of a page that takes a period."""
        return f"period={self.key}" + (f"&from={self.first}&to={self.last}" if self.key == RANGE else "")

    @property
    def previous(self) -> Period:
        """Return the period of as many days before it."""
        return Period(RANGE, self.first - timedelta(days=self.days), self.first - timedelta(days=1), self.zone)


def period_of(params: Mapping[str, Any], zone: str, now: datetime, default: str = DEFAULT) -> Period:
    """Return the period that a page is asked for, as it is now in that zone; whatever makes no sense asks for the default.

    `params` are a request's: `period` is one of `PERIODS`, or `range` with `from` and `to` (today, if left out) as ISO days.
    """
    key, today = str(params.get("period") or default), now.astimezone(ZoneInfo(zone)).date()
    if key == RANGE and (days := _range(params, today)) is not None:
        return Period(RANGE, *days, zone)
    key = key if key in PERIODS else default
    return Period(key, today - timedelta(days=PERIODS[key][1] - 1), today, zone)


def choices(period: Period, offered: Iterable[str] = PERIODS) -> list[tuple[str, Any, bool]]:
    """Return the periods that a page offers, for `events/period.html`: key, words, and whether it is shown."""
    return [(key, PERIODS[key][0], key == period.key) for key in offered]


def _range(params: Mapping[str, Any], today: date) -> tuple[date, date] | None:
    """Return the first and the last day that are asked for, none of them to come; None where they make no period."""
    first, last = _day(params.get("from")), _day(params.get("to") or today.isoformat())
    if first is None or last is None or not EARLIEST <= first <= min(last, today):
        return None
    last = min(last, today)
    return max(first, last - timedelta(days=LONGEST - 1)), last


def _day(text: Any) -> date | None:
    """Return a day from a parameter, or None."""
    try:
        return date.fromisoformat(str(text or ""))
    except ValueError:
        return None


def midnight(day: date, zone: str) -> datetime:
    """Return the moment at which that day begins there, in UTC: in a zone, moments around a change of clocks do not compare."""
    return filters.midnight(day, zone).astimezone(UTC)


def _hours(day: date, zone: str) -> tuple[Bar, ...]:
    """Return the hours of a day, as the clock there shows them."""
    bars = []
    moment, end, hour = midnight(day, zone).timestamp(), midnight(day + timedelta(days=1), zone).timestamp(), 3600
    place = ZoneInfo(zone)
    while moment < end:
        label = datetime.fromtimestamp(moment, place).strftime("%H:00")
        bars.append(Bar(label, datetime.fromtimestamp(moment, UTC), datetime.fromtimestamp(min(moment + hour, end), UTC)))
        moment += hour
    return tuple(bars)
