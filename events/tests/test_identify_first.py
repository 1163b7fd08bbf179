"""A provider that takes events only of contacts it knows: the contact goes first, once, and its failures are the event's."""

from __future__ import annotations

import json
import time
import uuid
from concurrent.futures import ALL_COMPLETED
from datetime import timedelta

import pytest
import responses
from django.db import DatabaseError, transaction
from django.utils import timezone

from events import claims, record, stream
from events.drain import drain, send_now
from events.models import Call, Contact, DeliveryAttempt, EventDelivery
from events.stamping import Allowance, LeaseLost, stamp
from events.stream import Stream
from events.sweep import sweep
from integrations import providers
from integrations.disconnecting import disconnect
from integrations.models import Integration, Status
from integrations.providers.base import Call as ProviderCall
from integrations.providers.base import Packed, Reading, Record, Request, Verdict
from integrations.providers.contlo import Contlo
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db
EVENT, CONTACT = "https://toy.example/event", "https://toy.example/contact"


class Toy(Contlo):
    """Ids of our own making, contacts before events."""

    slug = "toy"
    label = "Toy"
    identify_first = True

    def new_remote_id(self):
        return str(uuid.uuid4())

    def pack_events(self, account, events, profiles, now):
        first = {event.customer_ref: event for event in reversed(events)}
        bodies = [({"user": event.remote_id, "id": event.delivery_id}, event) for event in first.values()]
        return Packed(tuple(_call(EVENT, body, Record(delivery_id=event.delivery_id)) for body, event in bodies))

    def pack_contacts(self, account, profiles, now, bulk=False):
        calls = []
        for profile in profiles:
            email = profile.recipient["email"]
            if profile.pushed_hash != email:
                body = {"user": profile.remote_id, "email": email}
                calls.append(_call(CONTACT, body, Record(customer_ref=profile.customer_ref, profile_hash=email)))
        return Packed(tuple(calls))

    def read(self, call, answer):
        reading = super().read(call, answer)
        if reading.refused:
            return Reading(Verdict(reading.verdict.outcome, "400", "no such address"), refused=reading.refused)
        return reading


def _call(url, body, record):
    return ProviderCall(Request("POST", url, body=json.dumps(body).encode()), (record,))


@pytest.fixture
def integration():
    providers.register(Toy())
    values = {"provider": "toy", "common_property": "email", "settings": {}, "secrets": {"private_api_key": "x"}}
    yield make.definition(make.integration(**values), name="Wallet").integration
    providers.unregister("toy")


@pytest.fixture
def merchant(integration):
    return integration.merchant


@pytest.fixture
def provider():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        yield mocked


def answer(provider, url, body=None, status=200, **kwargs):
    provider.add(responses.POST, url, json={"success": True} if body is None else body, status=status, **kwargs)


def sent(provider, url):
    return [json.loads(call.request.body) for call in provider.calls if call.request.url == url]


def state():
    return list(EventDelivery.objects.order_by("id").values_list("status", "reason", "attempt_count", "failure_count"))


def test_the_contact_goes_first_and_once_and_its_call_is_not_a_try_of_the_event(integration, merchant, provider):
    answer(provider, CONTACT)
    answer(provider, EVENT)
    for _ in range(3):
        record(make.activity(merchant))
    drain(integration.pk)
    assert [call.request.url for call in provider.calls] == [CONTACT, EVENT, EVENT, EVENT]
    assert state() == [("sent", "", 1, 0)] * 3
    contact = Contact.objects.get()
    assert {body["user"] for body in sent(provider, EVENT) + sent(provider, CONTACT)} == {contact.remote_id}
    assert uuid.UUID(contact.remote_id).version == 4 and contact.status == "synced"
    assert list(Call.objects.order_by("id").values_list("kind", flat=True)) == ["contact", "events", "events", "events"]


def test_it_goes_again_when_the_email_changes_under_the_same_id(integration, merchant, provider):
    answer(provider, CONTACT)
    answer(provider, EVENT)
    record(make.activity(merchant))
    drain(integration.pk)
    record(make.activity(merchant, recipient={**make.PERSON, "email": "new@example.com"}))
    drain(integration.pk)
    first, second = sent(provider, CONTACT)
    assert (first["email"], second["email"]) == ("asha@example.com", "new@example.com") and first["user"] == second["user"]
    assert [call.request.url for call in provider.calls] == [CONTACT, EVENT, CONTACT, EVENT]


def test_the_id_is_stored_before_it_leaves_so_that_a_lost_answer_makes_no_second_one(integration, merchant, provider):
    provider.add(responses.POST, CONTACT, body=ConnectionResetError())
    record(make.activity(merchant))
    drain(integration.pk)
    (stored,) = Contact.objects.values_list("remote_id", flat=True)
    provider.replace(responses.POST, CONTACT, json={"success": True})
    answer(provider, EVENT)
    EventDelivery.objects.update(next_attempt_at=EventDelivery.objects.get().created_at)
    drain(integration.pk)
    assert {body["user"] for body in sent(provider, CONTACT) + sent(provider, EVENT)} == {stored}
    assert state() == [("sent", "", 2, 1)]


@pytest.mark.parametrize("status", [500, 503])
def test_a_contact_that_fails_gives_its_first_event_a_try_and_a_time_and_holds_nobody_else(
    integration, merchant, provider, status
):
    def judge(request):
        bad = json.loads(request.body)["email"] == "asha@example.com"
        return (status if bad else 200), {}, json.dumps({"success": not bad})

    provider.add_callback(responses.POST, CONTACT, judge)
    answer(provider, EVENT)
    rows = [*record(make.activity(merchant)), *record(make.activity(merchant))]
    other = record(make.activity(merchant, person="c2", recipient={**make.PERSON, "email": "b@example.com"}))
    drain(integration.pk)
    assert drain(integration.pk) == 0, "it is not tried again at once"
    assert len(sent(provider, CONTACT)) == 2 and len(sent(provider, EVENT)) == 1
    assert state() == [("retrying", "", 1, 1), ("queued", "", 0, 0), ("sent", "", 1, 0)]
    attempt = DeliveryAttempt.objects.get(delivery=rows[0])
    assert attempt.outcome == "transient" and attempt.http_status == status and attempt.call.kind == "contact"
    assert not DeliveryAttempt.objects.filter(delivery=rows[1]).exists() and other[0].pk
    integration.refresh_from_db()
    assert integration.status == Status.ACTIVE and integration.hold_until is None


def test_a_contact_that_is_refused_fails_its_events_with_the_reason_and_no_event_leaves(integration, merchant, provider):
    answer(provider, CONTACT, {"success": False, "error": "no such address"}, 400)
    answer(provider, EVENT)
    record(make.activity(merchant))
    record(make.activity(merchant))
    drain(integration.pk)
    assert state() == [("failed", "identify_refused", 1, 0)] * 2
    assert not sent(provider, EVENT) and len(sent(provider, CONTACT)) == 1
    row = EventDelivery.objects.first()
    assert row.detail == "no such address" and row.attempts.get().outcome == "permanent"
    record(make.activity(merchant))
    provider.replace(responses.POST, CONTACT, json={"success": True})
    drain(integration.pk)
    assert state()[-1] == ("sent", "", 1, 0), "the next event asks again"


def test_a_429_to_a_contact_holds_the_integration_and_costs_no_try(integration, merchant, provider):
    answer(provider, CONTACT, {}, 429, headers={"Retry-After": "30"})
    record(make.activity(merchant))
    drain(integration.pk)
    integration.refresh_from_db()
    assert integration.hold_until is not None and state() == [("queued", "", 0, 0)]
    assert drain(integration.pk) == 0 and len(sent(provider, CONTACT)) == 1


def test_a_refused_key_at_the_contact_holds_the_queue(integration, merchant, provider):
    answer(provider, CONTACT, {"success": False}, 401)
    provider.add(responses.POST, "https://marketing.contlo.com/api/integrations/zapier", json={"success": False})
    record(make.activity(merchant))
    drain(integration.pk)
    sweep()
    integration.refresh_from_db()
    assert integration.status == Status.ATTENTION and state() == [("held", "", 0, 0)]


def test_a_contact_that_our_code_cannot_pack_fails_alone(integration, merchant, provider):
    answer(provider, CONTACT)
    answer(provider, EVENT)
    record(make.activity(merchant, recipient={"customer_id": "c1", "email": "x@example.com"}))
    broken = record(make.activity(merchant, person="c2", recipient={**make.PERSON, "email": "z@example.com"}))[0]
    EventDelivery.objects.filter(pk=broken.pk).update(recipient={"phone": "+919876543210"})
    drain(integration.pk)
    assert [row[:2] for row in state()] == [("sent", ""), ("failed", "internal")]


def test_a_contact_whose_answer_takes_long_is_not_sent_a_second_time_beside_itself(integration, merchant, provider, settings):
    settings.DELIVERY_LEASE_SECONDS = 0.6

    def slow(request):
        time.sleep(0.5 if json.loads(request.body)["email"] == "asha@example.com" else 0.01)
        return 200, {}, '{"success": true}'

    provider.add_callback(responses.POST, CONTACT, slow)
    provider.add_callback(responses.POST, EVENT, lambda request: time.sleep(0.02) or (200, {}, '{"success": true}'))
    record(make.activity(merchant))
    for _ in range(30):
        record(make.activity(merchant, person="c2", recipient={**make.PERSON, "email": "b@example.com"}))
    drain(integration.pk)
    assert len(sent(provider, CONTACT)) == 2 and {row[0] for row in state()} == {"sent"}


def test_what_is_past_its_lease_leaves_in_no_call(integration, merchant):
    (row,) = record(make.activity(merchant))
    claims.claim(integration.pk, 1, "owner")
    now = timezone.now()
    call = Call(integration=integration, started_at=now, lease_until=now)
    EventDelivery.objects.update(lease_until=now - timedelta(seconds=1))
    assert claims.renew("owner") == 0, "the sweep may be giving it back at this very moment"
    with pytest.raises(LeaseLost), transaction.atomic():
        stamp([call], [[str(row.pk)]], "owner", Allowance(integration.contract.limits))
    EventDelivery.objects.update(lease_until=now + timedelta(seconds=1))
    assert claims.renew("owner") == 1 and EventDelivery.objects.get().lease_until > now + timedelta(seconds=50)


def test_no_event_leaves_for_a_contact_that_our_code_cannot_pack(integration, merchant, provider):
    answer(provider, EVENT)
    for _ in range(3):
        record(make.activity(merchant))
    EventDelivery.objects.update(recipient={"phone": "+919876543210"})
    drain(integration.pk)
    assert not sent(provider, EVENT) and [row[:2] for row in state()] == [("failed", "internal")] * 3


def test_a_test_event_waits_for_a_call_of_its_customer_and_for_an_integration_that_may_send(integration, merchant, provider):
    answer(provider, CONTACT)
    answer(provider, EVENT)
    (busy,), (test,) = record(make.activity(merchant)), record(make.activity(merchant))
    EventDelivery.objects.filter(pk=busy.pk).update(status="sending", lease_owner="another worker")
    send_now(test)
    assert test.status == "queued"
    EventDelivery.objects.filter(pk=busy.pk).update(status="sent", lease_owner="")
    Integration.objects.update(hold_until=timezone.now() + timedelta(minutes=1))
    send_now(test)
    Integration.objects.update(hold_until=None, status=Status.PAUSED)
    send_now(test)
    assert test.status == "queued" and not provider.calls
    Integration.objects.update(status=Status.ACTIVE)
    send_now(test)
    assert test.status == "sent"


def test_what_was_taken_before_a_disconnect_is_pushed_anew_over_the_next_connection(integration, merchant, provider, monkeypatch):
    answer(provider, CONTACT)
    record(make.activity(merchant))
    landed = Stream._landed

    def disconnected_meanwhile(self):
        if self.under_way and Integration.objects.get().status == Status.ACTIVE:
            disconnect(Integration.objects.get())
        return landed(self)

    monkeypatch.setattr(Stream, "_landed", disconnected_meanwhile)
    drain(integration.pk)
    contact = Contact.objects.get()
    assert (contact.pushed_hash, contact.status) == ("", "unknown") and len(sent(provider, CONTACT)) == 1
    assert state() == [("cancelled", "", 0, 0)]


def test_a_call_whose_lease_is_over_before_it_left_does_not_leave(integration, merchant, provider, monkeypatch):
    answer(provider, CONTACT)
    record(make.activity(merchant))
    send = stream.send

    def woken_late(flight):
        flight.row.lease_until = timezone.now()
        return send(flight)

    monkeypatch.setattr(stream, "send", woken_late)
    drain(integration.pk)
    assert not provider.calls and Call.objects.get().outcome == "transient"


def test_all_other_answers_are_written_down_where_one_cannot_be(integration, merchant, provider, monkeypatch):
    answer(provider, CONTACT, status=500)
    record(make.activity(merchant))
    record(make.activity(merchant, person="c2"))
    land, failed = Stream.land, []

    def breaks_once(self, landing, reading=None):
        if not failed:
            failed.append(landing)
            raise DatabaseError("locked")
        return land(self, landing, reading)

    monkeypatch.setattr(Stream, "land", breaks_once)
    monkeypatch.setattr(stream, "FIRST_COMPLETED", ALL_COMPLETED)  # so that both are there at once
    with pytest.raises(DatabaseError):
        drain(integration.pk)
    assert sorted(Call.objects.values_list("outcome", flat=True)) == ["", "transient"]
