"""A share of customers that is not sent to: who is in it, and that nothing else changes for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from events import record, record_many
from events.holdout import bucket_of, is_held_out
from events.models import EventDefinition, EventDelivery, Suppression, Tally
from events.replay import is_replayable, replay_these
from events.verbs import Fate, retry_these
from nectorbridge.testing import make

PEOPLE = [f"c{number}" for number in range(10_000)]


@pytest.fixture
def shop(db):
    return make.merchant("shop", timezone="UTC")


@pytest.fixture
def event(shop):
    return make.definition(make.integration(shop), holdout_percent=50)


def who(event, is_out=True, number=0):
    """Return a customer that is held out of an event, or one that is not."""
    return [ref for ref in PEOPLE[:200] if is_held_out(event.pk, ref, event.holdout_percent) == is_out][number]


def outcome(shop, person, **values):
    (row,) = record(make.activity(shop, person, **{"consent": {}, **values}))
    return str(row.status), str(row.reason)


# --- Who -------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("percent", [1, 10, 25, 50])
def test_the_share_is_what_was_asked_for(percent):
    held = sum(is_held_out(7, ref, percent) for ref in PEOPLE)
    assert abs(held / len(PEOPLE) - percent / 100) < 0.015


def test_the_same_customer_is_always_in_or_out_and_stays_in_when_the_share_grows():
    assert bucket_of(7, "c1") == 964 and bucket_of(7, "c2") == 9185, "stored nowhere: it must never change"
    assert not any(is_held_out(7, ref, 0) for ref in PEOPLE)
    assert {ref for ref in PEOPLE if is_held_out(7, ref, 10)} < {ref for ref in PEOPLE if is_held_out(7, ref, 20)}


def test_two_events_hold_out_different_customers():
    both = sum(is_held_out(7, ref, 20) and is_held_out(8, ref, 20) for ref in PEOPLE)
    assert abs(both / len(PEOPLE) - 0.04) < 0.01


# --- Recording -------------------------------------------------------------------------------------------------------------
def test_who_is_held_out_has_a_row_that_says_so_and_the_others_are_sent_to(shop, event):
    assert outcome(shop, who(event)) == ("skipped", "holdout")
    assert outcome(shop, who(event, is_out=False)) == ("queued", "")
    assert EventDelivery.objects.get(reason="holdout").next_attempt_at is None
    assert list(Tally.objects.values_list("kind", "label", "amount")) == [("skipped", "holdout", 1)]


def test_many_are_judged_as_one_by_one_and_cost_no_statement_more(shop, event):
    together = record_many([make.activity(shop, ref, consent={}) for ref in PEOPLE[:60]])
    alone = [outcome(shop, ref) for ref in PEOPLE[:60]]
    assert [(row.status, row.reason) for row in together] == alone
    assert {row.customer_ref for row in together if row.reason} == {ref for ref in PEOPLE[:60] if is_held_out(event.pk, ref, 50)}

    def statements():
        with CaptureQueriesContext(
            connection,
        ) as seen:
            record_many([make.activity(shop, ref, consent={}) for ref in PEOPLE[:60]])
        return len(seen)

    with_holdout = statements()
    EventDefinition.objects.update(holdout_percent=0)
    assert with_holdout <= statements() + 1  # the count of what was skipped


def test_what_would_not_be_sent_anyway_has_that_reason(shop, event):
    out = who(event)
    EventDefinition.objects.update(minimum_coins=10)
    assert outcome(shop, out, properties={"coins": 1}) == ("skipped", "filtered")
    assert outcome(shop, out, recipient={"name": "Nobody"}) == ("skipped", "no_identity")
    assert outcome(shop, out, consent={"email": "unsubscribed"}) == ("skipped", "no_consent")
    assert outcome(shop, out, is_backfill=True) == ("skipped", "backfill")
    Suppression.objects.create(merchant=shop, customer_ref=out, kind="unsubscribe")
    assert outcome(shop, out) == ("skipped", "suppressed")


def test_quiet_hours_come_first_and_a_delayed_row_is_held_out(shop, event):
    type(shop).objects.update(quiet_from="00:00", quiet_until="12:00")
    with time_machine.travel(datetime(2026, 7, 1, 6, tzinfo=UTC), tick=False):
        assert outcome(shop, who(event)) == ("skipped", "holdout")
        assert outcome(shop, who(event, is_out=False)) == ("queued", "quiet_hours")
        EventDefinition.objects.update(quiet_policy="skip")
        assert outcome(shop, who(event)) == ("skipped", "quiet_hours")


@pytest.mark.parametrize("together", [True, False])
def test_held_out_rows_use_up_nothing_of_a_customers_limit(shop, event, together):
    """The merchant's limit is one message a day: one event's held-out customer still gets the other event."""
    type(shop).objects.update(cap_count=1, cap_hours=24)
    make.definition(event.integration, trigger="coupon_create", name="Coupon")
    ref = who(event)
    activities = [make.activity(shop, ref, consent={}), make.activity(shop, ref, consent={}, trigger="coupon_create")]
    rows = record_many(activities) if together else [row for activity in activities for row in record(activity)]
    assert [(str(row.status), str(row.reason)) for row in rows] == [("skipped", "holdout"), ("queued", "")]


def test_a_capped_activity_is_capped_and_not_held_out(shop, event):
    ref = who(event)
    EventDelivery.objects.bulk_create(
        [
            EventDelivery(
                definition=event,
                integration=event.integration,
                merchant=shop,
                customer_ref=ref,
                idempotency_key="before",
                status="sent",
                occurred_at=timezone.now(),
            )
        ]
    )
    EventDefinition.objects.update(cap_count=1)
    assert outcome(shop, ref) == ("skipped", "frequency_cap")


def test_a_subject_of_which_nothing_was_sent_is_no_duplicate(shop, event):
    ref = who(event)
    assert outcome(shop, ref, subject="coupon:7") == ("skipped", "holdout")
    assert outcome(shop, ref, subject="coupon:7") == ("skipped", "holdout")


def test_tests_go_to_anybody(shop, event):
    assert outcome(shop, who(event), is_test=True) == ("queued", "")


def test_recorded_again_it_is_the_same_row(shop, event):
    activity = make.activity(shop, who(event), consent={})
    assert [row.pk for row in record(activity)] == [row.pk for row in record(activity)]


# --- By hand ---------------------------------------------------------------------------------------------------------------
def test_staff_can_neither_retry_nor_replay_what_is_held_out_and_read_why(shop, event):
    (row,) = record(make.activity(shop, who(event), consent={}))
    assert not is_replayable(row)
    assert replay_these([row.pk], "token") == {Fate.HELD_OUT: 1} == retry_these([row.pk])
    assert "held out" in Fate.HELD_OUT.label
    row.refresh_from_db()
    assert (row.status, row.reason, EventDelivery.objects.count()) == ("skipped", "holdout", 1)


def test_a_replay_by_hand_of_what_was_sent_goes_also_to_who_is_held_out_meanwhile(shop, event):
    EventDefinition.objects.update(holdout_percent=0)
    (row,) = record(make.activity(shop, who(event), consent={}))
    EventDelivery.objects.update(status="failed", next_attempt_at=None)
    EventDefinition.objects.update(holdout_percent=50)
    assert replay_these([row.pk], "token") == {Fate.QUEUED: 1}


# --- The setting -----------------------------------------------------------------------------------------------------------
def test_what_is_no_marketing_has_no_holdout(event):
    event.consent_policy = "ignore"
    with pytest.raises(ValidationError, match="goes to everybody"):
        event.save()


def test_more_than_half_is_refused(event):
    event.holdout_percent = 51
    with pytest.raises(ValidationError, match="50"):
        event.full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        EventDefinition.objects.update(holdout_percent=51)


def test_it_is_known_since_when_the_share_is_what_it_is(event):
    since = event.holdout_since
    assert abs(since - timezone.now()) < timedelta(minutes=1)
    event.name = "Another"
    event.save()
    event.refresh_from_db()
    assert event.holdout_since == since
    event.holdout_percent = 20
    event.save(update_fields=["holdout_percent"])
    event.refresh_from_db()
    assert event.holdout_since > since
    assert make.definition(event.integration, name="No holdout").holdout_since is None
