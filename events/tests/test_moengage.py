"""MoEngage through the outbox: bulk or a call per customer, splits, refusals and holds. HTTP by `responses`."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest
import responses
from django.utils import timezone

from events import record, record_many
from events.drain import drain
from events.models import Call, Contact, EventDefinition, EventDelivery
from events.triggers import CATALOGUE
from integrations.models import Status
from integrations.providers import get_provider
from integrations.providers.moengage_rules import DEFAULT_NAMES
from nectorbridge.testing import make

pytestmark = pytest.mark.django_db
WORKSPACE = "TESTWORKSPACE000000000001"
KEY = "CANARY-DATA-KEY-42"
HOST = "https://api-03.moengage.com/v1"
EVENT, BULK, CUSTOMER = (f"{HOST}/{kind}/{WORKSPACE}" for kind in ("event", "transition", "customer"))
CHECK = f"{HOST}/integrations/authentication"
OK = {"status": "success", "message": "Your request has been accepted and will be processed soon."}
MISMATCH = {"status": "fail", "error": {"message": "App Secret key mismatch.", "type": "Authentication required"}}
BAD = {"status": "fail", "error": {"message": "action is not found", "type": "MissingAttributeError"}}


@pytest.fixture
def integration():
    settings = {"workspace_id": WORKSPACE, "server_prefix": "03"}
    row = make.integration(provider="moengage", settings=settings, secrets={"data_api_key": KEY})
    make.definition(row, name="")
    return row


@pytest.fixture
def merchant(integration):
    return integration.merchant


@pytest.fixture
def provider():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        for url in (EVENT, BULK, CUSTOMER):
            mocked.add(responses.POST, url, json=OK)
        yield mocked


def kinds(provider) -> list[str]:
    return [call.request.url.split("/")[4] for call in provider.calls]


def activities(merchant, *people: str):
    return [make.activity(merchant, person, recipient={"customer_id": person, "name": "Asha"}) for person in people]


def states() -> list[str]:
    return [row.status for row in EventDelivery.objects.order_by("pk")]


def test_an_event_gets_the_guides_name_and_leaves_in_bulk_behind_its_profile(integration, merchant, provider):
    assert EventDefinition.objects.get().name == "WalletRewardCreate"
    (row,) = record(make.activity(merchant, "c-1"))
    assert drain(integration.pk) == 1
    row.refresh_from_db()
    assert row.status == "sent" and kinds(provider) == ["transition"]
    customer, event = json.loads(provider.calls[0].request.body)["elements"]
    assert customer["attributes"] == {"u_n": "Asha Rao", "u_em": "asha@example.com", "u_mb": "919876543210"}
    assert event["actions"][0]["action"] == "WalletRewardCreate"
    attributes = event["actions"][0]["attributes"]
    assert attributes["nector_delivery_id"] == str(row.pk) and attributes["coins"] == 50
    assert len(attributes["nector_click_url"]) <= 512
    assert Contact.objects.get().status == "synced"


def test_many_customers_leave_in_bulk(integration, merchant, provider):
    record_many(activities(merchant, *(f"c-{n}" for n in range(60))))
    assert drain(integration.pk) == 60
    assert set(states()) == {"sent"} and set(kinds(provider)) == {"transition"} and len(provider.calls) <= 2


def test_two_customers_that_are_known_get_a_call_each(integration, merchant, provider):
    record_many(activities(merchant, "c-1", "c-2"))
    drain(integration.pk)
    record_many(activities(merchant, "c-1", "c-2", "c-1"))
    drain(integration.pk)
    assert kinds(provider) == ["transition", "event", "event"] and set(states()) == {"sent"}
    bodies = {
        body["customer_id"]: len(body["actions"]) for body in (json.loads(c.request.body) for c in list(provider.calls)[1:])
    }
    assert bodies == {"c-1": 2, "c-2": 1}


def test_without_bulk_a_profile_travels_beside_its_event(integration, merchant, provider):
    integration.settings |= {"allow_bulk": False}
    integration.save()
    record_many(activities(merchant, "c-1", "c-2"))
    drain(integration.pk)
    assert sorted(kinds(provider)) == ["customer", "customer", "event", "event"] and states() == ["sent", "sent"]
    assert {contact.status for contact in Contact.objects.all()} == {"synced"}
    record_many(activities(merchant, "c-1"))
    drain(integration.pk)
    assert kinds(provider)[4:] == ["event"]


def test_without_bulk_a_long_queue_is_emptied_in_one_drain(integration, merchant, provider):
    integration.settings |= {"allow_bulk": False}
    integration.save()

    def late(_request):
        time.sleep(0.02)
        return 200, {}, json.dumps(OK)

    provider.remove(responses.POST, EVENT)
    provider.add_callback(responses.POST, EVENT, callback=late)
    rows = [make.activity(merchant, f"c-{n}", recipient={"customer_id": f"c-{n}"}) for n in range(120)]
    record_many(rows)
    assert drain(integration.pk) >= 120
    assert set(states()) == {"sent"} and len(provider.calls) == 120


def test_neither_the_key_nor_the_credential_check_is_stored(integration, merchant, provider):
    provider.add(responses.POST, CHECK, json={"status": "success", "app_name": "Acme India", "echo": KEY})
    result = integration.initialize()
    assert result.ok and result.detail == "Connected to workspace Acme India (data centre 03)."
    assert json.loads(provider.calls[0].request.body)["app_secret"] == KEY
    assert not Call.objects.exists()
    provider.replace(responses.POST, BULK, json={**OK, "echo": KEY})
    record(make.activity(merchant, "c-1"))
    drain(integration.pk)
    call = Call.objects.get()
    assert "CANARY" not in call.request + call.response and "Basic" not in call.request and "••••" in call.request
    integration.refresh_from_db()
    assert "CANARY" not in f"{result}{integration.status_reason}{integration.status_fix}"


def test_401_that_the_check_confirms_holds_the_queue_and_burns_nothing(integration, merchant, provider):
    provider.replace(responses.POST, BULK, json=MISMATCH, status=401)
    provider.add(responses.POST, CHECK, json=MISMATCH, status=401)
    record_many(activities(merchant, "c-1", "c-2"))
    drain(integration.pk)
    integration.refresh_from_db()
    assert integration.status == Status.ATTENTION and "App Secret key mismatch" in integration.status_reason
    assert "not Push" in integration.status_fix and "CANARY" not in integration.status_reason
    assert states() == ["held", "held"] and {row.failure_count for row in EventDelivery.objects.all()} == {0}
    provider.replace(responses.POST, BULK, json=OK)
    provider.replace(responses.POST, CHECK, json={"status": "success"})
    assert integration.initialize().ok and drain(integration.pk) == 2 and states() == ["sent", "sent"]


@pytest.mark.parametrize("status", [400, 413])
def test_a_batch_refused_as_a_whole_is_split_until_the_bad_event_stands_alone(integration, merchant, provider, status):
    def judge(request):
        return (status, {}, json.dumps(BAD)) if '"Poison"' in request.body.decode() else (200, {}, json.dumps(OK))

    for url in (EVENT, BULK):
        provider.remove(responses.POST, url)
        provider.add_callback(responses.POST, url, callback=judge)
    people = [make.activity(merchant, f"c-{n}", recipient={"customer_id": f"c-{n}"}) for n in range(8)]
    rows = record_many(people)
    EventDelivery.objects.filter(pk=rows[5].pk).update(event_name="Poison")
    drain(integration.pk)
    assert states() == ["sent"] * 5 + ["failed"] + ["sent"] * 2
    assert EventDelivery.objects.get(pk=rows[5].pk).reason == "refused"
    sent = [call.request.body.decode() for call in provider.calls if call.response.status_code == 200]
    for row in rows:
        assert sum(f'"nector_delivery_id":"{row.pk}"' in body for body in sent) == (row.pk != rows[5].pk)


def test_a_refused_profile_does_not_take_its_event_along(integration, merchant, provider):
    def judge(request):
        return (400, {}, json.dumps(BAD)) if '"type":"customer"' in request.body.decode() else (200, {}, json.dumps(OK))

    provider.remove(responses.POST, BULK)
    provider.add_callback(responses.POST, BULK, callback=judge)
    record(make.activity(merchant, "c-1"))
    drain(integration.pk)
    assert states() == ["retrying"] and Contact.objects.get().status == "refused"
    EventDelivery.objects.update(next_attempt_at=timezone.now())
    drain(integration.pk)
    assert states() == ["sent"] and kinds(provider) == ["transition", "event"]


def test_429_holds_until_the_reset_and_uses_no_try(integration, merchant, provider):
    limited = {"status": "fail", "error": {"message": "Rate limits for customers exceeded.", "type": "RateLimitError"}}
    provider.replace(responses.POST, BULK, json=limited, status=429, headers={"x-ratelimit-reset": "30"})
    record(make.activity(merchant, "c-1"))
    drain(integration.pk)
    integration.refresh_from_db()
    row = EventDelivery.objects.get()
    assert (row.status, row.failure_count, row.attempts.get().outcome) == ("retrying", 0, "transient")
    assert timedelta(seconds=29) <= integration.hold_until - timezone.now() <= timedelta(seconds=37)
    assert drain(integration.pk) == 0 and len(provider.calls) == 1


def test_a_banned_id_is_skipped_without_a_call(integration, merchant, provider):
    (row,) = record(make.activity(merchant, "guest"))
    drain(integration.pk)
    row.refresh_from_db()
    assert (row.status, row.reason, len(provider.calls)) == ("skipped", "no_identity", 0)


def test_an_unknown_data_centre_is_an_error_before_any_call(integration, provider):
    integration.settings |= {"server_prefix": "07"}
    integration.save()
    result = integration.initialize()
    integration.refresh_from_db()
    assert not result.ok and "07" in result.reason and integration.status == Status.ATTENTION and len(provider.calls) == 0


def test_every_trigger_has_a_default_name_of_its_own():
    moengage = get_provider("moengage")
    assert set(DEFAULT_NAMES) == set(CATALOGUE) and len(set(DEFAULT_NAMES.values())) == len(CATALOGUE)
    for key, name in DEFAULT_NAMES.items():
        assert moengage.default_event_name(key) == moengage.event_name(name) == name
        assert name.lower() == key.replace("_", "").replace("trasaction", "transaction")


def test_a_data_centre_that_does_not_exist_holds_the_queue_and_calls_nobody(integration, merchant, provider):
    record_many(activities(merchant, "c-1", "c-2"))
    integration.settings |= {"server_prefix": "07"}
    integration.save()
    assert drain(integration.pk) == 0
    integration.refresh_from_db()
    assert not provider.calls and states() == ["held", "held"]
    assert integration.status == Status.ATTENTION and "07" in integration.status_reason and integration.status_fix


def test_the_reset_header_holds_for_as_long_as_it_says_however_often(integration, merchant, provider):
    record(make.activity(merchant, "c-1"))
    provider.replace(responses.POST, BULK, json={}, status=429, headers={"x-ratelimit-reset": "900"})
    for _again in range(3):
        drain(integration.pk)
        integration.refresh_from_db()
        assert 890 < (integration.hold_until - timezone.now()).total_seconds() < 1090, "neither cut to ten minutes nor doubled"
        type(integration).objects.update(hold_until=timezone.now() - timedelta(seconds=1))
    assert len(provider.calls) == 3 and EventDelivery.objects.get().failure_count == 0
