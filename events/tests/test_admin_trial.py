"""The test event: who may be chosen, what is shown before, what is written, what the answer means."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest
import responses
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from events.models import Call, Contact, DeliveryAttempt, EventDelivery
from events.tests import hosts
from events.tests.conftest import deliver
from events.trial import identify_calls
from integrations.models import Integration, Status
from nectorbridge.testing import make

TAKEN = {"status": "success", "processed": 2, "unprocessed": []}
CANARY = "CANARY-PASSCODE-42"


@pytest.fixture(autouse=True)
def customers(settings, integration):
    settings.NECTORBRIDGE_HOST = "events.tests.hosts.FakeHost"
    hosts.CUSTOMERS.clear()
    hosts.CUSTOMERS[integration.merchant_id] = [hosts.person("asha"), hosts.person("ravi", customer_id=None)]
    yield hosts.CUSTOMERS
    hosts.CUSTOMERS.clear()


@pytest.fixture
def clevertap():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as provider:
        provider.post(make.UPLOAD, json=TAKEN)
        yield provider


def page(definition) -> str:
    return reverse("admin:events_eventdefinition_test", args=[definition.pk])


def text(answer) -> str:
    return re.sub(r"\s+", " ", answer.content.decode())


def written() -> tuple[int, int, int]:
    return EventDelivery.objects.count(), Call.objects.count(), Contact.objects.count()


def test_a_search_finds_the_merchants_customers_only(owner, definition, customers):
    customers[make.merchant("other").pk] = [hosts.person("ashok")]
    found = text(owner.get(page(definition), {"q": "ash"}))
    assert "asha@example.com" in found and "ashok" not in found


def test_somebody_unknown_is_refused_with_the_reason_and_what_to_do(owner, definition, clevertap):
    said = text(owner.get(page(definition), {"q": "nobody@example.com"}))
    assert "has no customer “nobody@example.com”" in said
    assert "CleverTap attaches the event to a profile" in said and "create the customer first" in said
    owner.post(page(definition), {"customer": "nobody"})
    assert written() == (0, 0, 0) and not clevertap.calls


def test_another_merchants_customer_cannot_be_chosen(owner, definition, customers, clevertap):
    customers[make.merchant("other").pk] = [hosts.person("foreign")]
    assert "foreign@example.com" not in text(owner.get(page(definition), {"customer": "foreign"}))
    owner.post(page(definition), {"customer": "foreign"})
    assert written() == (0, 0, 0) and not clevertap.calls


def test_a_customer_without_the_common_property_is_told_which_value_is_missing(owner, definition, clevertap):
    said = text(owner.get(page(definition), {"customer": "ravi"}))
    assert "This customer has no usable customer ID" in said and "data-once" not in said
    owner.post(page(definition), {"customer": "ravi"})
    assert written() == (0, 0, 0) and not clevertap.calls


def test_a_dry_run_shows_the_exact_request_and_writes_nothing(owner, definition, clevertap):
    said = text(owner.get(page(definition), {"customer": "asha"}))
    assert "Nothing has been sent" in said and make.UPLOAD in said
    assert "profileData" in said and "id-asha" in said and "Wallet Coins Rewarded" in said
    assert CANARY not in said and "••••" in said
    assert written() == (0, 0, 0) and not clevertap.calls


def test_a_live_test_writes_one_marked_delivery_and_shows_request_and_answer(owner, definition, clevertap):
    answer = owner.post(page(definition), {"customer": "asha"}, follow=True)
    delivery = EventDelivery.objects.get()
    assert (delivery.is_test, delivery.status, delivery.portal) == (True, "sent", "all")
    assert delivery.idempotency_key.startswith("test:")
    assert (delivery.recipient["email"], delivery.payload["user_name"], delivery.payload["coins"]) == (
        "asha@example.com",
        "Asha",
        120,
    )
    said = text(answer)
    assert "CleverTap accepted the test event" in said and "evtName" in said and "&quot;processed&quot;: 2" in said
    assert reverse("admin:events_eventdelivery_change", args=[delivery.pk]) in said
    assert reverse("admin:events_eventdefinition_journey", args=[definition.pk]) in said
    assert CANARY not in said


def test_once_accepted_the_event_says_when_it_was_seen(owner, definition, clevertap):
    owner.post(page(definition), {"customer": "asha"})
    definition.refresh_from_db()
    assert definition.seen_at == EventDelivery.objects.get().sent_at
    for address in ("change", "changelist"):
        arguments = [definition.pk] if address == "change" else []
        assert "Seen by CleverTap at" in text(owner.get(reverse(f"admin:events_eventdefinition_{address}", args=arguments)))


def test_a_refused_test_says_why_and_is_not_seen(owner, definition):
    refused = {
        "status": "fail",
        "processed": 0,
        "unprocessed": [{"status": "fail", "code": 555, "error": "Event discarded", "record": {}}],
    }
    with responses.RequestsMock() as provider:
        provider.post(make.UPLOAD, json=refused)
        said = text(owner.post(page(definition), {"customer": "asha"}, follow=True))
    definition.refresh_from_db()
    assert definition.seen_at is None and "accepted the test event" not in said and "Answer" in said


def test_the_same_form_posted_twice_sends_once(owner, definition, clevertap):
    form = {"customer": "asha", "token": str(uuid.uuid4())}
    owner.post(page(definition), form)
    owner.post(page(definition), form)
    assert EventDelivery.objects.count() == 1 and len(clevertap.calls) == 1


def test_an_event_that_is_switched_off_can_be_tested_and_no_other_is_sent(owner, definition, clevertap):
    make.definition(definition.integration, name="Another")
    type(definition).objects.filter(pk=definition.pk).update(enabled=False)
    owner.post(page(definition), {"customer": "asha"})
    assert [row.definition_id for row in EventDelivery.objects.all()] == [definition.pk]


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"status": Status.PAUSED}, "is paused"),
        ({"status": Status.ATTENTION}, "needs attention"),
        ({"status": Status.DRAFT}, "is not connected"),
        ({"hold_until": timezone.now() + timedelta(hours=1)}, "asked us to wait"),
    ],
)
def test_an_integration_that_cannot_send_refuses_with_the_reason(owner, definition, clevertap, values, word):
    Integration.objects.filter(pk=definition.integration_id).update(**values)
    assert word in text(owner.post(page(definition), {"customer": "asha"}, follow=True))
    assert written() == (0, 0, 0) and not clevertap.calls


def test_a_viewer_may_look_and_not_send(viewer, definition, clevertap):
    said = text(viewer.get(page(definition), {"customer": "asha"}))
    assert "Nothing has been sent" in said and "data-once" not in said
    assert viewer.post(page(definition), {"customer": "asha"}).status_code == 403
    assert written() == (0, 0, 0) and not clevertap.calls


def test_another_merchants_staff_find_nothing(stranger, definition, clevertap):
    assert stranger.get(page(definition)).status_code == 404
    assert stranger.post(page(definition), {"customer": "asha"}).status_code == 404
    assert written() == (0, 0, 0)


@pytest.mark.parametrize("key", ["nonsense", str(uuid.UUID(int=7))])
def test_a_delivery_that_is_no_test_of_this_event_is_not_shown(owner, definition, key):
    real = deliver(definition)
    for wanted in (key, str(real.pk)):
        assert "Choose an existing customer" in text(owner.get(page(definition), {"delivery": wanted}))


def test_a_test_that_a_worker_took_says_so_and_is_noted_by_a_post(owner, viewer, definition):
    delivery = deliver(definition, is_test=True, status="sending")
    address = f"{page(definition)}?delivery={delivery.pk}"
    assert "It is being sent" in text(owner.get(address)) and 'data-again="2000"' in text(owner.get(address))
    EventDelivery.objects.filter(pk=delivery.pk).update(status="sent", sent_at=timezone.now())
    owner.get(address)
    definition.refresh_from_db()
    assert definition.seen_at is None, "a GET changes nothing"
    assert viewer.post(page(definition), {"look": str(delivery.pk)}).status_code == 403
    owner.post(page(definition), {"look": str(delivery.pk)})
    definition.refresh_from_db()
    assert definition.seen_at is not None


def test_a_profile_that_was_pushed_before_the_event_is_shown(owner, definition, clevertap):
    before = timezone.now()
    old = Call.objects.create(
        integration=definition.integration,
        kind="contact",
        started_at=before - timedelta(days=1),
        lease_until=before,
        request="OLD",
    )
    delivery = deliver(definition, is_test=True, status="sent", sent_at=before, created_at=before)
    own = Call.objects.create(
        integration=definition.integration,
        kind="contact",
        started_at=before + timedelta(seconds=1),
        lease_until=before,
        request="IDENTIFY asha@example.com",
    )
    assert identify_calls(delivery) == [own] != [old]
    assert "IDENTIFY" in text(owner.get(page(definition), {"delivery": delivery.pk}))


def test_a_profile_that_was_refused_is_not_called_the_event(owner, definition):
    delivery = deliver(definition, is_test=True, status="failed", reason="contact_refused", attempt_count=1)
    now = timezone.now()
    call = Call.objects.create(integration=definition.integration, kind="contact", started_at=now, lease_until=now, request="WHO")
    DeliveryAttempt.objects.create(delivery=delivery, call=call, number=1, outcome="permanent", started_at=now)

    result = text(owner.get(page(definition), {"delivery": delivery.pk}))
    story = text(owner.get(reverse("admin:events_eventdelivery_change", args=[delivery.pk])))

    assert "The customer&#x27;s profile, try 1" in result or "The customer's profile, try 1" in result
    assert "The event, try 1" not in result and "the event itself was not sent" in result
    assert "so the event was not sent" in story and "refused this event for good" not in story


def test_without_a_host_nobody_is_found_and_nothing_breaks(owner, definition, settings):
    settings.NECTORBRIDGE_HOST = ""
    assert "has no customer" in text(owner.get(page(definition), {"q": "asha"}))


def test_staff_without_a_merchant_find_nothing(definition):
    client = Client()
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    assert client.get(page(definition)).status_code == 404
