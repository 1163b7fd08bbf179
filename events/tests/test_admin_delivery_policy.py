"""How long an event is worth sending, and what follows without an answer: on the event's form and the delivery's page."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from events.models import DeliveryAttempt, EventDefinition
from events.tests.conftest import deliver
from nectorbridge.testing import make

ADD = reverse("admin:events_eventdefinition_add")
FORM = {"trigger": "coupon_create", "name": "", "portal": "all", "enabled": "on"}


def page(definition) -> str:
    return reverse("admin:events_eventdefinition_change", args=[definition.pk])


def story(delivery) -> str:
    return reverse("admin:events_eventdelivery_change", args=[delivery.pk])


def save(owner, definition, **values):
    return owner.post(page(definition), {"name": definition.name, "portal": "all", "enabled": "on", **values})


def test_who_leaves_the_folded_part_alone_gets_the_defaults(owner, integration):
    owner.post(ADD, FORM | {"integration": integration.pk, "stale_unit": "3600", "uncertain_resends": ""})
    created = EventDefinition.objects.get()
    assert (created.stale_after, created.uncertain_resends) == (None, None)


@pytest.mark.parametrize(("unit", "seconds"), [("60", 120), ("3600", 7200), ("86400", 172_800)])
def test_a_limit_is_typed_in_friendly_units_and_stored_in_seconds(owner, definition, unit, seconds):
    save(owner, definition, stale_amount="2", stale_unit=unit, uncertain_resends="0")
    definition.refresh_from_db()
    assert (definition.stale_after, definition.uncertain_resends) == (seconds, 0)
    text = owner.get(page(definition)).content.decode()
    assert 'name="stale_amount" value="2"' in text and f'<option value="{unit}" selected>' in text
    save(owner, definition, stale_amount="", stale_unit=unit, uncertain_resends="")
    definition.refresh_from_db()
    assert (definition.stale_after, definition.uncertain_resends) == (None, None)


@pytest.mark.parametrize("wrong", [{"stale_amount": "0"}, {"stale_amount": "-3"}, {"stale_amount": "367", "stale_unit": "86400"}])
def test_a_limit_that_makes_no_sense_is_an_error_at_its_field(owner, definition, wrong):
    answer = save(owner, definition, **{"stale_unit": "3600", **wrong})
    assert set(answer.context["adminform"].form.errors) == {"stale_amount"}
    definition.refresh_from_db()
    assert definition.stale_after is None


@pytest.mark.parametrize("wrong", ["-1", "11", "many"])
def test_a_budget_that_is_not_on_offer_is_refused(owner, definition, wrong):
    answer = save(owner, definition, stale_unit="3600", uncertain_resends=wrong)
    assert set(answer.context["adminform"].form.errors) == {"uncertain_resends"}


def test_a_budget_that_is_stored_stays_on_offer(owner, definition):
    EventDefinition.objects.update(uncertain_resends=7)
    save(owner, definition, stale_unit="3600", uncertain_resends="7")
    definition.refresh_from_db()
    assert definition.uncertain_resends == 7


def test_the_form_is_folded_and_explains_itself(owner, definition, settings):
    settings.DELIVERY_UNCERTAIN_RESENDS = 2
    text = owner.get(page(definition)).content.decode()
    assert "<details><summary>" in text and "The defaults suit most events." in text
    assert "As usual: sent again up to 2 times" in text and "it must not arrive twice" in text
    assert "live journeys only from events less than 2 hours old" in text


def test_a_provider_without_a_window_and_a_trigger_with_an_end_say_so(owner, integration):
    wigzo = make.integration(integration.merchant, provider="wigzo", settings={}, common_property="email")
    reminder = make.definition(wigzo, trigger="coupon_expiring", name="Coupon expiring")
    text = owner.get(page(reminder)).content.decode()
    assert "live journeys" not in text and "Once the coupon expired it is never sent" in text


def test_viewers_read_it_in_words(viewer, definition):
    EventDefinition.objects.update(stale_after=7200, uncertain_resends=0)
    text = viewer.get(page(definition)).content.decode()
    assert "2 hours" in text and "Not sent again" in text and "stale_amount" not in text


# --- The delivery's page -----------------------------------------------------------------------------------------------------
def test_what_arrived_too_late_for_a_live_journey_says_so(owner, definition):
    happened = timezone.now() - timedelta(hours=3)
    late = deliver(definition, status="sent", sent_at=timezone.now(), occurred_at=happened, created_at=happened, attempt_count=1)
    DeliveryAttempt.objects.create(delivery=late, number=1, started_at=timezone.now(), outcome="accepted")
    assert "More than 2 hours after it happened: CleverTap keeps it in its history" in owner.get(story(late)).content.decode()
    soon = deliver(definition, status="sent", sent_at=timezone.now(), attempt_count=1)
    DeliveryAttempt.objects.create(delivery=soon, number=1, started_at=timezone.now(), outcome="accepted")
    assert "after it happened: CleverTap" not in owner.get(story(soon)).content.decode()


def test_a_retry_that_will_be_too_late_says_so_beforehand(owner, definition):
    soon = timezone.now() + timedelta(hours=3)
    row = deliver(definition, status="retrying", attempt_count=7, failure_count=7, next_attempt_at=soon)
    text = owner.get(story(row)).content.decode()
    assert "starts no live journey from it" in text and "the one after comes 6 hours later" in text


@pytest.mark.parametrize(
    ("failures", "expires_in", "words"),
    [
        (1, None, "the one after comes 30 seconds later"),
        (17, None, "It is the last one."),
        (5, timedelta(minutes=30), "It is the last one: after that it is not worth sending any more."),
    ],
)
def test_the_page_says_what_comes_after_the_next_try(owner, definition, failures, expires_in, words):
    now = timezone.now()
    row = deliver(
        definition,
        status="retrying",
        attempt_count=failures,
        failure_count=failures,
        next_attempt_at=now + timedelta(seconds=60),
        expires_at=now + expires_in if expires_in else None,
    )
    text = owner.get(story(row)).content.decode()
    assert words in text and "Next try" in text and ("Worth sending until" in text) == bool(expires_in)


def test_what_was_stale_says_why_and_what_to_do(owner, definition):
    now = timezone.now()
    values = {"reason": "stale", "detail": "Before it could be sent, the coins expired.", "next_attempt_at": None}
    row = deliver(definition, status="skipped", expires_at=now - timedelta(hours=1), **values)
    text = owner.get(story(row)).content.decode()
    assert "Not sent: Before it could be sent, the points expired." in text and "under Delivery" in text
    asked = deliver(definition, status="skipped", uncertain_count=1, attempt_count=1, **values)
    assert "Not sent again: Before it could be sent" in owner.get(story(asked)).content.decode()


def test_what_must_not_arrive_twice_says_that_it_is_not_sent_again(owner, definition):
    EventDefinition.objects.update(uncertain_resends=0)
    row = deliver(definition, status="failed", reason="uncertain", uncertain_count=1, attempt_count=1, next_attempt_at=None)
    assert "never sent again by itself, so that it cannot arrive twice" in owner.get(story(row)).content.decode()
