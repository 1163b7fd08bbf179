"""To whom, how often and when: what an event and its merchant say about who should not be written to."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.utils import timezone

from events import record, record_many
from events.models import EventDelivery, Suppression, Tally
from events.policy import quiet_end
from events.tests.hosts import ConsentHost
from nectorbridge.testing import make

NOON = datetime(2026, 7, 1, 6, 30, tzinfo=UTC)  # 12:00 in Kolkata
NIGHT = datetime(2026, 7, 1, 17, 30, tzinfo=UTC)  # 23:00 in Kolkata
MORNING = datetime(2026, 7, 2, 3, 30, tzinfo=UTC)  # 09:00 in Kolkata
NO = {"email": "unsubscribed", "sms": "unknown", "whatsapp": "unknown"}
QUIET = {"quiet_from": "21:00", "quiet_until": "09:00"}


@pytest.fixture
def shop(db):
    return make.merchant("shop", timezone="Asia/Kolkata")


@pytest.fixture
def event(shop):
    return make.definition(make.integration(shop))


def outcome(shop, **values):
    """Record an activity; return state and reason of its only delivery."""
    (row,) = record(make.activity(shop, **{"consent": {}, **values}))
    return str(row.status), str(row.reason)


def change(row, **values):
    type(row).objects.filter(pk=row.pk).update(**values)
    row.refresh_from_db()


# --- Filters ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("coins", "state"), [(99, "skipped"), (100, "queued"), (None, "skipped"), ("many", "skipped")])
def test_fewer_coins_than_the_event_asks_for_are_left_out(shop, event, coins, state):
    change(event, minimum_coins=100)
    assert outcome(shop, properties={"coins": coins})[0] == state


@pytest.mark.parametrize(
    ("tier", "state"), [("Gold", "queued"), (" platinum ", "queued"), ("Silver", "skipped"), (None, "skipped")]
)
def test_only_customers_of_the_named_tiers_are_concerned(shop, event, tier, state):
    change(event, tiers="gold, Platinum")
    assert outcome(shop, properties={"user_tier": tier}) == (state, "filtered" if state == "skipped" else "")


# --- Consent ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("policy", "said", "expected"),
    [
        ("skip", NO, ("skipped", "no_consent")),
        ("skip", NO | {"sms": "subscribed"}, ("queued", "")),  # the journey chooses the channel
        ("skip", {}, ("queued", "")),  # unknown is no refusal
        ("flag", NO, ("queued", "")),
        ("ignore", NO, ("queued", "")),
    ],
)
def test_what_a_customer_said_is_respected_as_the_event_says(shop, event, policy, said, expected):
    change(event, consent_policy=policy)
    assert outcome(shop, consent=said) == expected


def test_a_provider_of_one_channel_asks_for_that_one(shop):
    mailmodo = make.integration(
        shop, provider="mailmodo", settings={"list_name": "x"}, secrets={"api_key": "k"}, common_property="email"
    )
    make.definition(mailmodo)
    assert outcome(shop, consent=NO | {"sms": "subscribed"}) == ("skipped", "no_consent")


def test_flags_go_along_where_the_event_wants_them(shop, event):
    change(event, consent_policy="flag")
    (row,) = record(make.activity(shop, consent={"email": "unsubscribed", "whatsapp": "subscribed"}))
    flags = {key: value for key, value in row.payload.items() if key.startswith("user_consent")}
    assert flags == {"user_consent_email": "unsubscribed", "user_consent_sms": "unknown", "user_consent_whatsapp": "subscribed"}


def test_a_host_is_asked_once_for_all_where_activities_do_not_say(shop, event, settings):
    settings.NECTORBRIDGE_HOST = "events.tests.hosts.ConsentHost"
    ConsentHost.asked.clear()
    rows = record_many([make.activity(shop, person=name) for name in ("no-1", "yes-2", "no-3")])
    assert [row.reason for row in rows] == ["no_consent", "", "no_consent"]
    assert ConsentHost.asked == [({"no-1", "yes-2", "no-3"}, "")]


def test_very_many_are_asked_about_in_parts_that_any_database_takes(shop, event, settings, monkeypatch):
    settings.NECTORBRIDGE_HOST = "events.tests.hosts.ConsentHost"
    monkeypatch.setattr("events.guards.REFS_AT_A_TIME", 2)
    ConsentHost.asked.clear()
    rows = record_many([make.activity(shop, person=f"no-{number}") for number in range(5)])
    assert {row.reason for row in rows} == {"no_consent"} and [len(refs) for refs, _channel in ConsentHost.asked] == [2, 2, 1]


def test_a_skip_is_counted_apart_from_failures(shop, event):
    outcome(shop, consent=NO)
    assert list(Tally.objects.values_list("kind", "label", "amount")) == [("skipped", "no_consent", 1)]


@pytest.mark.parametrize(
    ("kind", "policy", "expected"),
    [
        ("complaint", "skip", ("skipped", "suppressed")),
        ("complaint", "ignore", ("skipped", "suppressed")),
        ("unsubscribe", "flag", ("skipped", "suppressed")),
        ("unsubscribe", "ignore", ("queued", "")),
    ],
)
def test_who_complained_gets_nothing_and_who_unsubscribed_only_what_is_no_marketing(shop, event, kind, policy, expected):
    change(event, consent_policy=policy)
    Suppression.objects.create(merchant=shop, customer_ref="c1", kind=kind)
    assert outcome(shop) == expected
    assert outcome(shop, person="c2") == ("queued", "")


# --- Duplicates --------------------------------------------------------------------------------------------------------------
def test_the_same_subject_is_told_once_and_repeats_of_nudges_are_subjects_of_their_own(shop, event):
    assert outcome(shop, subject="coupon:7:1") == ("queued", "")
    assert outcome(shop, subject="coupon:7:1") == ("skipped", "duplicate")
    assert outcome(shop, subject="coupon:7:2") == ("queued", "")
    assert outcome(shop, subject="coupon:7:1", person="c2") == ("queued", "")
    assert outcome(shop) == outcome(shop) == ("queued", ""), "without a subject nothing is a duplicate"


def test_within_one_recording_the_first_of_a_subject_is_told(shop, event):
    rows = record_many([make.activity(shop, subject="x", consent={}) for _ in range(3)])
    assert [row.status for row in rows] == ["queued", "skipped", "skipped"]


def test_what_was_left_out_makes_no_duplicate_of_what_follows(shop, event):
    assert outcome(shop, subject="x", consent=NO) == ("skipped", "no_consent")
    assert outcome(shop, subject="x") == ("queued", "")


def test_recorded_again_under_its_own_key_it_is_no_duplicate_of_itself(shop, event):
    activity = make.activity(shop, subject="x", consent={})
    (first,), (again,) = record(activity), record(activity)
    assert first.pk == again.pk and again.status == "queued" and EventDelivery.objects.count() == 1


# --- Frequency ---------------------------------------------------------------------------------------------------------------
def test_an_event_is_sent_so_often_within_its_hours_and_no_more(shop, event):
    change(event, cap_count=2, cap_hours=24)
    with time_machine.travel(NOON, tick=False) as clock:
        assert [outcome(shop)[1] for _ in range(3)] == ["", "", "frequency_cap"]
        assert outcome(shop, person="c2") == ("queued", "")
        clock.shift(timedelta(hours=24, seconds=1))
        assert [outcome(shop)[1] for _ in range(3)] == ["", "", "frequency_cap"]


def test_what_was_left_out_does_not_count(shop, event):
    change(event, cap_count=1)
    assert outcome(shop, consent=NO)[1] == "no_consent"
    assert [outcome(shop)[1] for _ in range(2)] == ["", "frequency_cap"]


def test_a_merchants_limit_counts_an_activity_once_over_all_its_providers(shop, event):
    wigzo = make.integration(
        shop, provider="wigzo", settings={}, secrets={"org_token": "o", "api_token": "a"}, common_property="email"
    )
    receipts = make.definition(make.integration(shop, provider="clevertap"), trigger="order_create", consent_policy="ignore")
    make.definition(wigzo)
    change(shop, cap_count=1)
    first, second = (record(make.activity(shop, consent={})) for _ in range(2))
    assert [row.reason for row in first] == ["", ""]
    assert [row.reason for row in second] == ["frequency_cap", "frequency_cap"]
    (receipt,) = record(make.activity(shop, trigger="order_create", consent={}))
    assert (receipt.definition_id, receipt.reason) == (receipts.pk, ""), "it is no marketing"


def test_a_limit_holds_within_one_recording(shop, event):
    change(event, cap_count=3)
    rows = record_many([make.activity(shop, consent={}) for _ in range(5)])
    assert [row.status for row in rows] == ["queued"] * 3 + ["skipped"] * 2


def test_tests_and_imports_are_neither_limited_nor_counted(shop, event):
    change(event, cap_count=1)
    assert outcome(shop, is_test=True) == outcome(shop, is_test=True) == ("queued", "")
    assert outcome(shop, is_backfill=True) == ("skipped", "backfill")
    assert outcome(shop) == ("queued", "")


# --- Quiet hours ---------------------------------------------------------------------------------------------------------------
def test_what_happens_in_quiet_hours_waits_for_their_end(shop, event):
    change(shop, **QUIET)
    with time_machine.travel(NIGHT, tick=False):
        (row,) = record(make.activity(shop, consent={}))
    assert (row.status, row.reason, row.next_attempt_at) == ("queued", "quiet_hours", MORNING)


@pytest.mark.parametrize(
    ("policy", "consent_policy", "expected"),
    [("skip", "skip", ("skipped", "quiet_hours")), ("ignore", "skip", ("queued", "")), ("skip", "ignore", ("queued", ""))],
)
def test_an_event_may_be_skipped_or_sent_in_quiet_hours(shop, event, policy, consent_policy, expected):
    change(shop, **QUIET)
    change(event, quiet_policy=policy, consent_policy=consent_policy)
    with time_machine.travel(NIGHT, tick=False):
        assert outcome(shop) == expected


def test_by_day_nothing_waits(shop, event):
    change(shop, **QUIET)
    with time_machine.travel(NOON, tick=False):
        assert outcome(shop) == ("queued", "")


def test_what_would_be_worth_nothing_afterwards_is_skipped(shop, event):
    change(shop, **QUIET)
    change(event, stale_after=3600)
    with time_machine.travel(NIGHT, tick=False):
        (row,) = record(make.activity(shop, consent={}, occurred_at=NIGHT))
    assert (row.status, row.reason) == ("skipped", "quiet_hours") and "After the quiet hours" in row.detail


@pytest.mark.parametrize(
    ("zone", "now", "hours", "end"),
    [
        ("Europe/Berlin", "2026-03-29T00:30", ("22:00", "07:00"), "2026-03-29T05:00"),  # clocks go forward at night
        ("Europe/Berlin", "2026-10-25T00:30", ("22:00", "07:00"), "2026-10-25T06:00"),  # and back
        ("Europe/Berlin", "2026-03-29T00:30", ("22:00", "02:30"), "2026-03-29T01:30"),  # the end is left out by the clocks
        ("Asia/Kolkata", "2026-07-01T07:00", ("12:00", "14:00"), "2026-07-01T08:30"),  # over lunch
        ("Asia/Kolkata", "2026-07-01T03:29", ("21:00", "09:00"), "2026-07-01T03:30"),
        ("Asia/Kolkata", "2026-07-01T03:30", ("21:00", "09:00"), None),  # the end is no part of them
        ("Asia/Kolkata", "2026-07-01T15:30", ("21:00", "09:00"), "2026-07-02T03:30"),  # the beginning is
    ],
)
def test_quiet_hours_are_of_the_merchants_clock(zone, now, hours, end):
    since, until = (time.fromisoformat(hour) for hour in hours)
    found = quiet_end(datetime.fromisoformat(f"{now}+00:00"), since, until, zone)
    assert found == (datetime.fromisoformat(f"{end}+00:00") if end else None)


def test_in_the_hour_that_is_there_twice_the_end_is_never_in_the_past():
    second = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)  # 02:30 for the second time
    end = quiet_end(second, time(22), time(2, 45), "Europe/Berlin")
    assert end and end > second


# --- Milestones ----------------------------------------------------------------------------------------------------------------
def reached(shop, coins, balance):
    """Record coins; return what the milestone's delivery says, None where there is none."""
    rows = record(make.activity(shop, properties={"coins": coins, "balance": balance, "user_tier": "Gold"}, consent={}))
    return next(({**row.payload, "state": row.status} for row in rows if row.trigger == "milestone_reached"), None)


@pytest.mark.parametrize(
    ("coins", "balance", "fires"),
    [(100, 1000, True), (150, 1049, True), (150, 999, False), (10, 1010, False), (1000, 2005, False), (1200, 1200, True)],
)
def test_a_milestone_is_reached_by_the_coins_that_bring_the_balance_there(shop, coins, balance, fires):
    make.definition(make.integration(shop), trigger="milestone_reached", name="Milestone", threshold=1000)
    found = reached(shop, coins, balance)
    assert bool(found) == fires
    if found:
        assert (found["milestone"], found["coins_to_go"], found["coins"], found["user_tier"]) == (1000, 0, coins, "Gold")


@pytest.mark.parametrize(("coins", "balance", "to_go"), [(50, 950, 50), (200, 999, 1), (10, 960, None), (500, 1000, None)])
def test_close_to_a_reward_fires_before_it_is_reached(shop, coins, balance, to_go):
    make.definition(make.integration(shop), trigger="milestone_reached", name="Close", threshold=1000, close_within=50)
    found = reached(shop, coins, balance)
    assert (found["coins_to_go"] if found else None) == to_go


def test_each_event_has_a_milestone_of_its_own_and_it_is_recorded_once(shop):
    integration = make.integration(shop)
    for threshold in (500, 1000):
        make.definition(integration, trigger="milestone_reached", name=f"At {threshold}", threshold=threshold)
    activity = make.activity(shop, properties={"coins": 600, "balance": 1000}, consent={})
    assert len(record(activity)) == len(record(activity)) == EventDelivery.objects.count() == 2


def test_a_milestone_needs_less_than_itself_to_be_close(shop):
    with pytest.raises(ValidationError, match="less than the milestone"):
        make.definition(make.integration(shop), trigger="milestone_reached", threshold=10, close_within=10)


# --- Merchants ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("hours", "error"),
    [({"quiet_from": "21:00"}, "beginning and an end"), ({"quiet_from": "09:00", "quiet_until": "09:00"}, "another time")],
)
def test_quiet_hours_have_a_beginning_and_an_end(shop, hours, error):
    for name, value in hours.items():
        setattr(shop, name, time.fromisoformat(value))
    with pytest.raises(ValidationError, match=error):
        shop.full_clean()


def test_an_activity_for_one_event_leaves_the_others_alone(shop, event):
    other = make.definition(event.integration, name="Another")
    rows = record(make.activity(shop, consent={}, definition_ids=frozenset({other.pk}), occurred_at=timezone.now()))
    assert [row.definition_id for row in rows] == [other.pk]


def test_a_click_leads_where_the_event_says_fixed_when_it_is_recorded(shop, event):
    (first,) = record(make.activity(shop, consent={}))
    change(event, destination="https://shop.example/rewards")
    (second,) = record(make.activity(shop, consent={}))
    first.refresh_from_db()
    assert (first.destination, second.destination) == ("https://shop.example", "https://shop.example/rewards")
