"""After a restore: what may have left since the backup is uncertain, and nothing else is touched."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from events.models import Call, DeliveryAttempt, EventDelivery
from events.restored import ROWS_AT_ONCE, doubt
from events.tests.conftest import deliver

EARLIER = timedelta(minutes=5)


def state(row):
    row.refresh_from_db()
    return row.status, row.reason


@pytest.mark.parametrize("status", ["queued", "retrying", "held"])
def test_what_was_due_is_uncertain_and_is_sent_again(definition, status):
    row, now = deliver(definition, status=status, next_attempt_at=timezone.now() - EARLIER), timezone.now()
    assert doubt(now) == 1
    assert state(row) == ("retrying", "")
    assert row.next_attempt_at > now and row.uncertain_count == 1 and row.failure_count == 0
    attempt = DeliveryAttempt.objects.get()
    assert (attempt.outcome, attempt.error_code, attempt.number) == ("uncertain", "restored", 1)
    assert not Call.objects.filter(ended_at=None).exists()


def test_an_event_that_may_never_come_twice_fails_instead(definition):
    definition.uncertain_resends = 0
    definition.save()
    row = deliver(definition)
    doubt(timezone.now())
    assert state(row) == ("failed", "uncertain")


def test_what_was_not_due_yet_keeps_its_time(definition):
    later = timezone.now() + timedelta(hours=3)
    row = deliver(definition, next_attempt_at=later)
    assert doubt(timezone.now()) == 0
    assert state(row) == ("queued", "") and row.next_attempt_at == later
    assert not DeliveryAttempt.objects.exists()


@pytest.mark.parametrize("status", ["sent", "failed", "skipped", "cancelled"])
def test_what_is_over_stays_over(definition, status):
    row = deliver(definition, status=status)
    assert doubt(timezone.now()) == 0
    assert state(row) == (status, "")


def test_a_call_under_way_and_a_mere_claim_are_uncertain_whatever_their_lease(definition):
    now, lease = timezone.now(), timezone.now() + timedelta(hours=1)
    call = Call.objects.create(integration=definition.integration, started_at=now, lease_until=lease, records=1)
    under_way = deliver(definition, status="sending", call=call, attempt_count=1, lease_owner="w", lease_until=lease)
    claimed = deliver(definition, status="sending", lease_owner="w", lease_until=lease)
    assert doubt(now) == 2
    assert state(under_way) == state(claimed) == ("retrying", "")
    assert under_way.attempt_count == claimed.attempt_count == 1
    assert under_way.lease_until is claimed.lease_until is None


def test_called_twice_it_doubts_once(definition):
    deliver(definition)
    now = timezone.now()
    assert [doubt(now), doubt(now)] == [1, 0]
    assert DeliveryAttempt.objects.count() == 1


def test_many_are_marked_in_parts(definition, monkeypatch):
    assert ROWS_AT_ONCE > 2
    monkeypatch.setattr("events.restored.ROWS_AT_ONCE", 2)
    for _ in range(5):
        deliver(definition)
    assert doubt(timezone.now()) == 5
    assert Call.objects.count() == 3
    assert EventDelivery.objects.filter(uncertain_count=1).count() == 5


def test_the_command_says_how_many(definition, capsys):
    deliver(definition)
    call_command("restored")
    assert capsys.readouterr().out.startswith("1 deliveries may have been sent since the backup")
