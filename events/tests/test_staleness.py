"""What is no longer worth sending is skipped, says why, and is never burst out after a hold. HTTP by `responses`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import responses
import time_machine
from django.utils import timezone

from events import host as host_module
from events import record, record_many, staleness, trial, verbs
from events.drain import drain
from events.holding import release
from events.host import HostProfile
from events.models import DeliveryAttempt, EventDelivery
from events.sweep import sweep
from integrations.models import Status
from integrations.verification import set_status
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)
COINS_END = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def definition(clock):
    return make.definition()


@pytest.fixture
def reminder(definition):
    return make.definition(definition.integration, trigger="coinexpirynotify_create", name="Coins Expire")


@pytest.fixture
def provider():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        mocked.add(responses.POST, make.UPLOAD, json={"status": "success", "processed": 1, "unprocessed": []})
        yield mocked


def calls(provider) -> int:
    return len(provider.calls)


def expiring(definition, **values):
    values = {"trigger": "coinexpirynotify_create", "properties": {"coins": 9, "expires_at": COINS_END}, **values}
    (row,) = record(make.activity(definition.integration.merchant, **values))
    return row


def test_an_event_without_a_limit_is_worth_sending_for_ever(definition, provider, clock):
    (row,) = record(make.activity(definition.integration.merchant))
    assert row.expires_at is None
    clock.shift(timedelta(days=400))
    sweep()
    drain(definition.integration_id)
    row.refresh_from_db()
    assert row.status == "sent"


def test_the_definitions_limit_is_stored_when_recorded_and_counts_from_what_happened(definition, clock):
    definition.stale_after = 3600
    definition.save()
    happened = NOW - timedelta(minutes=10)
    (row,) = record(make.activity(definition.integration.merchant, occurred_at=happened))
    row.refresh_from_db()
    assert (row.status, row.expires_at) == ("queued", happened + timedelta(hours=1))
    definition.stale_after = None
    definition.save()
    row.refresh_from_db()
    assert row.expires_at == happened + timedelta(hours=1)


@pytest.mark.parametrize("end", [COINS_END, COINS_END.isoformat(), "2026-03-01T12:00:00", "2026-03-01 17:30:00+05:30"])
def test_the_payloads_own_end_counts_however_it_is_written(reminder, end):
    assert expiring(reminder, properties={"expires_at": end}).expires_at == COINS_END


def test_a_day_without_a_time_ends_when_it_is_over_everywhere(reminder):
    row = expiring(reminder, properties={"expires_at": "2026-03-01"})
    assert row.expires_at == datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize("end", [None, "", "soon", "2026-99-01T00:00:00", 5, True, {"a": 1}, ["2026-03-01"]])
def test_an_end_that_cannot_be_read_is_none(reminder, end):
    row = expiring(reminder, properties={"expires_at": end})
    assert (row.status, row.expires_at) == ("queued", None)


def test_the_earlier_of_both_limits_counts(reminder):
    reminder.stale_after = 60
    reminder.save()
    assert expiring(reminder).expires_at == NOW + timedelta(seconds=60)
    reminder.stale_after = 30 * 86_400
    reminder.save()
    assert expiring(reminder).expires_at == COINS_END


def test_what_is_too_old_when_recorded_is_skipped_at_once_and_rings_for_nobody(reminder, provider, rung, clock):
    clock.move_to(COINS_END)
    row = expiring(reminder)
    row.refresh_from_db()
    assert (row.status, row.reason, row.next_attempt_at) == ("skipped", "stale", None)
    assert row.detail == "Before it could be sent, the coins expired."
    assert rung == [] and drain(reminder.integration_id) == 0 and calls(provider) == 0


def test_what_waited_past_its_moment_is_skipped_by_the_drain_and_not_sent(reminder, provider, clock):
    row = expiring(reminder)
    clock.move_to(COINS_END)
    drain(reminder.integration_id)
    row.refresh_from_db()
    assert (row.status, row.reason, row.attempt_count, calls(provider)) == ("skipped", "stale", 0, 0)


def test_until_its_moment_it_is_sent(reminder, provider, clock):
    row = expiring(reminder)
    clock.move_to(COINS_END - timedelta(seconds=1))
    drain(reminder.integration_id)
    row.refresh_from_db()
    assert (row.status, calls(provider)) == ("sent", 1)


def test_the_sweep_skips_it_also_while_its_integration_is_paused(reminder, clock):
    row = expiring(reminder)
    set_status(reminder.integration, Status.PAUSED)
    clock.move_to(COINS_END)
    sweep()
    row.refresh_from_db()
    assert (row.status, row.reason) == ("skipped", "stale")


def test_what_was_held_for_days_is_skipped_when_released_not_burst_out(definition, provider, clock):
    definition.stale_after = 86_400
    definition.save()
    integration = definition.integration
    set_status(integration, Status.PAUSED)
    old = [record(make.activity(integration.merchant, person=f"old{n}"))[0] for n in range(3)]
    clock.shift(timedelta(days=3))
    fresh = [record(make.activity(integration.merchant, person=f"new{n}"))[0] for n in range(2)]
    assert release(integration.pk) == 2
    set_status(integration, Status.ACTIVE)
    drain(integration.pk)
    states = dict(EventDelivery.objects.values_list("pk", "status"))
    assert {states[row.pk] for row in old} == {"skipped"} and {states[row.pk] for row in fresh} == {"sent"}
    sent = [item for item in json.loads(provider.calls[0].request.body)["d"] if item["type"] == "event"]
    assert [item["evtData"]["nector_delivery_id"] for item in sent] == [str(row.pk) for row in fresh]


def test_no_try_is_planned_beyond_the_moment_and_it_says_so(reminder, settings, clock):
    settings.DELIVERY_RETRY_STEPS = [5.0, 10_000.0]
    row = expiring(reminder)
    with responses.RequestsMock() as provider:
        provider.add(responses.POST, make.UPLOAD, status=500)
        drain(reminder.integration_id)
        row.refresh_from_db()
        assert row.status == "retrying" and row.next_attempt_at < COINS_END
        clock.shift(timedelta(seconds=10))
        drain(reminder.integration_id)
    row.refresh_from_db()
    assert (row.status, row.reason, row.attempt_count, row.failure_count) == ("skipped", "stale", 2, 2)
    assert row.next_attempt_at is None and row.detail.startswith("The next try would have come after the moment")
    assert "500" in row.detail


def test_an_uncertain_resend_beyond_the_moment_is_not_planned_either(reminder, clock):
    row = expiring(reminder)
    clock.move_to(COINS_END - timedelta(seconds=20))
    with responses.RequestsMock() as provider:
        provider.add(responses.POST, make.UPLOAD, body="?")
        drain(reminder.integration_id)
    row.refresh_from_db()
    assert (row.status, row.reason, row.uncertain_count) == ("skipped", "stale", 1)
    assert DeliveryAttempt.objects.get().outcome == "uncertain"


def test_of_a_batch_that_failed_only_what_expires_is_skipped(reminder, definition, settings, clock):
    settings.DELIVERY_RETRY_STEPS = [10_000.0]
    short = expiring(reminder)
    (long,) = record(make.activity(definition.integration.merchant, person="c2", recipient={"customer_id": "c2"}))
    with responses.RequestsMock() as provider:
        provider.add(responses.POST, make.UPLOAD, status=500)
        drain(reminder.integration_id)
    short.refresh_from_db()
    long.refresh_from_db()
    assert [(row.status, row.reason) for row in (short, long)] == [("skipped", "stale"), ("retrying", "")]


def test_a_test_event_is_never_stale(reminder, provider, clock):
    reminder.stale_after = 1
    reminder.save()
    row = trial.write(reminder, HostProfile("c1", make.PERSON))
    assert row.expires_at is None
    assert expiring(reminder, is_test=True, key="t").expires_at is None
    clock.shift(timedelta(days=30))
    sweep()
    assert EventDelivery.objects.filter(status="queued").count() == 2


def test_a_retry_by_hand_counts_the_limit_from_now(definition, clock):
    definition.stale_after = 3600
    definition.save()
    (row,) = record(make.activity(definition.integration.merchant))
    EventDelivery.objects.update(status="failed")
    clock.shift(timedelta(days=2))
    assert verbs.retry(row)
    row.refresh_from_db()
    assert (row.status, row.expires_at) == ("queued", timezone.now() + timedelta(hours=1))


def test_a_retry_by_hand_of_what_has_ended_by_itself_is_skipped_again(reminder, provider, clock):
    row = expiring(reminder)
    EventDelivery.objects.update(status="failed")
    clock.move_to(COINS_END + timedelta(hours=1))
    verbs.retry(row)
    drain(reminder.integration_id)
    row.refresh_from_db()
    assert (row.status, row.reason, calls(provider)) == ("skipped", "stale", 0)


# --- The host's word ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def host(settings):
    settings.NECTORBRIDGE_HOST = "events.tests.hosts.KnowingHost"
    host_module._load.cache_clear()
    yield host_module.get_host()
    host_module._load.cache_clear()


def test_the_host_is_asked_once_for_all_of_a_trigger_and_only_where_it_can_be_overtaken(definition, reminder, host, provider):
    rows = [expiring(reminder, person=f"c{n}", key=f"coinexpirynotify_create:{n}") for n in range(3)]
    record(make.activity(definition.integration.merchant, person="c9"))
    host.reasons = {"coinexpirynotify_create:1": "The coins were spent meanwhile.", "coinexpirynotify_create:2": None}
    drain(reminder.integration_id)
    assert host.asked == [("coinexpirynotify_create", {f"coinexpirynotify_create:{n}" for n in range(3)})]
    stored = [EventDelivery.objects.get(pk=row.pk) for row in rows]
    assert [row.status for row in stored] == ["sent", "skipped", "sent"]
    assert (stored[1].reason, stored[1].detail, stored[1].attempt_count) == ("stale", "The coins were spent meanwhile.", 0)
    assert (stored[1].lease_owner, stored[1].lease_until, stored[1].next_attempt_at) == ("", None, None)


def test_an_integration_without_such_events_asks_nothing(definition, host, provider):
    record(make.activity(definition.integration.merchant))
    drain(definition.integration_id)
    assert host.asked == [] and EventDelivery.objects.get().status == "sent"


def test_a_host_that_fails_keeps_nothing_from_being_sent(reminder, host, provider, caplog):
    host.broken = True
    row = expiring(reminder)
    drain(reminder.integration_id)
    row.refresh_from_db()
    assert row.status == "sent" and "still relevant" in caplog.text


def test_a_test_is_not_asked_about(reminder, host, provider):
    host.reasons = {"k": "gone"}
    expiring(reminder, is_test=True, key="k")
    drain(reminder.integration_id)
    assert host.asked == [] and EventDelivery.objects.get().status == "sent"


def test_without_anything_left_no_call_leaves(reminder, host, provider):
    host.reasons = {"k": "gone"}
    expiring(reminder, key="k")
    assert drain(reminder.integration_id) == 1
    assert calls(provider) == 0 and EventDelivery.objects.get().status == "skipped"


def test_many_rows_expire_in_few_statements(definition, django_assert_max_num_queries, clock):
    definition.stale_after = 60
    definition.save()
    merchant = definition.integration.merchant
    record_many([make.activity(merchant, person=f"c{n}") for n in range(2500)])
    clock.shift(timedelta(minutes=2))
    with django_assert_max_num_queries(3 * 4):  # for each thousand
        assert staleness.expire(timezone.now()) == 2500
    assert set(EventDelivery.objects.values_list("status", "reason")) == {("skipped", "stale")}
