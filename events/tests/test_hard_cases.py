"""Cases that once went wrong: odd texts, blips, echoed secrets, whole batches refused."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import responses
from django.utils import timezone

from events import record, record_many
from events.claims import claim
from events.drain import drain
from events.models import Call, Contact, DeliveryAttempt, EventDelivery
from events.pause import leave_alone, resumed
from integrations.models import Integration, Status
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


def test_an_activity_named_twice_in_one_list_is_recorded_once(merchant):
    first, second = make.activity(merchant), make.activity(merchant)
    rows = record_many([first, first, second, second, first])
    assert len(rows) == 2 and EventDelivery.objects.count() == 2
    assert {row.pk for row in record_many([first, second])} == {row.pk for row in rows}


@pytest.mark.parametrize("text", ["half \ud83d of an emoji", "nul \x00 inside", "whole 😀"])
def test_texts_that_a_database_cannot_keep_are_mended_and_sent(integration, merchant, provider, text):
    provider.add(responses.POST, make.UPLOAD, json=OK)
    (row,) = record(make.activity(merchant, recipient={**make.PERSON, "name": text}, properties={"title": text, text: 1}))
    drain(integration.pk)
    row.refresh_from_db()
    assert row.status == "sent" and "\x00" not in row.payload["title"]


def test_a_delivery_that_our_code_cannot_pack_fails_alone(integration, merchant, provider, monkeypatch):
    provider.add(responses.POST, make.UPLOAD, json=OK)
    bad, good = record(make.activity(merchant, person="bad"))[0], record(make.activity(merchant, person="good"))[0]
    contract = integration.contract
    pack = contract.pack_events

    def breaks(account, events, profiles, now):
        if any(event.customer_ref == "bad" for event in events):
            raise RuntimeError("a bug of ours")
        return pack(account, events, profiles, now)

    monkeypatch.setattr(contract, "pack_events", breaks)
    drain(integration.pk)
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.status, bad.reason, good.status) == ("failed", "internal", "sent")


def test_our_own_addresses_are_neither_dropped_nor_replaced(integration, merchant, provider):
    provider.add(responses.POST, make.UPLOAD, json=OK)
    many = {f"p{n}": n for n in range(300)}
    foreign = {"nector_click_url": "https://evil.example", "nector.open_url": "https://evil.example", "nector_delivery_id": "x"}
    (row,) = record(make.activity(merchant, properties={**foreign, **many}))
    drain(integration.pk)
    data = json.loads(provider.calls[0].request.body)["d"][-1]["evtData"]
    assert row.payload["nector_delivery_id"] == str(row.pk) == data["nector_delivery_id"]
    assert "/t/c/" in data["nector_click_url"] and "/t/o/" in data["nector_open_url"] and len(data) == 100


def test_an_acceptance_does_not_end_a_hold_that_is_not_over(integration):
    now = timezone.now()
    leave_alone(integration, 60, now, asked_at=now)
    resumed(integration)
    integration.refresh_from_db()
    assert integration.hold_until > now and integration.hold_count == 1
    Integration.objects.update(hold_until=now - timedelta(seconds=1))
    resumed(integration)
    integration.refresh_from_db()
    assert integration.hold_until is None and integration.hold_count == 0


def test_calls_of_one_blip_count_as_one_hold(integration):
    asked_at = timezone.now()
    until = [leave_alone(integration, -5.0, timezone.now(), asked_at) for _ in range(5)]
    assert integration.hold_count == 1 and max(until) - asked_at < timedelta(seconds=8)
    leave_alone(integration, -5.0, until[-1], asked_at=until[-1] + timedelta(seconds=1))
    assert integration.hold_count == 2


def test_nothing_is_claimed_while_the_integration_is_held_or_stopped(integration, merchant):
    record(make.activity(merchant))
    Integration.objects.update(hold_until=timezone.now() + timedelta(minutes=1))
    assert claim(integration.pk, 10, "a") == []
    Integration.objects.update(hold_until=None, status=Status.PAUSED)
    assert claim(integration.pk, 10, "b") == []
    Integration.objects.update(status=Status.ACTIVE)
    assert len(claim(integration.pk, 10, "c")) == 1


def test_one_401_while_the_check_cannot_be_reached_is_not_the_end(integration, merchant, provider):
    provider.add(responses.POST, make.UPLOAD, json={"code": 401}, status=401)
    provider.add(responses.GET, make.CONNECT, status=503)
    record(make.activity(merchant))
    drain(integration.pk)
    integration.refresh_from_db()
    assert integration.status == Status.ACTIVE and EventDelivery.objects.get().failure_count == 0
    Integration.objects.update(hold_until=timezone.now() - timedelta(seconds=1))
    drain(integration.pk)
    integration.refresh_from_db()
    assert integration.status == Status.ATTENTION, "but the second in a row is"


def test_a_passcode_that_cannot_be_sent_holds_the_queue_and_burns_nothing(integration, merchant, provider):
    integration.secrets = {"private_api_key": "••••-9X"}
    integration.save()
    record(make.activity(merchant))
    drain(integration.pk)
    integration.refresh_from_db()
    assert integration.status == Status.ATTENTION and "cannot be sent" in integration.status_reason
    row = EventDelivery.objects.get()
    assert (row.status, row.uncertain_count, row.failure_count, len(provider.calls)) == ("held", 0, 0, 0)
    assert "cannot be sent" in integration.initialize().reason


def test_a_secret_that_the_provider_echoes_is_masked_everywhere(integration, merchant, provider):
    words = "Passcode CANARY-PASSCODE-42 is not valid"
    provider.add(responses.POST, make.UPLOAD, json={"error": words}, status=401)
    provider.add(responses.GET, make.CONNECT, json={"status": "fail", "error": words}, status=401)
    record(make.activity(merchant))
    drain(integration.pk)
    integration.refresh_from_db()
    stored = [integration.status_reason, *DeliveryAttempt.objects.values_list("error_message", flat=True)]
    stored += [*EventDelivery.objects.values_list("detail", flat=True), *Call.objects.values_list("response", flat=True)]
    assert "CANARY" not in " ".join(stored) and "••••" in integration.status_reason
    assert "CANARY" not in str(integration.initialize())


@pytest.mark.parametrize("words", ["nul \x00 inside", "half \ud83d"])
def test_odd_words_of_the_provider_are_written_down(integration, merchant, provider, words):
    refusal = {"code": 512, "error": f"{words} Skipped record number : 1"}
    body = json.dumps({"status": "fail", "processed": 0, "unprocessed": [refusal]})
    provider.add(responses.POST, make.UPLOAD, body=body)
    record(make.activity(merchant, recipient={"customer_id": "c1"}))
    drain(integration.pk)
    assert EventDelivery.objects.get().status == "failed" and Call.objects.get().ended_at


def test_a_provider_that_refuses_every_batch_costs_a_bounded_number_of_calls(integration, merchant, provider):
    provider.add(responses.POST, make.UPLOAD, json={"error": "no"}, status=400)
    record_many([make.activity(merchant, person=f"c{n}", recipient={"customer_id": f"c{n}"}) for n in range(500)])
    drain(integration.pk)
    assert len(provider.calls) < 200 and set(EventDelivery.objects.values_list("status", flat=True)) == {"failed"}


def test_a_corrected_email_is_pushed_again_after_a_refusal(integration, merchant, provider):
    refusal = {"code": 515, "error": "Email. Skipped record number : 1"}
    provider.add(responses.POST, make.UPLOAD, json={"status": "partial", "processed": 1, "unprocessed": [refusal]})
    for _ in range(3):
        provider.add(responses.POST, make.UPLOAD, json=OK)
    for email in ("bad@bad.bad", "good@good.com"):
        record(make.activity(merchant, recipient={**make.PERSON, "email": email}))
        drain(integration.pk)
    sent = [record for call in provider.calls for record in json.loads(call.request.body)["d"] if record["type"] == "profile"]
    assert sent[-1]["profileData"]["Email"] == "good@good.com" and Contact.objects.get().refused == []


def test_a_long_identity_is_remembered(integration, merchant, provider):
    provider.add(responses.POST, make.UPLOAD, json=OK)
    Integration.objects.update(common_property="email")
    long = "a" * 240 + "@x.example"
    record(make.activity(merchant, recipient={"customer_id": "c1", "email": long}))
    drain(integration.pk)
    assert Contact.objects.get().remote_id == long


def test_a_paused_uncertain_delivery_keeps_its_time(integration, merchant, provider):
    from integrations.verification import set_status

    provider.add(responses.POST, make.UPLOAD, body="?")
    record(make.activity(merchant))
    drain(integration.pk)
    due = EventDelivery.objects.get().next_attempt_at
    set_status(integration, Status.PAUSED)
    set_status(integration, Status.ACTIVE)
    row = EventDelivery.objects.get()
    assert (row.status, row.next_attempt_at) == ("retrying", due)


@pytest.mark.parametrize(
    ("website", "status", "location"),
    [
        ("https://shop.example/करेंसी", 302, "https://shop.example/%E0%A4%95%E0%A4%B0%E0%A5%87%E0%A4%82%E0%A4%B8%E0%A5%80"),
        ("https://shop.example/a b?c=d&e=ü", 302, "https://shop.example/a%20b?c=d&e=%C3%BC"),
        ("https://shop.example/\r\nX: y", 404, None),
        ("javascript:alert(1)", 404, None),
    ],
)
def test_a_click_goes_to_the_frozen_address_and_to_no_other(integration, merchant, client, website, status, location):
    (row,) = record(make.activity(merchant))
    EventDelivery.objects.update(destination=website)
    response = client.get(f"/t/c/{row.payload['nector_click_url'].rpartition('/')[2]}")
    assert response.status_code == status and response.get("Location") == location
