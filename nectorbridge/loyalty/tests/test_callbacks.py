"""From what a provider sends back to the customer's consent in the ledger."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from events import callbacks
from events.models import CallbackReceipt, Engagement, EventDelivery, Suppression
from events.tests.conftest import deliver
from nectorbridge.loyalty.models import ConsentChange, Customer
from nectorbridge.loyalty.services import set_consent
from nectorbridge.testing import make


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("MOE_EMAIL_UNSUBSCRIBE", ["unsubscribed", "unknown", "unknown"]),
        ("MOE_SMS_UNSUBSCRIBED", ["unknown", "unsubscribed", "unknown"]),
        ("MOE_EMAIL_SPAM", ["unsubscribed"] * 3),
        ("MOE_EMAIL_OPEN", ["unknown"] * 3),
    ],
)
def test_a_no_becomes_consent_on_the_channel_that_is_told(code, said):
    merchant = make.merchant()
    integration = make.integration(merchant, provider="moengage", settings={}, secrets={})
    customer = Customer.objects.create(merchant=merchant, customer_id="C-1", email="asha@example.com")
    sent = deliver(
        make.definition(integration),
        status="sent",
        sent_at=timezone.now(),
        customer_ref=customer.ref,
        recipient=customer.recipient,
    )
    event = {"event_code": code, "event_uuid": "u-1", "uid": "C-1", "event_time": int(timezone.now().timestamp())}
    for number in range(2):  # told again in another batch
        body = json.dumps({"events": [event], "moe_request_id": number}).encode()
        path = f"/callbacks/moengage/{integration.callback_token}/"
        assert Client().post(path, body, content_type="application/json").status_code == 200
    callbacks.work(integration.pk)
    customer.refresh_from_db()
    assert [customer.consent_email, customer.consent_sms, customer.consent_whatsapp] == said
    changes = ConsentChange.objects.filter(customer=customer)
    assert changes.count() == said.count("unsubscribed") and all(row.source == "moengage" for row in changes)
    assert sent.engagements.count() == 1


def tell(integration, body):
    path = f"/callbacks/{integration.provider}/{integration.callback_token}/"
    assert Client().post(path, json.dumps(body).encode(), content_type="application/json").status_code == 200
    callbacks.work(integration.pk)
    return CallbackReceipt.objects.order_by("-pk").first()


@pytest.fixture
def clevertap(db):
    return make.integration(make.merchant(), provider="clevertap")


def person(integration, number, **values):
    return Customer.objects.create(merchant=integration.merchant, customer_id=f"C-{number}", **values)


def message(definition, customer, **values):
    return deliver(
        definition,
        status="sent",
        sent_at=timezone.now() - timedelta(minutes=5),
        customer_ref=customer.ref,
        recipient={"customer_id": customer.customer_id},
        **values,
    )


@pytest.mark.parametrize("told", ["+919876543210", "919876543210"])
def test_a_phone_number_leads_to_its_customer_and_one_that_two_share_to_nobody(clevertap, told):
    definition = make.definition(clevertap)
    customer = person(clevertap, 1, phone="+919876543210")
    other = person(clevertap, 2, phone="+919876543299")
    person(make.integration(make.merchant("other"), provider="clevertap"), 1, phone="+919876543210")
    sent, _theirs = message(definition, customer), message(definition, other)
    assert tell(clevertap, {"profiles": {"Phone": told, "event_properties": {}}, "event": "Notification Clicked"}).matched == 1
    assert [row.delivery_id for row in Engagement.objects.all()] == [sent.pk]
    Customer.objects.filter(pk=other.pk).update(phone="+919876543210")
    receipt = tell(clevertap, {"event": "click", "phone": told, "id": "another"})
    assert (receipt.matched, receipt.unmatched) == (0, 1)


def test_many_who_unsubscribe_at_once_are_withdrawn_together(clevertap):
    definition = make.definition(clevertap)
    people = [person(clevertap, number, email=f"c{number}@example.com") for number in range(12)]
    for customer in people:
        message(definition, customer)
        deliver(definition, customer_ref=customer.ref, recipient=customer.recipient)
    profiles = [{"Email": customer.email} for customer in people]
    body = {"event": "Channel Unsubscribed", "event_properties": {"Type": "unsubscribed"}, "profiles": profiles}
    for profile, customer in zip(profiles, people, strict=True):
        profile["Identity"] = customer.customer_id
    assert tell(clevertap, body).matched == 12
    assert set(Customer.objects.values_list("consent_email", flat=True)) == {"unsubscribed"}
    assert set(EventDelivery.objects.exclude(status="sent").values_list("status", "reason")) == {("skipped", "no_consent")}


def test_a_complaint_that_is_told_again_stops_nobody_who_agreed_meanwhile(clevertap):
    definition = make.definition(clevertap)
    customer = person(clevertap, 1, email="asha@example.com")
    message(definition, customer), message(definition, customer)  # which of the two is not known
    complained = {"event": "complaint", "customer_id": "C-1", "occurred_at": (timezone.now() - timedelta(minutes=2)).isoformat()}
    assert tell(clevertap, complained).unmatched == 1
    assert Suppression.objects.count() == 1
    set_consent(customer, "email", "subscribed")
    assert not Suppression.objects.exists()
    tell(clevertap, {**complained, "told": "again"})
    customer.refresh_from_db()
    assert customer.consent_email == "subscribed" and not Suppression.objects.exists()
