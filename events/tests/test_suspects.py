"""Deliveries whose worker dies each time: claimed in smaller parts, alone at last, and given up; nobody else pays for them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from events import claims, record_many, suspects
from events.drain import drain
from events.models import Call, DeliveryAttempt, EventDelivery
from events.stamping import Allowance, stamp
from events.sweep import sweep
from events.verbs import retry
from nectorbridge.sandbox import Sandbox
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def integration():
    return make.definition().integration


@pytest.fixture
def sandbox(settings):
    with Sandbox.running() as running:
        settings.PROVIDER_BASE_URLS = {"clevertap": running.url_of("clevertap"), "wigzo": running.url_of("wigzo")}
        yield running


def queue(integration, people):
    return record_many(
        make.activity(integration.merchant, person=f"c{n}", recipient={**make.PERSON, "customer_id": f"c{n}"}) for n in people
    )


def connected(integration, provider):
    """Return the integration, or another one that is connected to Wigzo."""
    if provider == "clevertap":
        return integration
    values = {"provider": "wigzo", "settings": {}, "secrets": {"org_token": "o", "api_token": "a"}, "common_property": "email"}
    return make.definition(make.integration(make.merchant("w"), **values)).integration


def die():
    """The worker that has claimed dies, its lease ends, and the sweep comes by."""
    EventDelivery.objects.filter(status="sending").update(lease_until=timezone.now() - timedelta(minutes=1))
    sweep()


def lose_a_claim(integration):
    """Claim as a drain does, and die. Returns what was claimed."""
    claimed = suspects.claim_part(integration.pk, "owner") or claims.claim(integration.pk, 4000, "owner")
    die()
    return [row.id for row in claimed]


def state(row):
    return EventDelivery.objects.values_list("status", "reason", "attempt_count", "failure_count").get(pk=row.pk)


def test_what_was_lost_is_claimed_in_smaller_parts_until_the_culprit_stands_alone_and_is_given_up(integration):
    rows = queue(integration, range(250))
    culprit, sizes, taken = str(rows[100].pk), [], True
    while taken:
        claimed = suspects.claim_part(integration.pk, "owner") or claims.claim(integration.pk, 4000, "owner")
        taken = [row.id for row in claimed]
        if culprit in taken:
            sizes.append(len(taken))
            die()
        else:
            EventDelivery.objects.filter(pk__in=taken).update(status="sent", lost_claims=0)
    assert sizes == [250, 100, 10, 1, 1, 1]
    assert state(rows[100]) == ("failed", "internal", 0, 0)
    assert EventDelivery.objects.get(pk=culprit).detail == "Each worker that was about to send it ended without a word."
    assert EventDelivery.objects.filter(status="sent").count() == 249 and not DeliveryAttempt.objects.exists()


def test_what_is_recorded_meanwhile_is_not_claimed_together_with_suspects(integration):
    old = queue(integration, range(3))
    lose_a_claim(integration)
    new = queue(integration, range(10, 12))
    assert {row.id for row in claims.claim(integration.pk, 100, "a")} == {str(row.pk) for row in new}
    assert suspects.parts(integration.pk) == [(1, 100)]
    assert {row.id for row in claims.claim(integration.pk, 100, "b", 1)} == {str(row.pk) for row in old}


def test_a_customers_later_event_does_not_overtake_a_suspect_one_and_others_do(integration):
    (suspect,) = queue(integration, [1])
    lose_a_claim(integration)
    later, other = queue(integration, [1, 2])
    assert [row.id for row in claims.claim(integration.pk, 100, "a")] == [str(other.pk)]
    assert state(later)[0] == "queued" and state(suspect) == ("queued", "", 0, 0)
    claims.release("a")
    claims.claim(integration.pk, 100, "b", 1)
    claims.release("b")
    assert [row.id for row in claims.claim(integration.pk, 100, "a")] == [str(other.pk)], "given back unsent it is still first"


@pytest.mark.parametrize("provider", ["clevertap", "wigzo"])
def test_one_that_waits_for_a_more_suspect_event_of_its_customer_keeps_nobody_waiting(integration, sandbox, provider):
    integration = connected(integration, provider)
    first, second, other = queue(integration, [1, 1, 2])
    EventDelivery.objects.filter(pk__in=[second.pk, other.pk]).update(lost_claims=1)
    EventDelivery.objects.filter(pk=first.pk).update(lost_claims=3)
    drain(integration.pk)
    assert [state(row)[0] for row in (first, second, other)] == ["sent"] * 3
    arrived = [record.delivery for record in sandbox.arrived(provider) if record.kind == "event"]
    assert arrived.index(str(first.pk)) < arrived.index(str(second.pk))


@pytest.mark.parametrize("provider", ["clevertap", "wigzo"])
def test_a_drain_sends_suspects_first_and_they_are_none_any_more(integration, sandbox, provider):
    if provider == "wigzo":
        values = {
            "provider": "wigzo",
            "settings": {},
            "secrets": {"org_token": "o", "api_token": "a"},
            "common_property": "email",
        }
        integration = make.definition(make.integration(make.merchant("w"), **values)).integration
    rows = queue(integration, range(5))
    lose_a_claim(integration)
    rows += queue(integration, range(5))
    assert drain(integration.pk) == 10
    assert {state(row)[:3] for row in rows} == {("sent", "", 1)}
    assert not EventDelivery.objects.filter(lost_claims__gt=0).exists() and suspects.parts(integration.pk) == []
    arrived = [record.delivery for record in sandbox.arrived(provider) if record.kind == "event"]
    order = {}
    for row in rows:
        order.setdefault(row.customer_ref, []).append(str(row.pk))
    assert all([key for key in arrived if key in keys] == keys for keys in order.values())


def test_retried_by_a_person_it_stays_alone(integration):
    (row,) = queue(integration, [1])
    EventDelivery.objects.filter(pk=row.pk).update(status="failed", reason="internal", lost_claims=6)
    assert retry(EventDelivery.objects.get(pk=row.pk))
    assert claims.claim(integration.pk, 100, "a") == [] and suspects.parts(integration.pk) == [(6, 1)]


def test_what_was_in_a_call_when_its_worker_died_is_sent_again_in_parts_and_is_no_suspect_once_it_is_sent(integration, sandbox):
    rows = queue(integration, range(150))
    claimed = claims.claim(integration.pk, 4000, "owner")
    now = timezone.now()
    call = Call(integration=integration, started_at=now, lease_until=now)
    with transaction.atomic():
        stamp([call], [[row.id for row in claimed]], "owner", Allowance(integration.contract.limits))
    Call.objects.update(lease_until=now - timedelta(minutes=1))
    sweep()
    assert {state(row) for row in rows} == {("retrying", "", 1, 0)} and suspects.parts(integration.pk) == [], "not due yet"
    EventDelivery.objects.update(next_attempt_at=timezone.now())
    assert suspects.parts(integration.pk) == [(1, 100)]
    assert drain(integration.pk) == 150
    assert sorted(Call.objects.exclude(pk=call.pk).values_list("records", flat=True)) == [100, 200], "with a profile each"
    assert not EventDelivery.objects.filter(lost_claims__gt=0).exists()


def test_nothing_is_a_suspect_whose_call_was_written_down_or_that_was_given_back(integration):
    queue(integration, range(3))
    claims.claim(integration.pk, 100, "a")
    claims.release("a")
    assert suspects.parts(integration.pk) == []


def test_looking_for_suspects_reads_their_own_index_alone(integration):
    explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # the table is tiny here
        cursor.execute(explain + suspects.LEVELS, [integration.pk, suspects.moment(timezone.now())])
        plan = "\n".join(str(row) for row in cursor.fetchall())
    assert "delivery_suspect" in plan and "delivery_due" not in plan
