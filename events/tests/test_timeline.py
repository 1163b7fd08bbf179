from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from events.identifiers import first_id_at, new_id
from events.models import DeliveryAttempt, Engagement, EventDefinition, EventDelivery
from events.timeline import span, timeline
from integrations.models import Integration, Merchant

T = datetime(2026, 3, 1, 10, tzinfo=UTC)


def story(attempts=(), came_back=(), now=T + timedelta(seconds=10), integration=None, **values):
    merchant = Merchant(pk=1, name="Acme", coin_name="points")
    row = Integration(pk=1, merchant=merchant, provider="clevertap", status="active", **(integration or {}))
    definition = EventDefinition(pk=1, integration=row, trigger="walletreward_create")
    defaults = {
        "trigger": "walletreward_create",
        "event_name": "E",
        "occurred_at": T,
        "created_at": T + timedelta(milliseconds=40),
        "next_attempt_at": None,
    }
    delivery = EventDelivery(definition=definition, integration=row, merchant=merchant, **{**defaults, **values})
    tries = [DeliveryAttempt(number=number, **item) for number, item in enumerate(attempts, 1)]
    return timeline(delivery, tries, now, [Engagement(delivery=delivery, **item) for item in came_back])


@pytest.mark.parametrize(
    ("delta", "words"),
    [
        (timedelta(milliseconds=240), "240 ms"),
        (timedelta(seconds=3.2), "3.2 s"),
        (timedelta(seconds=30), "30 s"),
        (timedelta(minutes=5, seconds=20), "5 min"),
        (timedelta(hours=2, minutes=10), "2 h 10 min"),
        (timedelta(days=1), "1 day"),
        (timedelta(days=3, hours=5), "3 days"),
        (timedelta(seconds=-5), "0 ms"),
    ],
)
def test_lengths_of_time_read_as_people_say_them(delta, words):
    assert span(delta) == words


def test_a_sent_delivery_ends_with_how_long_it_took():
    accepted = {"outcome": "accepted", "started_at": T + timedelta(milliseconds=100)}
    moments = story([accepted], status="sent", sent_at=T + timedelta(milliseconds=240))
    assert [moment.title for moment in moments] == ["Wallet Points Rewarded", "Recorded", "Try 1: CleverTap accepted it"]
    assert moments[1].gap == "40 ms after the activity"
    assert moments[2].gap == "handed over 240 ms after the activity"
    assert moments[0].text == "It fires when a customer earns points."


def test_a_retrying_delivery_says_when_the_next_try_comes():
    failed = {"outcome": "transient", "started_at": T, "error_code": "503", "error_message": "Service unavailable"}
    moments = story([failed], status="retrying", attempt_count=1, next_attempt_at=T + timedelta(seconds=40))
    assert moments[-2].text == "503: Service unavailable"
    assert moments[-1].title == "Try 2 comes in 30 s"


def test_a_provider_that_asked_for_a_pause_is_named():
    moments = story(status="queued", next_attempt_at=T, integration={"hold_until": T + timedelta(minutes=5, seconds=10)})
    assert moments[-1].title == "Try 1 comes in 5 min"
    assert "CleverTap asked for a pause" in moments[-1].text


def test_a_limit_a_minute_is_not_said_to_be_a_wish():
    spent = {"hold_until": T + timedelta(seconds=50), "minute_spent": {"event": {"1": 5}}}
    assert "in a minute is used up" in story(status="queued", next_attempt_at=T, integration=spent)[-1].text


def test_a_provider_that_does_not_answer_is_named_with_the_next_look_and_the_price():
    silent = {"breaker_failing_since": T - timedelta(minutes=4), "breaker_until": T + timedelta(minutes=2, seconds=10)}
    moment = story(status="retrying", attempt_count=1, next_attempt_at=T, integration=silent)[-1]
    assert moment.title == "CleverTap has not answered for 4 min"
    assert "comes in 2 min" in moment.text and "costs no try" in moment.text
    moment = story(status="queued", next_attempt_at=T, integration={**silent, "breaker_until": T - timedelta(seconds=1)})[-1]
    assert "One event is tried now" in moment.text


def test_a_try_that_comes_after_the_next_look_keeps_its_own_time():
    silent = {"breaker_failing_since": T, "breaker_until": T + timedelta(seconds=30)}
    moments = story(status="retrying", attempt_count=3, next_attempt_at=T + timedelta(minutes=10, seconds=15), integration=silent)
    assert moments[-1].title == "Try 4 comes in 10 min"


def test_what_is_due_says_so():
    assert story(status="queued", next_attempt_at=T)[-1].title == "Try 1 is due now"


@pytest.mark.parametrize(
    ("integration", "title", "text"),
    [
        ({"status": "paused"}, "Held: CleverTap is paused", "Nothing is lost"),
        ({"status": "attention", "status_reason": "Refused.", "status_fix": "Fix it."}, "needs attention", "Refused. Fix it."),
        ({"status": "draft"}, "Held: CleverTap is not connected", "Initialize"),
    ],
)
def test_a_held_delivery_says_why_and_what_to_do(integration, title, text):
    merchant = Merchant(pk=1, name="Acme")
    row = Integration(pk=1, merchant=merchant, provider="clevertap", **integration)
    delivery = EventDelivery(integration=row, merchant=merchant, trigger="x", status="held", occurred_at=T, created_at=T)
    end = timeline(delivery, [], T)[-1]
    assert title in end.title and text in end.text and end.about_integration


@pytest.mark.parametrize(
    ("values", "title", "text"),
    [
        ({"status": "failed", "reason": "uncertain"}, "Given up: Nobody knows", "Look in CleverTap whether the event arrived"),
        ({"status": "failed", "reason": "exhausted"}, "Given up: Every try failed", "retry"),
        (
            {"status": "failed", "reason": "refused", "detail": "Discarded"},
            "Given up: The provider refused this event",
            "put right in CleverTap",
        ),
        ({"status": "skipped", "reason": "no_identity"}, "Not sent: The customer has no value", "customer id"),
        ({"status": "cancelled"}, "Cancelled: a person withdrew it", "unless someone retries"),
    ],
)
def test_an_end_says_why_and_what_to_do(values, title, text):
    end = story(**values)[-1]
    assert title in end.title and text in end.text


def test_every_outcome_is_said_in_words():
    for outcome in ("accepted", "transient", "uncertain", "permanent", "configuration", "internal"):
        title = story([{"outcome": outcome, "started_at": T}], status="sent")[-1].title
        assert title.startswith("Try 1: ") and title != f"Try 1: {outcome}"


def test_a_period_is_a_range_of_ids():
    before, now = new_id(), datetime.now(UTC)
    assert first_id_at(now - timedelta(seconds=5)) < before < first_id_at(now + timedelta(seconds=5))
    assert first_id_at(T).version == 7 and first_id_at(T) < first_id_at(T + timedelta(milliseconds=1))
    with pytest.raises(ValueError, match="aware"):
        first_id_at(datetime(2026, 1, 1))  # noqa: DTZ001


def test_what_came_back_stands_where_it_happened():
    again = {"outcome": "accepted", "started_at": T + timedelta(hours=2)}
    seen = [
        {"kind": "open", "occurred_at": T + timedelta(minutes=5)},
        {"kind": "click", "occurred_at": T + timedelta(hours=3), "is_machine": True},
    ]
    moments = story([{"outcome": "accepted", "started_at": T}, again], seen, status="sent", sent_at=T)
    assert [moment.title for moment in moments[3:]] == ["Opened", "Try 2: CleverTap accepted it", "Clicked"]
    assert moments[3].gap == "5 min after the activity"
    assert "machine" in moments[-1].text and not moments[-1].tone
