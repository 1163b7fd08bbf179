"""Periods of the home page: days of the merchant's zone, and the bars they are drawn in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from events.admin.filters import midnight

PERIODS: dict[str, tuple[Any, int]] = {
    "today": (_("Today"), 1),
    "7": (_("7 days"), 7),
    "30": (_("30 days"), 30),
}
DEFAULT = "7"


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the chart: from a moment until before another."""

    label: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days up to and including today."""

    key: str
    first: date
    last: date
    since: datetime
    bars: tuple[Bar, ...]
    unit: Any

    @property
    def query(self) -> str:
        """Return the period as parameters of the list of deliveries."""
        return f"created_at_from={self.first}&created_at_to={self.last}"


def period_of(key: str, zone: str, now: datetime) -> Period:
    """Return the period of that name (7 days for an unknown one) as it is now in that zone."""
    key = key if key in PERIODS else DEFAULT
    days = PERIODS[key][1]
    today = now.astimezone(ZoneInfo(zone)).date()
    first = today - timedelta(days=days - 1)
    bars = _hours(today, zone) if days == 1 else tuple(_day(first + timedelta(days=number), zone) for number in range(days))
    return Period(key, first, today, midnight(first, zone), bars, _("hour") if days == 1 else _("day"))


def _day(day: date, zone: str) -> Bar:
    """Return a day's bar; it may have 23 or 25 hours."""
    return Bar(date_format(day, "j M"), midnight(day, zone), midnight(day + timedelta(days=1), zone))


def _hours(day: date, zone: str) -> tuple[Bar, ...]:
    """Return the hours of a day, as the clock there shows them."""
    bars = []
    moment, end, hour = midnight(day, zone).timestamp(), midnight(day + timedelta(days=1), zone).timestamp(), 3600
    place = ZoneInfo(zone)
    while moment < end:
        since = datetime.fromtimestamp(moment, place)
        bars.append(Bar(since.strftime("%H:00"), since, datetime.fromtimestamp(min(moment + hour, end), place)))
        moment += hour
    return tuple(bars)
