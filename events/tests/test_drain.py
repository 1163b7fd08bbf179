"""Draining: claims, calls written ahead, outcomes per delivery, contacts, holds. HTTP by `responses`."""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import timedelta

import pytest
import requests
import responses
from django.utils import timezone

from events import bell, record, record_many, waves
from events.drain import drain
from events.flights import Landing
from events.models import Call, Contact, DeliveryAttempt, EventDelivery, WorkerPlace
from events.sweep import sweep
from integrations.models import Integration, Status
from integrations.providers.base import Response
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db
OK = {"status": "success", "processed": 1, "unprocessed": []}


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


def answer(provider, body=None, status=200, **kwargs):
    provider.add(responses.POST, make.UPLOAD, json=OK if body is None else body, status=status, **kwargs)


def sent(provider) -> list[dict]:
    return [json.loads(call.request.body)["d"] for call in provider.calls if call.request.method == "POST"]


def due_now():
    EventDelivery.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))


def test_one_event_reaches_the_provider_with_its_profile_before_it(integration, merchant, provider):
    answer(provider)
    (row,) = record(make.activity(merchant))
    assert drain(integration.pk) == 1
    row.refresh_from_db()
    assert row.status == "sent" and row.sent_at and row.attempt_count == 1
    (body,) = sent(provider)
    assert [r["type"] for r in body] == ["profile", "event"]
    assert body[1]["evtData"]["nector_delivery_id"] == str(row.pk)
    attempt = row.attempts.get()
    assert (attempt.number, attempt.outcome, attempt.http_status) == (1, "accepted", 200)
    assert attempt.call.ended_at and attempt.call.outcome == "accepted"


def test_the_secret_is_nowhere_in_what_is_stored_even_if_the_provider_echoes_it(integration, merchant, provider):
    answer(provider, {**OK, "echo": "CANARY-PASSCODE-42"})
    record(make.activity(merchant))
    drain(integration.pk)
    call = Call.objects.get()
    assert "CANARY" not in call.request + call.response and "••••" in call.request and "••••" in call.response


def test_a_known_profile_is_not_pushed_again_until_it_changes(integration, merchant, provider):
    for _ in range(3):
        answer(provider)
    for person in (make.PERSON, make.PERSON, {**make.PERSON, "email": "new@example.com"}):
        record(make.activity(merchant, recipient=person))
        drain(integration.pk)
    assert [[r["type"] for r in body] for body in sent(provider)] == [["profile", "event"], ["event"], ["profile", "event"]]
    assert Contact.objects.get().recipient["email"] == "new@example.com"


def test_an_older_snapshot_that_is_retried_never_overwrites_a_newer_profile(integration, merchant, provider):
    (old,) = record(make.activity(merchant, recipient={**make.PERSON, "email": "old@example.com"}))
    EventDelivery.objects.filter(pk=old.pk).update(next_attempt_at=timezone.now() + timedelta(hours=1))
    answer(provider)
    record(make.activity(merchant, recipient={**make.PERSON, "email": "new@example.com"}))
    drain(integration.pk)
    due_now()
    drain(integration.pk)
    assert Contact.objects.get().recipient["email"] == "new@example.com"
    assert [r["type"] for r in sent(provider)[1]] == ["event"]


def test_a_refused_profile_attribute_is_left_out_and_the_rest_pushed_again_at_once(integration, merchant, provider):
    refusal = {"status": "fail", "code": 515, "error": "Email is not valid.Skipped record number : 1"}
    answer(provider, {"status": "partial", "processed": 1, "unprocessed": [refusal]})
    answer(provider)
    record(make.activity(merchant))
    drain(integration.pk)
    first, second = sent(provider)
    assert "Email" in first[0]["profileData"]
    assert len(second) == 1 and second[0]["type"] == "profile" and "Email" not in second[0]["profileData"]
    assert EventDelivery.objects.get().status == "sent"
    contact = Contact.objects.get()
    assert contact.status == "synced" and contact.refused == ["Email"] and contact.dirty_at is None


def test_answers_are_read_per_record(integration, merchant, provider):
    rows = record_many([make.activity(merchant, person=f"c{n}", recipient={"customer_id": f"c{n}"}) for n in range(3)])
    refusals = [{"code": 513, "error": "Skipped record number : 2"}, {"code": 555, "error": "Skipped record number : 3"}]
    answer(provider, {"status": "partial", "processed": 1, "unprocessed": refusals})
    drain(integration.pk)
    states = [EventDelivery.objects.get(pk=row.pk) for row in rows]
    assert [(row.status, row.reason) for row in states] == [("sent", ""), ("failed", "refused"), ("retrying", "")]
    assert [row.attempts.get().outcome for row in states] == ["accepted", "permanent", "transient"]
    assert len(provider.calls) == 1


def test_a_thousand_records_travel_in_one_call(integration, merchant, provider):
    record_many([make.activity(merchant, person=f"c{n % 50}", recipient={"customer_id": f"c{n % 50}"}) for n in range(1000)])
    answer(provider)
    assert drain(integration.pk) == 1000
    assert len(provider.calls) == 1 and EventDelivery.objects.filter(status="sent").count() == 1000
    assert DeliveryAttempt.objects.count() == 1000


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_a_server_error_is_tried_again_after_the_first_step_never_early(integration, merchant, provider, settings, status):
    settings.DELIVERY_RETRY_STEPS = [5.0, 30.0]
    answer(provider, status=status)
    record(make.activity(merchant))
    before = timezone.now()
    drain(integration.pk)
    row = EventDelivery.objects.get()
    assert row.status == "retrying" and row.failure_count == 1
    assert timedelta(seconds=5) <= row.next_attempt_at - before <= timedelta(seconds=7)


def test_when_the_steps_are_used_up_it_has_failed(integration, merchant, provider, settings):
    settings.DELIVERY_RETRY_STEPS = [0.0, 0.0]
    for _ in range(3):
        answer(provider, status=500)
    record(make.activity(merchant))
    for _ in range(5):
        due_now() if EventDelivery.objects.filter(status="retrying").exists() else None
        drain(integration.pk)
    row = EventDelivery.objects.get()
    assert (row.status, row.reason, row.attempt_count, len(provider.calls)) == ("failed", "exhausted", 3, 3)
    assert [a.number for a in row.attempts.order_by("number")] == [1, 2, 3]


@pytest.mark.parametrize("error", [requests.ReadTimeout("x"), requests.exceptions.ChunkedEncodingError("cut")])
def test_a_fault_after_the_body_left_is_uncertain(integration, merchant, provider, error):
    provider.add(responses.POST, make.UPLOAD, body=error)
    record(make.activity(merchant))
    drain(integration.pk)
    row = EventDelivery.objects.get()
    assert (row.status, row.uncertain_count, row.failure_count) == ("retrying", 1, 0)


@pytest.mark.parametrize(
    "error", [requests.ConnectTimeout("x"), requests.ConnectionError("refused"), requests.exceptions.SSLError("x")]
)
def test_a_fault_before_the_body_left_is_transient(integration, merchant, provider, error):
    provider.add(responses.POST, make.UPLOAD, body=error)
    record(make.activity(merchant))
    drain(integration.pk)
    row = EventDelivery.objects.get()
    assert (row.status, row.uncertain_count, row.failure_count) == ("retrying", 0, 1)


@pytest.mark.parametrize("body", ["<html>ok</html>", "", "[1]"])
def test_an_unreadable_success_is_uncertain_and_has_a_budget_of_its_own(integration, merchant, provider, settings, body):
    settings.DELIVERY_UNCERTAIN_RESENDS = 1
    for _ in range(3):
        provider.add(responses.POST, make.UPLOAD, body=body, status=200)
    (row,) = record(make.activity(merchant))
    for _ in range(4):
        drain(integration.pk)
        EventDelivery.objects.filter(status="retrying").update(next_attempt_at=timezone.now())
    row.refresh_from_db()
    assert (row.status, row.reason, row.uncertain_count, row.failure_count) == ("failed", "uncertain", 2, 0)
    assert [a.outcome for a in row.attempts.all()] == ["uncertain", "uncertain"]
    ids = {record["evtData"]["nector_delivery_id"] for body in sent(provider) for record in body if record["type"] == "event"}
    assert ids == {str(row.pk)} and len(provider.calls) == 2


def test_the_first_uncertain_resend_waits_for_the_second_step(integration, merchant, provider):
    provider.add(responses.POST, make.UPLOAD, body="?", status=200)
    record(make.activity(merchant))
    before = timezone.now()
    drain(integration.pk)
    assert timedelta(seconds=30) <= EventDelivery.objects.get().next_attempt_at - before <= timedelta(seconds=37)


def test_401_that_the_check_confirms_holds_the_queue_and_burns_nothing(integration, merchant, provider):
    answer(provider, {"status": "fail", "error": "Invalid Credentials", "code": 401}, 401)
    provider.add(responses.GET, make.CONNECT, json={"status": "fail", "error": "Invalid Credentials"}, status=401)
    rows = record_many([make.activity(merchant, person=f"c{n}") for n in range(3)])
    drain(integration.pk)
    integration.refresh_from_db()
    assert integration.status == Status.ATTENTION and "Server Prefix" in integration.status_reason and integration.status_fix
    assert {row.status for row in EventDelivery.objects.all()} == {"held"}
    assert {row.failure_count for row in EventDelivery.objects.all()} == {0}
    assert record(make.activity(merchant, person="c9"))[0].status == "held" and drain(integration.pk) == 0
    provider.replace(responses.GET, make.CONNECT, json={"status": "success"})
    provider.replace(responses.POST, make.UPLOAD, json=OK)
    assert integration.initialize().ok
    assert drain(integration.pk) == 4
    assert [r["evtData"]["nector_delivery_id"] for r in sent(provider)[-1] if r["type"] == "event"][:3] == [
        str(r.pk) for r in rows
    ]


def test_401_that_the_check_does_not_confirm_is_a_blip(integration, merchant, provider):
    answer(provider, {"code": 401}, 401)
    provider.add(responses.GET, make.CONNECT, json={"status": "success"})
    record(make.activity(merchant))
    drain(integration.pk)
    integration.refresh_from_db()
    assert integration.status == Status.ACTIVE and integration.hold_until > timezone.now()
    assert EventDelivery.objects.get().failure_count == 0
    for _ in range(2):
        Integration.objects.update(hold_until=timezone.now())
        drain(integration.pk)
    integration.refresh_from_db()
    assert integration.status == Status.ATTENTION, "but the third refusal in a row is none"


def test_429_holds_the_whole_integration_and_uses_up_no_try(integration, merchant, provider):
    answer(provider, {"error": "Too many concurrent requests"}, 429)
    record(make.activity(merchant))
    drain(integration.pk)
    integration.refresh_from_db()
    row = EventDelivery.objects.get()
    assert row.status == "retrying" and row.failure_count == 0 and row.attempts.get().outcome == "transient"
    assert integration.hold_until > timezone.now() + timedelta(seconds=4)
    assert drain(integration.pk) == 0 and len(provider.calls) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured_in_seconds(integration, merchant, provider, status):
    answer(provider, {}, status, headers={"Retry-After": "120"})
    record(make.activity(merchant))
    drain(integration.pk)
    integration.refresh_from_db()
    assert timedelta(seconds=119) <= integration.hold_until - timezone.now() <= timedelta(seconds=145)
    assert EventDelivery.objects.get().failure_count == 0


def test_after_a_hold_it_goes_on_and_the_count_starts_anew(integration, merchant, provider):
    answer(provider, {}, 429)
    answer(provider)
    record(make.activity(merchant))
    drain(integration.pk)
    Integration.objects.update(hold_until=timezone.now())
    drain(integration.pk)
    integration.refresh_from_db()
    assert EventDelivery.objects.get().status == "sent" and integration.hold_count == 0


def test_a_batch_refused_as_a_whole_is_split_until_the_bad_record_stands_alone(integration, merchant, provider):
    def judge(request):
        names = [r["evtName"] for r in json.loads(request.body)["d"] if r["type"] == "event"]
        return (400, {}, '{"error":"bad"}') if "Poison" in names else (200, {}, json.dumps(OK))

    provider.add_callback(responses.POST, make.UPLOAD, callback=judge)
    rows = record_many([make.activity(merchant, person=f"c{n}", recipient={"customer_id": f"c{n}"}) for n in range(8)])
    EventDelivery.objects.filter(pk=rows[5].pk).update(event_name="Poison")
    drain(integration.pk)
    states = {str(row.pk): row.status for row in EventDelivery.objects.all()}
    assert states.pop(str(rows[5].pk)) == "failed" and set(states.values()) == {"sent"}
    events = [
        r["evtData"]["nector_delivery_id"]
        for call in provider.calls
        for r in json.loads(call.request.body)["d"]
        if call.response.status_code == 200
    ]
    assert len(events) == len(set(events)) == 7


def test_a_customer_is_never_in_two_calls_at_once(integration, merchant, provider):
    (first,) = record(make.activity(merchant))
    EventDelivery.objects.filter(pk=first.pk).update(status="sending", lease_until=timezone.now() + timedelta(minutes=1))
    record(make.activity(merchant))
    record(make.activity(merchant, person="c2"))
    answer(provider)
    assert drain(integration.pk) == 1
    assert [r["identity"] for r in sent(provider)[0]] == ["c2", "c2"]


def test_a_failing_delivery_holds_back_its_customers_later_ones_for_a_while_only(integration, merchant, provider, settings):
    (first,) = record(make.activity(merchant))
    answer(provider, status=500)
    drain(integration.pk)
    record(make.activity(merchant))
    assert drain(integration.pk) == 0
    settings.DELIVERY_ORDER_HOLD_SECONDS = 0.0
    answer(provider)
    assert drain(integration.pk) == 1
    first.refresh_from_db()
    assert first.status == "retrying"


def test_an_event_whose_identity_was_lost_is_skipped_without_a_call(integration, merchant, provider):
    (row,) = record(make.activity(merchant))
    Integration.objects.update(common_property="email")
    EventDelivery.objects.update(recipient={"customer_id": "c1"})
    drain(integration.pk)
    row.refresh_from_db()
    assert (row.status, row.reason, len(provider.calls)) == ("skipped", "no_identity", 0)


def test_no_more_calls_leave_than_the_contract_allows_at_once(integration, merchant, provider):
    now = timezone.now()
    Call.objects.bulk_create(
        Call(integration=integration, started_at=now, lease_until=now + timedelta(minutes=1)) for _ in range(13)
    )
    (row,) = record(make.activity(merchant))
    drain(integration.pk)
    row.refresh_from_db()
    assert len(provider.calls) == 0 and row.status == "queued" and row.attempt_count == 0


def test_unreadable_secrets_stop_the_integration_and_nothing_else(integration, merchant, provider):
    other = make.integration(make.merchant("other"))
    Integration.objects.filter(pk=integration.pk).update(sealed_secrets=Integration.objects.get(pk=other.pk).sealed_secrets)
    record(make.activity(merchant))
    assert drain(integration.pk) == 0
    integration.refresh_from_db()
    assert integration.status == Status.ATTENTION and "secret_unreadable" in integration.status_reason
    assert EventDelivery.objects.get().status == "held" and len(provider.calls) == 0


def test_a_call_whose_worker_died_is_uncertain_before_it_is_sent_again(integration, merchant, provider, monkeypatch):
    (row,) = record(make.activity(merchant))
    monkeypatch.setattr("events.waves.send", lambda flight: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        drain(integration.pk)
    row.refresh_from_db()
    assert row.status == "sending" and row.attempt_count == 1 and Call.objects.get().ended_at is None
    past = timezone.now() - timedelta(seconds=5)
    Call.objects.update(lease_until=past)
    EventDelivery.objects.update(lease_until=past)
    sweep()
    row.refresh_from_db()
    assert row.status == "retrying" and row.attempts.get().outcome == "uncertain" and row.uncertain_count == 1
    assert Call.objects.get().outcome == "uncertain"


def test_a_claim_whose_worker_died_goes_back_without_a_try(integration, merchant):
    (row,) = record(make.activity(merchant))
    EventDelivery.objects.update(status="sending", lease_owner="dead", lease_until=timezone.now() - timedelta(seconds=5))
    sweep()
    row.refresh_from_db()
    assert row.status == "queued" and row.attempt_count == 0


def test_a_late_answer_to_a_reaped_call_changes_nothing(integration, merchant, provider, monkeypatch):
    (row,) = record(make.activity(merchant))

    def slow(flight):
        Call.objects.update(lease_until=timezone.now() - timedelta(seconds=5))
        EventDelivery.objects.update(lease_until=timezone.now() - timedelta(seconds=5))
        sweep()
        return Landing(flight, Response(200, {}, json.dumps(OK)), 5)

    monkeypatch.setattr("events.waves.send", slow)
    drain(integration.pk)
    row.refresh_from_db()
    assert row.status == "retrying" and [a.outcome for a in row.attempts.all()] == ["uncertain"]


def test_the_sweep_rings_for_what_is_due_and_only_for_that(integration, merchant, rung):
    record(make.activity(merchant))
    EventDelivery.objects.update(next_attempt_at=timezone.now() + timedelta(hours=1))
    assert sweep() == 0
    EventDelivery.objects.update(next_attempt_at=timezone.now())
    assert sweep() == 1 and rung == [integration.pk]
    assert sweep() == 0, "the bell is rung already"


def test_pausing_holds_what_waits_and_resuming_lets_it_flow(integration, merchant, provider):
    from integrations.verification import set_status

    record(make.activity(merchant))
    set_status(integration, Status.PAUSED)
    assert EventDelivery.objects.get().status == "held"
    answer(provider)
    set_status(integration, Status.ACTIVE)
    assert drain(integration.pk) == 1 and EventDelivery.objects.get().status == "sent"


def test_what_slipped_in_while_the_state_changed_is_put_right_by_the_sweep(integration, merchant):
    record(make.activity(merchant))
    EventDelivery.objects.update(status="held")
    sweep()
    assert EventDelivery.objects.get().status == "queued"
    Integration.objects.update(status=Status.PAUSED)
    sweep()
    assert EventDelivery.objects.get().status == "held"


def test_a_drain_for_nothing_or_for_nobody_does_nothing(integration, provider):
    assert drain(integration.pk) == 0 and drain(987654) == 0 and Call.objects.count() == 0


def test_where_a_few_events_at_a_time_keep_coming_they_are_gathered_from_the_third_call_on(
    integration, merchant, provider, monkeypatch
):
    naps = []

    def nap(seconds):
        naps.append(seconds)
        if len(naps) < 2:
            record_many([make.activity(merchant, person=f"late{n}") for n in range(5)])

    def judge(request):
        if len(provider.calls) < 2:  # one more while this one is under way
            record(make.activity(merchant, person=f"next{len(provider.calls)}"))
        return (200, {}, json.dumps(OK))

    monkeypatch.setattr("events.waves.time.sleep", nap)
    provider.add_callback(responses.POST, make.UPLOAD, judge)
    record(make.activity(merchant))

    assert drain(integration.pk) == 8

    events = [[r for r in body if r["type"] == "event"] for body in sent(provider)]
    assert [len(call) for call in events] == [1, 1, 6]
    assert naps == [waves.GATHER_SECONDS] * 2, "before the third and later ones, never before the second"


def test_a_single_event_is_not_waited_with(integration, merchant, provider, monkeypatch):
    naps = []
    monkeypatch.setattr("events.waves.time.sleep", naps.append)
    answer(provider)
    record(make.activity(merchant))
    assert drain(integration.pk) == 1 and naps == []


@pytest.fixture
def trickle(merchant, provider, monkeypatch):
    """Begins with one event; while each of the first so many calls is under way another one comes. Pauses take no time."""
    monkeypatch.setattr("events.waves.time.sleep", lambda _seconds: None)

    def begin(calls, commit=nullcontext):
        def judge(request):
            if len(provider.calls) < calls:
                with commit():
                    record(make.activity(merchant, person=f"next{len(provider.calls)}"))
            return (200, {}, json.dumps(OK))

        provider.add_callback(responses.POST, make.UPLOAD, judge)
        record(make.activity(merchant))

    return begin


def test_while_events_keep_coming_a_few_at_a_time_nobody_rings_and_afterwards_everybody_may(
    integration, merchant, trickle, rung, django_capture_on_commit_callbacks
):
    trickle(5, lambda: django_capture_on_commit_callbacks(execute=True))

    assert drain(integration.pk) == 6, "each is claimed by the drain that is at work"
    assert len(rung) == 1, "the first one rang, and then nobody while small waves followed each other"

    integration.refresh_from_db()
    assert integration.bell_rung_at is None
    with django_capture_on_commit_callbacks(execute=True):
        record(make.activity(merchant, person="later"))
    assert len(rung) == 2, "as soon as the drain is over, who commits rings"


def test_a_drain_that_ends_its_turn_in_a_trickle_leaves_the_bell_silent_and_rings_for_what_is_left(
    integration, provider, trickle, rung, monkeypatch
):
    monkeypatch.setattr("events.waves.Turn.is_over", lambda _turn: len(provider.calls) >= 4)
    trickle(5)

    assert drain(integration.pk) == 4

    assert rung == [integration.pk], "for the one that came last"
    assert EventDelivery.objects.filter(status="queued").count() == 1


def test_one_worker_is_enough_for_a_trickle_and_the_second_gives_way_without_a_sound(integration, trickle, rung):
    WorkerPlace.objects.create(integration=integration, lease_until=timezone.now() + timedelta(minutes=1))
    trickle(5)

    assert drain(integration.pk) == 2
    assert rung == [] and EventDelivery.objects.filter(status="queued").count() == 1, "which is the first one's"
    assert bell.hush(integration.pk) is True, "so that the first one looks again in the end"


def test_a_trickle_is_muffled_once_and_not_with_every_call(integration, trickle, monkeypatch):
    muffled = []
    monkeypatch.setattr(bell, "muffle", muffled.append)
    trickle(6)
    assert drain(integration.pk) == 7 and muffled == [integration.pk]
