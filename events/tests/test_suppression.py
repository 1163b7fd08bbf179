"""Who said no afterwards: what still waits for them is not sent, and who agrees again is written to again."""

from __future__ import annotations

from datetime import timedelta

import pytest
import responses
import time_machine
from django.utils import timezone

from events import record, suppression
from events.drain import drain
from events.models import Engagement, EventDelivery, Suppression, Tally
from events.tests.conftest import deliver
from events.tests.hosts import ConsentHost
from integrations.models import Merchant
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def host(settings):
    settings.NECTORBRIDGE_HOST = "events.tests.hosts.ConsentHost"
    ConsentHost.asked.clear()
    ConsentHost.told.clear()
    ConsentHost.lately.clear()
    return ConsentHost


def states(*rows):
    found = EventDelivery.objects.in_bulk([row.pk for row in rows])
    return [(found[row.pk].status, found[row.pk].reason) for row in rows]


def test_a_complaint_suppresses_stops_what_waits_and_is_told_to_the_host(definition, host):
    sent, waiting = deliver(definition, status="sent"), deliver(definition)
    other = deliver(definition, customer_ref="c2")
    now = timezone.now()
    suppression.came_back(sent, "complaint", "clevertap", now)
    assert states(sent, waiting, other) == [("sent", ""), ("skipped", "suppressed"), ("queued", "")]
    (news,) = host.told
    assert (news.ref, news.channel, news.answer, news.source, news.occurred_at) == ("c1", "", "unsubscribed", "clevertap", now)
    assert Engagement.objects.get().kind == "complaint"
    assert list(Tally.objects.values_list("kind", "label", "amount")) == [("skipped", "suppressed", 1)]


def test_an_unsubscribe_that_the_host_keeps_is_its_consent_and_no_suppression(definition, host):
    no = deliver(definition, status="sent", customer_ref="no-1")
    waiting = deliver(definition, status="held", customer_ref="no-1")
    suppression.came_back(no, "unsubscribe", "clevertap", timezone.now())
    assert states(waiting) == [("skipped", "no_consent")] and not Suppression.objects.exists()


def test_without_a_host_that_keeps_it_an_unsubscribe_suppresses(definition, settings):
    settings.NECTORBRIDGE_HOST = ""
    suppression.came_back(deliver(definition, status="sent"), "unsubscribe", "clevertap", timezone.now())
    (row,) = record(make.activity(definition.integration.merchant))
    assert (row.status, row.reason) == ("skipped", "suppressed")


@pytest.mark.parametrize(("kind", "is_machine"), [("open", False), ("complaint", True), ("unsubscribe", True)])
def test_what_is_no_refusal_of_a_person_changes_nothing(definition, host, kind, is_machine):
    sent, waiting = deliver(definition, status="sent"), deliver(definition)
    suppression.came_back(sent, kind, "clevertap", timezone.now(), is_machine)
    assert states(waiting) == [("queued", "")] and not Suppression.objects.exists() and not host.told


def test_a_complaint_counts_for_more_than_an_unsubscribe_and_neither_is_written_twice(definition, settings):
    settings.NECTORBRIDGE_HOST = ""
    sent = deliver(definition, status="sent")
    for kind in ("unsubscribe", "complaint", "unsubscribe"):
        suppression.came_back(sent, kind, "clevertap", timezone.now())
    assert Suppression.objects.get().kind == "complaint"


def test_who_agrees_again_later_is_written_to_again(definition, settings):
    settings.NECTORBRIDGE_HOST = ""
    merchant, now = definition.integration.merchant, timezone.now()
    suppression.suppress(merchant.pk, "c1", "complaint", "clevertap", now)
    assert suppression.lift(merchant.pk, "c1", now - timedelta(hours=1)) is False, "that yes is older"
    assert suppression.lift(merchant.pk, "c1", now + timedelta(hours=1)) is True
    assert record(make.activity(merchant))[0].status == "queued"


def test_tests_and_what_is_no_marketing_go_on(definition, host):
    receipts = make.definition(definition.integration, trigger="order_create", name="Receipt", consent_policy="ignore")
    rows = [deliver(definition, customer_ref="no-1", is_test=True), deliver(receipts, customer_ref="no-1")]
    assert suppression.withdraw(definition.integration.merchant_id, ["no-1"]) == 0
    assert states(*rows) == [("queued", ""), ("queued", "")]


def test_what_was_recorded_while_somebody_unsubscribed_is_found_a_little_later(definition, host):
    late = deliver(definition, customer_ref="no-1", next_attempt_at=timezone.now() + timedelta(hours=1))
    host.lately[definition.integration.merchant_id] = {"no-1"}
    assert suppression.look_again() == 1
    assert states(late) == [("skipped", "no_consent")]


# --- Quiet hours of what was recorded before them ------------------------------------------------------------------------------
NIGHT, MORNING = "2026-07-01T17:30:00+00:00", "2026-07-02T03:30:00+00:00"  # 23:00 and 09:00 in Kolkata


def test_what_is_released_or_retried_in_quiet_hours_waits_for_their_end(definition):
    Merchant.objects.update(quiet_from="21:00", quiet_until="09:00")
    urgent = make.definition(definition.integration, name="Urgent", quiet_policy="ignore")
    nudge = make.definition(definition.integration, name="Nudge", quiet_policy="skip")
    with time_machine.travel(NIGHT, tick=False), responses.RequestsMock() as provider:
        provider.add(responses.POST, make.UPLOAD, json={"status": "success", "processed": 3, "unprocessed": []})
        rows = [
            deliver(definition, customer_ref="a"),
            deliver(definition, customer_ref="b", status="retrying", attempt_count=1),
            deliver(nudge, customer_ref="c"),
            deliver(urgent, customer_ref="d"),
            deliver(definition, customer_ref="e", is_test=True),
        ]
        drain(definition.integration_id)
        expected = [
            ("queued", "quiet_hours"),
            ("retrying", "quiet_hours"),
            ("skipped", "quiet_hours"),
            ("sent", ""),
            ("sent", ""),
        ]
        assert states(*rows) == expected
        assert {row.next_attempt_at.isoformat() for row in EventDelivery.objects.filter(pk__in=[r.pk for r in rows[:2]])} == {
            MORNING
        }
    with time_machine.travel(MORNING, tick=False), responses.RequestsMock() as provider:
        provider.add(responses.POST, make.UPLOAD, json={"status": "success", "processed": 2, "unprocessed": []})
        drain(definition.integration_id)
        assert states(*rows[:2]) == [("sent", ""), ("sent", "")]


def test_without_quiet_hours_a_drain_asks_nothing_more(definition, django_assert_num_queries):
    from events.quiet import quiet_hours_of

    with django_assert_num_queries(0):
        found = quiet_hours_of(definition.integration)
        assert found.left([], "owner") == [] and found.end(timezone.now()) is None
