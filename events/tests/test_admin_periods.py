from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from django.http import QueryDict
from hypothesis import given, settings
from hypothesis import strategies as st

from events.admin.periods import LONGEST, period_of

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
ZONES = ["UTC", "Asia/Kolkata", "Europe/London", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Pacific/Apia"]


def asked(zone="UTC", now=NOON, **params):
    return period_of(params, zone, now)


@pytest.mark.parametrize(("key", "first"), [("today", 10), ("7", 4)])
def test_a_named_period_is_that_many_days_up_to_today(key, first):
    period = asked(period=key)
    assert (period.first, period.last) == (date(2026, 3, first), date(2026, 3, 10))
    assert (period.since, period.until) == (datetime(2026, 3, first, tzinfo=UTC), datetime(2026, 3, 11, tzinfo=UTC))


def test_today_is_that_of_the_zone():
    late = datetime(2026, 3, 9, 18, 31, tzinfo=UTC)  # past midnight in Kolkata
    assert asked("Asia/Kolkata", late, period="today").first == date(2026, 3, 10)
    assert asked("America/New_York", late, period="today").first == date(2026, 3, 9)


def test_a_range_is_the_days_that_are_named_and_ends_today_at_the_latest():
    period = period_of(QueryDict("period=range&from=2026-02-01&to=2026-02-14"), "UTC", NOON)
    assert (period.first, period.last, period.days) == (date(2026, 2, 1), date(2026, 2, 14), 14)
    assert period.asked == "period=range&from=2026-02-01&to=2026-02-14"
    assert period.query == "created_at_from=2026-02-01&created_at_to=2026-02-14"
    assert asked(period="range", **{"from": "2026-03-08", "to": "2027-01-01"}).last == date(2026, 3, 10)
    assert asked(period="range", **{"from": "2026-03-08"}).last == date(2026, 3, 10)


def test_of_a_range_that_is_too_long_the_newest_days_are_shown():
    period = asked(period="range", **{"from": "2001-01-01", "to": "2026-03-10"})
    assert (period.days, period.last) == (LONGEST, date(2026, 3, 10))


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"period": "nonsense"},
        {"period": "range"},
        {"period": "range", "from": "2026-03-09", "to": "2026-03-08"},
        {"period": "range", "from": "2026-03-11", "to": "2026-03-12"},
        {"period": "range", "from": "2026-02-30", "to": "2026-03-08"},
        {"period": "range", "from": "0001-01-01", "to": "0001-01-02"},
        {"period": "range", "from": "'; --", "to": "\x00"},
        {"period": "range", "from": "2026-03-01", "to": "9999-99-99"},
    ],
)
def test_what_makes_no_sense_asks_for_the_default(params):
    assert period_of(params, "UTC", NOON) == asked(period="7")
    assert period_of(params, "UTC", NOON, default="30") == asked(period="30")


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["period", "from", "to"]), st.text(max_size=12) | st.dates().map(str) | st.just("range")))
def test_any_parameters_ask_for_a_period(params):
    period = period_of(params, "Pacific/Apia", NOON)
    assert 1 <= period.days <= LONGEST and period.bars and period.previous.bars


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("key", ["today", "7", "30", "90"])
def test_bars_cover_a_period_without_a_gap_whatever_the_clocks_do(zone, key):
    for day in range(0, 366, 5):
        period = asked(zone, NOON + timedelta(days=day), period=key)
        assert (period.bars[0].since, period.bars[-1].until) == (period.since, period.until)
        assert all(one.until == two.since and one.since < one.until for one, two in pairwise(period.bars))


def test_a_day_with_a_changed_clock_has_its_own_number_of_hours():
    assert len(asked("Europe/London", datetime(2026, 3, 29, 12, tzinfo=UTC), period="today").bars) == 23
    assert len(asked("Europe/London", datetime(2026, 10, 25, 12, tzinfo=UTC), period="today").bars) == 25


def test_long_periods_are_drawn_in_weeks():
    days = asked(period="range", **{"from": "2025-12-09", "to": "2026-03-10"})
    weeks = asked(period="range", **{"from": "2025-12-08", "to": "2026-03-10"})
    assert (days.days, len(days.bars), str(days.unit)) == (92, 92, "day")
    assert (weeks.days, len(weeks.bars), str(weeks.unit)) == (93, 14, "week")
    assert weeks.bars[0].until - weeks.bars[0].since == timedelta(days=2), "the newest is a whole one"
    assert {bar.until - bar.since for bar in weeks.bars[1:]} == {timedelta(days=7)}
    assert (weeks.bars[0].label, weeks.bars[-1].label) == ("8 Dec 25", "4 Mar 26")
    assert asked(period="range", **{"from": "2026-01-01", "to": "2026-03-10"}).bars[0].label == "1 Jan"


def test_the_previous_period_is_as_long_and_ends_where_this_one_begins():
    for params in ({"period": "today"}, {"period": "30"}, {"period": "range", "from": "2026-01-30", "to": "2026-02-02"}):
        period = period_of(params, "Europe/London", NOON)
        assert (period.previous.days, period.previous.until) == (period.days, period.since)
