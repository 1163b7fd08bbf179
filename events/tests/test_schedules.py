"""When people are reminded: a wall-clock hour of the merchant's day, one a day, also where clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from events import schedules
from events.models import EventDefinition
from events.schedules import CATCH_UP, Schedule, Step
from nectorbridge.testing import make

ZONES = ("UTC", "Asia/Kolkata", "Europe/Berlin", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe", "Asia/Kathmandu")
MOMENTS = st.integers(1_704_067_200, 1_830_297_600).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))  # 2024 to 2027


@given(st.sampled_from(ZONES), st.integers(0, 23), st.integers(-365, 365), MOMENTS, st.integers(0, 72), MOMENTS)
def test_each_day_is_named_by_exactly_one_look(zone, hour, days, since, hours, other):
    """Whatever the looks' bounds: a day's moment lies within the one window that the days of that window name."""
    step = Step(1, days)
    plan = Schedule(ZoneInfo(zone), hour, (step,), is_lead=days < 0)
    until = since + timedelta(hours=hours)
    found = plan.days(step, since, until)
    around = [since.date() - timedelta(days=days) + timedelta(days=shift) for shift in range(-4, 8)]
    due = [day for day in around if since < plan.moment(step, day) <= until]
    assert due == ([] if found is None else [day for day in around if found[0] <= day <= found[1]])
    if found:
        first, last = plan.span(*found)
        local = other.astimezone(ZoneInfo(zone)).date()
        assert (first <= other < last) == (found[0] <= local <= found[1])


@pytest.mark.parametrize(
    ("zone", "day", "hour", "moment"),
    [
        ("Europe/Berlin", "2026-03-29", 2, "2026-03-29T01:00"),  # that hour is not there: right after the change
        ("Europe/Berlin", "2026-10-25", 2, "2026-10-25T00:00"),  # there twice: the first
        ("Europe/Berlin", "2026-03-29", 10, "2026-03-29T08:00"),
        ("Asia/Kolkata", "2026-07-01", 10, "2026-07-01T04:30"),
    ],
)
def test_a_moment_is_the_hour_on_the_merchants_clock(zone, day, hour, moment):
    plan = Schedule(ZoneInfo(zone), hour, (Step(0, 0),), is_lead=True)
    assert plan.moment(plan.steps[0], date.fromisoformat(day)).isoformat() == f"{moment}:00+00:00"


def test_of_several_steps_that_are_due_the_latest_counts():
    plan = Schedule(ZoneInfo("UTC"), 10, (Step(1, -1), Step(7, -7), Step(30, -30)), is_lead=True)
    end = datetime(2026, 7, 31, 12, tzinfo=UTC)
    assert plan.step_that_counts(end, datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 7, 25, tzinfo=UTC)) == Step(7, -7)
    assert plan.step_that_counts(end, datetime(2026, 7, 25, tzinfo=UTC), datetime(2026, 7, 26, tzinfo=UTC)) is None
    assert plan.days_until(end, datetime(2026, 7, 24, 23, tzinfo=UTC)) == 7


@pytest.mark.django_db
def test_a_new_event_reminds_of_what_comes_after_it_and_one_that_slept_of_two_days_at_most():
    now = datetime(2026, 7, 10, 12, tzinfo=UTC)
    definition = EventDefinition(created_at=now - timedelta(hours=3))
    assert schedules.window(definition, now) == (now - timedelta(hours=3), now)
    definition.reminded_until = now - timedelta(minutes=1)
    assert schedules.window(definition, now) == (now - timedelta(minutes=1), now)
    definition.reminded_until = now - timedelta(days=40)
    assert schedules.window(definition, now) == (now - CATCH_UP, now)
    definition.reminder_cursor = {"since": "2026-07-01T00:00:00+00:00", "until": "2026-07-02T00:00:00+00:00", "step": 1}
    assert schedules.window(definition, now) == (datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 7, 2, tzinfo=UTC))


@pytest.mark.django_db
@pytest.mark.parametrize(("text", "leads"), [("30, 7, 1", (30, 7, 1)), ("1", (1,)), ("1,7;30", (30, 7, 1)), ("7, 7", (7,))])
def test_lead_times_are_up_to_three_numbers_of_days(text, leads):
    assert make.definition(trigger="coinexpirynotify_create", lead_days=text).leads == leads


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["", "0", "-1", "366", "30, 14, 7, 1", "soon", "1.5"])
def test_other_lead_times_are_refused(text):
    with pytest.raises(ValidationError, match="numbers of days"):
        make.definition(trigger="coinexpirynotify_create", lead_days=text)
