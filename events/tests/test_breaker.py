"""The breaker: who does not answer is left in peace, looked at by one event at a time, and costs nobody a try."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import requests
import responses
from django.utils import timezone

from events import bell, breaker, contacts, record, record_many, syncing
from events.breaker import State
from events.checks import timing_fits
from events.drain import drain, send_now
from events.host import HostProfile
from events.models import Call, EventDelivery
from events.pushing import Push
from events.stamping import Allowance, stamp
from events.sweep import ring_for_due
from events.trial import refusal
from integrations.models import BREAKER_CLOSED, Integration, Status
from integrations.providers.base import Fault, Limits, Response
from integrations.verification import set_status
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db
OK = {"status": "success", "processed": 1, "unprocessed": []}
TRACK = "https://api.contlo.com/v1/track"


@pytest.fixture(autouse=True)
def pauses(settings):
    settings.DELIVERY_BREAKER_FAILURES = 3
    settings.DELIVERY_BREAKER_STEPS = [30.0, 120.0, 300.0]


@pytest.fixture
def integration():
    return make.definition().integration


@pytest.fixture
def merchant(integration):
    return integration.merchant


@pytest.fixture
def provider():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        yield mocked


def people(merchant, count):
    return record_many([make.activity(merchant, person=f"p{n}", recipient={"customer_id": f"p{n}"}) for n in range(count)])


def due_now():
    EventDelivery.objects.filter(status__in=["queued", "retrying"]).update(next_attempt_at=timezone.now() - timedelta(seconds=1))


def pause_is_over():
    Integration.objects.filter(breaker_until__isnull=False).update(breaker_until=timezone.now() - timedelta(seconds=0.001))


def stored(integration):
    return Integration.objects.get(pk=integration.pk)


def fail(integration, times):
    """Let so many blips happen, one after the other."""
    for _ in range(times):
        breaker.failed(integration, timezone.now())


def delivery_ids(provider):
    calls = [json.loads(call.request.body)["d"] for call in provider.calls if call.request.method == "POST"]
    return [[r["evtData"]["nector_delivery_id"] for r in records if r["type"] == "event"] for records in calls]


# --- What counts -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["refused", "dns", "tls", "connect_timeout", "read_timeout", "cut"])
def test_no_answer_counts(kind):
    assert breaker.is_silence(Fault(kind, "", sent=False), None) is True


@pytest.mark.parametrize("kind", ["late", "unsendable", "redirect", "too_large", "internal"])
def test_a_fault_of_ours_or_an_answer_we_do_not_want_says_nothing(kind):
    assert breaker.is_silence(Fault(kind, "", sent=False), None) is None


@pytest.mark.parametrize(("status", "silence"), [(200, False), (400, False), (404, False), (500, True), (502, True)])
def test_a_5xx_counts_and_a_4xx_is_an_answer(status, silence):
    assert breaker.is_silence(Response(status, {}, ""), None) is silence


@pytest.mark.parametrize("status", [429, 503])
def test_who_asks_for_patience_is_held_and_not_shut_out(status):
    assert breaker.is_silence(Response(status, {}, ""), 30.0) is None


def test_it_opens_after_so_many_blips_in_a_row_and_not_before(integration):
    fail(integration, 2)
    assert breaker.state(stored(integration)) is State.CLOSED
    began = timezone.now()
    assert breaker.failed(integration, began) is True
    row = stored(integration)
    assert breaker.state(row) is State.OPEN and row.breaker_trips == 1 and row.breaker_failing_since < began
    assert timedelta(seconds=30) <= row.breaker_until - began <= timedelta(seconds=37)


def test_calls_side_by_side_are_one_blip(integration):
    asked_at = timezone.now()
    for _ in range(20):
        assert breaker.failed(Integration.objects.get(), asked_at) is False
    assert stored(integration).breaker_failures == 1


def test_an_answer_in_between_ends_the_row_of_failures(integration):
    fail(integration, 2)
    breaker.answered(integration, timezone.now())
    fail(integration, 2)
    assert breaker.state(stored(integration)) is State.CLOSED


def test_an_answer_to_a_call_from_before_it_opened_does_not_close_it(integration):
    before = timezone.now()
    fail(integration, 3)
    breaker.answered(integration, before)
    pause_is_over()
    breaker.answered(stored(integration), before)
    assert stored(integration).breaker_trips == 1
    breaker.answered(stored(integration), timezone.now())
    assert {name: getattr(stored(integration), name) for name in BREAKER_CLOSED} == BREAKER_CLOSED


def test_each_failed_look_makes_the_pause_longer_up_to_the_last_step(integration):
    fail(integration, 3)
    pauses = []
    for _ in range(3):
        pause_is_over()
        now = timezone.now()
        breaker.failed(integration, now)
        pauses.append((stored(integration).breaker_until - now).total_seconds())
    assert 120 <= pauses[0] <= 145 and 300 <= pauses[1] <= 361 and 300 <= pauses[2] <= 361
    assert stored(integration).breaker_trips == 4


def test_calls_from_before_it_was_half_open_make_no_pause_longer(integration):
    asked_at = timezone.now()
    fail(integration, 3)
    until = stored(integration).breaker_until
    breaker.failed(integration, asked_at)
    assert (stored(integration).breaker_until, stored(integration).breaker_trips) == (until, 1)


def test_without_steps_of_its_own_the_pauses_are_those_of_the_retries_up_to_five_minutes(settings):
    settings.DELIVERY_BREAKER_STEPS = []
    settings.DELIVERY_RETRY_STEPS = [5.0, 30.0, 120.0, 600.0, 1800.0]
    steps = [breaker.pause(trips).total_seconds() for trips in (1, 2, 3, 4, 9)]
    assert all(step <= got <= 1.2 * step for step, got in zip([30, 120, 300, 300, 300], steps, strict=True))
    settings.DELIVERY_RETRY_STEPS = [0.2]
    assert 0.2 <= breaker.pause(5).total_seconds() <= 0.25, "fractions of a second work"


def test_the_same_breaker_is_seen_by_every_worker(integration):
    one, other = stored(integration), stored(integration)
    breaker.failed(one, timezone.now())
    breaker.failed(other, timezone.now())
    assert breaker.failed(one, timezone.now()) is True
    assert breaker.failed(other, timezone.now()) is True, "which this one did not open, but sees"


# --- What it does to the queue ---------------------------------------------------------------------------------------------
def test_a_silent_provider_gets_three_calls_then_one_event_a_pause_and_no_try_is_lost_meanwhile(integration, merchant, provider):
    provider.add(responses.POST, make.UPLOAD, body=requests.ReadTimeout())
    people(merchant, 40)
    for _ in range(6):
        due_now()
        drain(integration.pk)
    assert breaker.state(stored(integration)) is State.OPEN
    assert [len(ids) for ids in delivery_ids(provider)] == [40, 1, 1], "one call for all, then one event asks again"
    tries = sum(EventDelivery.objects.values_list("attempt_count", flat=True))
    due_now()
    assert drain(integration.pk) == 0 and len(provider.calls) == 3
    assert sum(EventDelivery.objects.values_list("attempt_count", flat=True)) == tries
    pause_is_over()
    due_now()
    drain(integration.pk)
    assert len(provider.calls) == 4 and len(delivery_ids(provider)[3]) == 1, "a look is one event"
    assert sum(EventDelivery.objects.values_list("attempt_count", flat=True)) == tries + 1
    assert breaker.state(stored(integration)) is State.OPEN and stored(integration).breaker_trips == 2


def test_once_it_answers_one_event_and_then_all_others_leave_in_the_same_drain(integration, merchant, provider):
    fail(integration, 3)
    people(merchant, 30)
    provider.add(responses.POST, make.UPLOAD, json=OK)
    pause_is_over()
    drain(integration.pk)
    sizes = [len(ids) for ids in delivery_ids(provider)]
    assert sizes[0] == 1 and sum(sizes) == 30
    assert breaker.state(stored(integration)) is State.CLOSED
    assert set(EventDelivery.objects.values_list("status", "attempt_count")) == {("sent", 1)}


def test_in_a_stream_the_look_is_one_call_too(provider):
    integration = make.definition(
        make.integration(provider="contlo", common_property="email", settings={}, secrets={"private_api_key": "k"})
    ).integration
    fail(integration, 3)
    for n in range(5):
        record(make.activity(integration.merchant, person=f"p{n}", recipient={"email": f"p{n}@x.io"}))
    provider.add(responses.POST, TRACK, status=500)
    pause_is_over()
    drain(integration.pk)
    assert len(provider.calls) == 1 and stored(integration).breaker_trips == 2
    provider.replace(responses.POST, TRACK, json={"success": True})
    pause_is_over()
    due_now()
    drain(integration.pk)
    assert set(EventDelivery.objects.values_list("status", flat=True)) == {"sent"}


def test_a_refused_event_is_an_answer_and_closes_it(integration, merchant, provider):
    fail(integration, 3)
    record(make.activity(merchant))
    provider.add(responses.POST, make.UPLOAD, json={"error": "bad"}, status=400)
    pause_is_over()
    drain(integration.pk)
    assert breaker.state(stored(integration)) is State.CLOSED


def test_only_one_worker_looks_and_gives_the_right_back(integration):
    fail(integration, 3)
    with breaker.probe(integration) as early:
        assert early is False, "it is still open"
    pause_is_over()
    with breaker.probe(integration) as first, breaker.probe(integration) as second:
        assert (first, second) == (True, False)
    with breaker.probe(integration) as again:
        assert again is True


def test_a_worker_that_died_looking_is_replaced_when_its_lease_is_over(integration, settings):
    fail(integration, 3)
    pause_is_over()
    Integration.objects.update(breaker_probe_until=timezone.now() + timedelta(seconds=60))
    with breaker.probe(integration) as taken:
        assert taken is False
    Integration.objects.update(breaker_probe_until=timezone.now() - timedelta(seconds=1))
    with breaker.probe(integration) as taken:
        assert taken is True


def test_a_drain_under_way_elsewhere_commits_no_call_once_it_is_open(integration):
    worker = Integration.objects.get()  # it loaded the row before
    fail(integration, 3)
    now = timezone.now()
    call = Call(integration=worker, started_at=now, lease_until=now + timedelta(seconds=60))
    assert stamp([call], [[]], "", Allowance(Limits(1, 1000, 5))) == []
    assert breaker.state(worker) is State.OPEN and not Call.objects.exists()


def test_after_a_failure_calls_leave_one_at_a_time_until_one_is_answered(integration):
    fail(integration, 1)
    now = timezone.now()
    calls = [Call(integration=integration, started_at=now, lease_until=now + timedelta(seconds=60)) for _ in range(3)]
    allowance = Allowance(Limits(1, 1000, 5))
    assert len(stamp(calls, [[]] * 3, "", allowance)) == 1
    assert stamp(calls[1:], [[]] * 2, "", allowance) == [], "the first is still under way"
    breaker.answered(integration, now)
    assert len(stamp(calls[1:], [[]] * 2, "", allowance)) == 2


def test_nobody_is_rung_for_while_it_is_open_and_one_worker_is_once_it_is_time_to_look(integration, merchant, rung):
    fail(integration, 3)
    record(make.activity(merchant))
    assert bell.ring(integration.pk) is False and ring_for_due(timezone.now()) == 0 and rung == []
    pause_is_over()
    assert ring_for_due(timezone.now()) == 1 and rung == [integration.pk]
    Integration.objects.update(bell_rung_at=None, breaker_probe_until=timezone.now() + timedelta(seconds=5))
    assert ring_for_due(timezone.now()) == 0, "somebody is looking"


def test_a_new_beginning_closes_it(integration):
    fail(integration, 3)
    set_status(stored(integration), Status.PAUSED)
    assert breaker.state(stored(integration)) is State.CLOSED


def test_a_test_event_waits_while_it_is_open_and_is_the_look_once_it_is_time(integration, merchant, provider):
    provider.add(responses.POST, make.UPLOAD, json=OK)
    fail(integration, 3)
    (row,) = record(make.activity(merchant))
    assert "does not answer" in refusal(stored(integration), timezone.now())
    send_now(row)
    assert (row.status, row.attempt_count, len(provider.calls)) == ("queued", 0, 0)
    pause_is_over()
    assert refusal(stored(integration), timezone.now()) == ""
    send_now(row)
    assert row.status == "sent" and breaker.state(stored(integration)) is State.CLOSED


# --- Profiles pushed apart from events ---------------------------------------------------------------------------------------
def test_pushes_wait_while_it_is_open_close_it_by_an_answer_and_never_open_it(integration, merchant, provider):
    contacts.mark_dirty(integration, ["c1"])
    fail(integration, 3)
    assert syncing.push_contacts(integration.pk) == 0 and not provider.calls
    pause_is_over()
    provider.add(responses.POST, make.UPLOAD, status=500)
    push = Push(stored(integration), integration.account())
    found = [HostProfile("c1", make.PERSON, {})]
    with breaker.probe(push.integration), push.probing():
        assert push.run(found).failed
    assert stored(integration).breaker_trips == 1 and breaker.state(stored(integration)) is State.HALF_OPEN
    provider.replace(responses.POST, make.UPLOAD, json=OK)
    push = Push(stored(integration), integration.account())
    with breaker.probe(push.integration), push.probing():
        assert push.run(found).taken == {"c1"}
    assert breaker.state(stored(integration)) is State.CLOSED


# --- Settings --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("DELIVERY_BREAKER_FAILURES", 0, "events.E003"),
        ("DELIVERY_BREAKER_STEPS", [30.0, -1.0], "events.E003"),
        ("DELIVERY_WORKERS_PER_INTEGRATION", 0, "events.E004"),
    ],
)
def test_settings_that_cannot_be_right_are_named_at_the_start(settings, name, value, problem):
    assert timing_fits() == []
    setattr(settings, name, value)
    assert [found.id for found in timing_fits()] == [problem]
